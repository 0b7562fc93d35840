"""RMSNorm (Zhang and Sennrich 2019), in few passes over memory on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.RMSNorm):
    """`nn.RMSNorm` over the last dimension, whose eager CPU form takes 3 to 6 times as long as a layer norm.

    The result has the input's type; sums are float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        assert self.eps is not None
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            return _RMSNorm.apply(x, self.weight, self.eps)
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class _RMSNorm(torch.autograd.Function):
    """y = x r w with r = (mean(x^2) + eps)^-1/2; dx = r g w - x r^3 (g x . w) / D; dw = sum(r g x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        root = norm.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, root)
        return torch.mul(x, root).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, root = ctx.saved_tensors
        width, dtype = x.shape[-1], x.dtype
        x, weight, grad = x.float(), weight.float(), grad.float()
        products = (grad * x).reshape(-1, width)
        grad_weight = torch.mv(products.t(), root.flatten())
        along = torch.mv(products, weight).view(root.shape).mul_(root * root).mul_(root * (-1 / width))
        return torch.mul(grad, weight).mul_(root).addcmul_(x, along).to(dtype), grad_weight, None
