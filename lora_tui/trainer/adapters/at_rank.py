"""A layer and the LoRA beside it in one: scaled where it is narrow, added where the layer's own product lies.

What peft computes is ``base(x) + up(down(x)) * scale``: a product, a scaling and a sum at the full width of the output,
and of its gradient another two. Here the numbers of one rank are scaled instead, and both matrices' products are added
by the multiplication itself, forward and back. The slow twin is peft's own forward pass, which is still taken wherever
something stands between (a hook, another type of number, an adapter that is switched off).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.families.quantized import Form, QuantizedLinear, input_gradient, product


class AtRank:
    """The forward pass of peft's LoRA ``layer``, linear or a convolution, for its adapter ``name``."""

    def __init__(self, layer: Any, name: str) -> None:
        self._layer, self._name = layer, name
        self._plain: Callable[..., Tensor] = layer.forward
        self._down: nn.Module = layer.lora_A[name]
        self._up: nn.Module = layer.lora_B[name]

    def __call__(self, x: Tensor, *args: Any, **named: Any) -> Tensor:
        layer = self._layer
        if layer.disable_adapters or args or named:
            return self._plain(x, *args, **named)
        base, scale, mixed = layer.base_layer, layer.scaling[self._name], torch.is_autocast_enabled(x.device.type)
        kind = torch.get_autocast_dtype(x.device.type) if mixed else x.dtype
        whole = mixed or kind == torch.float32  # otherwise the adapter works in finer numbers than its base
        if whole and _is_alone(self._down, base, kind):
            packed = base.form if type(base) is QuantizedLinear else None
            factors = base.factors if packed else None
            found: Tensor = _Beside.apply(
                x.to(kind), base.weight, factors, base.bias, self._down.weight, self._up.weight, scale, packed
            )
            return found
        out: Tensor = base(x)
        narrow = self._down(x if mixed else x.to(self._down.weight.dtype))  # type: ignore[arg-type]
        added = self._up(narrow if scale == 1.0 else narrow * scale)
        return (out + added).to(out.dtype)


def _is_alone(down: nn.Module, base: nn.Module, kind: torch.dtype) -> bool:
    """Whether both are matrices that nothing else works on, the base's packed or of the type ``kind``."""
    if type(down) is not nn.Linear or down._forward_hooks:
        return False
    if base._forward_hooks or base._forward_pre_hooks or "forward" in base.__dict__:
        return False
    return type(base) is QuantizedLinear or (type(base) is nn.Linear and base.weight.dtype == kind)


class _Beside(torch.autograd.Function):
    """x times the transposed weight, plus bias, plus what the LoRA adds; gradients of x and both matrices."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, factors: Tensor | None, bias: Tensor | None, down: Tensor, up: Tensor,
        scale: float, packed: Form | None,
    ) -> Tensor:  # fmt: skip
        rows = x.reshape(-1, x.shape[-1])
        narrow = rows @ down.to(x.dtype).t()
        if scale != 1.0:
            narrow *= scale
        if packed is None or factors is None:
            out = nn.functional.linear(x, weight, bias)
        else:
            out = product(x, weight, factors, packed)
            if bias is not None:
                out += bias.to(out.dtype)
        out.view(-1, out.shape[-1]).addmm_(narrow, up.to(x.dtype).t())
        ctx.save_for_backward(x, narrow, weight, factors, down, up)
        ctx.scale, ctx.packed = scale, packed
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, narrow, weight, factors, down, up = ctx.saved_tensors
        wide = gradient.reshape(-1, gradient.shape[-1])
        back = wide @ up.to(wide.dtype)
        if ctx.scale != 1.0:
            back *= ctx.scale
        of_x = of_down = of_up = None
        if ctx.needs_input_grad[0]:
            found = wide @ weight if ctx.packed is None else input_gradient(wide, weight, factors, ctx.packed)
            of_x = found.addmm_(back, down.to(wide.dtype)).view(x.shape)
        if ctx.needs_input_grad[4]:
            of_down = (back.t() @ x.reshape(-1, x.shape[-1])).to(down.dtype)
        if ctx.needs_input_grad[5]:
            of_up = (wide.t() @ narrow).to(up.dtype)
        return of_x, None, None, None, of_down, of_up, None, None
