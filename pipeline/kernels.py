"""Compiled kernels: `kernel` is numba's njit without the GIL, with a cache that can't go stale.

Numba's own cache looks at the file of the function alone: it stays as it was when a function that is
called from another file changes. So the cache folder (`cache.cache_folder`) is named by a hash over all files that
hold kernels, and by the versions of numba and numpy (numba itself adds the CPU).
"""

from __future__ import annotations

import gc
import hashlib
import operator
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.event import Event, Listener, register
from numba.core.typed_passes import NativeLowering, NopythonTypeInference
from numba.core.types.misc import unliteral

from .cache import cache_folder
from .lowering import PlainLower, PlainPasses

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("pipeline", "filters", "dedup", "decontam", "mixtures", "pretrain")
_MARK = b"kernels import kernel"  # how a file that holds kernels says so


def _sources_hash() -> str:
    digest = hashlib.blake2b(f"{numba.__version__} {numpy.__version__}".encode(), digest_size=10)
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            source = path.read_bytes()
            if _MARK in source:
                digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + source)
    return digest.hexdigest()


numba.config.CACHE_DIR = str(cache_folder(f"kernels-{_sources_hash()}"))


class _FewCollections(Listener):
    """While numba compiles, collect garbage less often: what it builds is large and alive, and is searched in vain."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before = gc.get_threshold()

    def on_start(self, event: Event) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._before = gc.get_threshold()
                if gc.isenabled() and self._before[0] > 0:
                    gc.set_threshold(max(self._before[0], 100_000), *self._before[1:])

    def on_end(self, event: Event) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                gc.set_threshold(*self._before)


register("numba:compile", _FewCollections())


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, for every argument type anew; later processes load it from the cache."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)


_LEFT_OUT = {
    "WithLifting", "InlineClosureLikes", "RewriteSemanticConstants", "DeadBranchPrune", "GenericRewrites",
    "RewriteDynamicRaises", "MakeFunctionToJitFunction", "InlineInlinables", "FindLiterallyCalls", "LiteralUnroll",
    "LiteralPropagationSubPipelinePass", "InlineOverloads", "NopythonRewrites", "NoPythonSupportedFeatureValidation",
    "DumpParforDiagnostics", "IRLegalization", "AnnotateTypes",
}  # fmt: skip
"""numba's passes for what parts don't have: closures, generators, array expressions, exceptions, objects.

And two that nothing here reads: where variables end, and the types beside the source.
"""

_PLAIN = (types.Number, types.Boolean, types.Literal, types.Array)
_OPERATORS = frozenset((bool, len, range, *(value for value in vars(operator).values() if callable(value))))


class _PlainLibrary(JITCodeLibrary):
    """Code without reference counts: optimised once, with all of its parts in it."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _PartLibrary(_PlainLibrary):
    """Code that is only ever linked into a kernel's: optimised and turned into machine code there, once."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _PlainLowering(NativeLowering):
    """Lowers what is plain."""

    lowering_class = PlainLower

    def run_pass(self, state: Any) -> bool:
        if state.library is None:
            state.library = _PlainLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        return bool(super().run_pass(state))


class _PartLowering(_PlainLowering):
    """Lowers a part to LLVM's code and leaves the rest to the kernels that it becomes a part of."""

    def run_pass(self, state: Any) -> bool:
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        entry: Any = [].pop  # numba wants a built-in function for each; called from Python, this one raises
        state.targetctx.insert_user_function(entry, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=entry)
        return True


class _RememberedTyping:
    """numba's typing context, but what operators give for numbers and arrays is looked up once for all parts.

    numba asks every overload of an operator anew for each of its uses.
    """

    _signatures: dict[Any, Any] = {}

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        """The signature of a call, as the context resolves it; a constant is no type of its own for another part."""
        if isinstance(function, types.Dispatcher):
            args = tuple(unliteral(one) for one in args)
        plain = not kws and all(isinstance(one, _PLAIN) for one in args)
        if not plain or getattr(function, "typing_key", function) not in _OPERATORS:
            return self._context.resolve_function_type(function, args, kws)
        key = function, tuple(args)
        found = self._signatures.get(key)
        if found is None:
            found = self._signatures[key] = self._context.resolve_function_type(function, args, kws)
        return found

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
        """The signature of an assignment to an item, as the context resolves it."""
        function = self._context.resolve_value_type(operator.setitem)
        return self.resolve_function_type(function, (target, index, value), {})


class _PartTyping(NopythonTypeInference):
    """Type inference by the remembered signatures."""

    def run_pass(self, state: Any) -> bool:
        context = state.typingctx
        state.typingctx = _RememberedTyping(context)
        try:
            return bool(super().run_pass(state))
        finally:
            state.typingctx = context


register_pass(mutates_CFG=True, analysis_only=False)(_PartTyping)
register_pass(mutates_CFG=True, analysis_only=False)(_PlainLowering)
register_pass(mutates_CFG=True, analysis_only=False)(_PartLowering)


class _PlainCompiler(CompilerBase):
    """numba's compiler with fewer passes and the remembered signatures."""

    own: dict[Any, Any] = {NopythonTypeInference: _PartTyping, NativeLowering: _PlainLowering}

    def define_pipelines(self) -> list[Any]:
        """numba's passes but for those left out; some are exchanged for our own."""
        manager = PlainPasses("plain")
        for which, text in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            if which.__name__ not in _LEFT_OUT:
                manager.add_pass(self.own.get(which, which), text)
        manager.finalize()
        return [manager]


class _PartCompiler(_PlainCompiler):
    own = {NopythonTypeInference: _PartTyping, NativeLowering: _PartLowering}


def plain_kernel(function: Callable[..., Any]) -> Any:
    """As `kernel`, and compiled faster, for what is written as parts are: with no array made, nor returned."""
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    return numba.njit(cache=True, _nrt=False, pipeline_class=_PlainCompiler, **options)(function)


def kernel_part(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call and Python does not: with no cache, wrapper or reference counts of its own.

    Parts keep a long kernel's compilation short, which grows faster than its length. A part allocates nothing and
    makes no array or view: counting the references to its arrays (NRT) would cost more than most parts do. It may
    use numbers, arrays, loops, tuples and other parts; numba's passes for the rest of Python are left out.
    """
    options = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(_nrt=False, pipeline_class=_PartCompiler, **options)(function)


@kernel_part
def smaller(a, b):  # type: ignore[no-untyped-def]
    """The smaller of two numbers; numba's `min` takes several times as long to compile."""
    return a if a <= b else b


@kernel_part
def larger(a, b):  # type: ignore[no-untyped-def]
    """The larger of two numbers."""
    return a if a >= b else b
