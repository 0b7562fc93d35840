"""How plain kernels and parts become LLVM's code: numba's lowering with less of it, and fewer questions asked.

For what `from pipeline.kernels import kernel_part, plain_kernel` compiles. numba resolves each operator's signature
again while it lowers, writes an array's whole structure out for each item, and empties each variable where its life
ends. None of that is needed for numbers and arrays without reference counts; the results are the same.
"""

from __future__ import annotations

import operator
from typing import Any

from numba.core import ir, types
from numba.core.compiler_machinery import PassManager
from numba.core.lowering import Lower

_DIRECT = frozenset(
    (
        operator.add, operator.sub, operator.mul, operator.floordiv, operator.truediv, operator.mod, operator.and_,
        operator.or_, operator.xor, operator.lshift, operator.rshift, operator.eq, operator.ne, operator.lt,
        operator.le, operator.gt, operator.ge,
    )
)  # fmt: skip
"""Operators without an implementation of its own for constants."""
_NUMBERS = (types.Integer, types.Float, types.Boolean)
_implementations: dict[Any, Any] = {}


class PlainLower(Lower):
    """Lowers numbers and arrays that nobody counts references to."""

    def lower_inst(self, inst: Any) -> None:
        """One instruction; variables need no emptying."""
        if isinstance(inst, ir.Del):
            return
        if isinstance(inst, ir.Assign) and not isinstance(inst.value, ir.Arg):
            self.storevar(self.lower_assign(self.typeof(inst.target.name), inst), inst.target.name)
            return
        super().lower_inst(inst)

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:
        """Store into a variable; what it held before needs no look."""
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))

    def _implementation(self, function: Any, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """(implementation, signature) of an operator for some types, looked up once."""
        key = function, args
        found = _implementations.get(key)
        if found is None:
            kind = self.context.typing_context.resolve_value_type(function)
            signature = kind.get_call_type(self.context.typing_context, args, {})
            found = _implementations[key] = self.context.get_function(kind, signature), signature
        return found

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """An operator of two numbers."""
        signature = self.fndesc.calltypes[expr]
        if op not in _DIRECT or not all(isinstance(one, _NUMBERS) for one in signature.args):
            return super().lower_binop(resty, expr, op)
        implementation, _ = self._implementation(op, signature.args)
        sides = [
            self.context.cast(self.builder, self.loadvar(var.name), self.typeof(var.name), wanted)
            for var, wanted in zip((expr.lhs, expr.rhs), signature.args, strict=True)
        ]
        return self.context.cast(self.builder, implementation(self.builder, sides), signature.return_type, resty)

    def _item(self, array_type: Any, index_type: Any, array: Any, index: Any) -> Any:
        """The pointer to an item; indices below zero count from the end, as numba has it."""
        model, builder = self.context.data_model_manager[array_type], self.builder
        if index_type.signed:
            index = self.context.cast(builder, index, index_type, types.intp)
            size = builder.extract_value(array, [model.get_field_position("shape"), 0])
            negative = builder.icmp_signed("<", index, index.type(0))
            index = builder.select(negative, builder.add(size, index), index)
        else:
            index = self.context.cast(builder, index, index_type, types.uintp)
        return builder.gep(builder.extract_value(array, model.get_field_position("data")), [index])

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        """array[index]"""
        array_type, index_type = signature.args
        if not _simple(array_type, index_type):
            return super().lower_getitem(resty, expr, value, index, signature)
        at = self.context.cast(self.builder, self.loadvar(index.name), self.typeof(index.name), index_type)
        place = self._item(array_type, index_type, self.loadvar(value.name), at)
        item = self.context.unpack_value(self.builder, array_type.dtype, place)
        return self.context.cast(self.builder, item, array_type.dtype, resty)

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> Any:
        """array[index] = number"""
        array_type, index_type, value_type = signature.args
        if not _simple(array_type, index_type) or not isinstance(value_type, _NUMBERS):
            return super().lower_setitem(target_var, index_var, value_var, signature)
        at = self.context.cast(self.builder, self.loadvar(index_var.name), self.typeof(index_var.name), index_type)
        place = self._item(array_type, index_type, self.loadvar(target_var.name), at)
        given = self.loadvar(value_var.name)
        item = self.context.cast(self.builder, given, self.typeof(value_var.name), value_type)
        item = self.context.cast(self.builder, item, value_type, array_type.dtype)
        return self.context.pack_value(self.builder, array_type.dtype, item, place)


def _simple(array_type: Any, index_type: Any) -> bool:
    """Whether this is one number of a flat, contiguous array."""
    return (
        isinstance(array_type, types.Array)
        and array_type.ndim == 1
        and array_type.layout == "C"
        and array_type.aligned
        and isinstance(array_type.dtype, _NUMBERS)
        and isinstance(index_type, types.Integer)
    )


class PlainPasses(PassManager):
    """numba's passes in order. Those that need variables' lives compute them; the others leave no use for them."""

    def _runPass(self, index: int, pss: Any, internal_state: Any) -> None:
        pss.analysis = self._analysis
        pss.run_initialization(internal_state)
        pss.run_pass(internal_state)
        pss.run_finalizer(internal_state)
