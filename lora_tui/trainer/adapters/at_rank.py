"""A layer and the LoRA beside it in one: scaled where it is narrow, added where the layer's own product lies.

What peft computes is ``base(x) + up(down(x)) * scale``: a product, a scaling and a sum at the full width of the output,
and of its gradient another two. Here the numbers of one rank are scaled instead, and both matrices' products are added
by the multiplication itself, forward and back. The slow twin is peft's own forward pass, which is still taken wherever
something stands between (a hook, another type of number, an adapter that is switched off).

There are hundreds of such layers, and in a narrow model a call takes as long as what it computes: what a layer asks of
torch is as little as can be, and nothing is converted that is of the right type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

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
        place, down, up = x.device.type, self._down, self._up
        base, scale, mixed = layer.base_layer, layer.scaling[self._name], torch.is_autocast_enabled(place)
        kind = torch.get_autocast_dtype(place) if mixed else x.dtype
        whole = mixed or kind == torch.float32  # otherwise the adapter works in finer numbers than its base
        if whole and _is_alone(down, base, kind):
            packed = base.form if type(base) is QuantizedLinear else None
            factors = base.factors if packed else None
            return _Beside.apply(  # type: ignore[no-any-return]
                _as(kind, x), base.weight, factors, base.bias, down.weight, up.weight, scale, packed
            )
        if whole and x.dim() == 4 and _is_pointwise(down, base, kind) and _lies_last(base.weight):
            matrices = (base.weight.flatten(1), None, base.bias, down.weight.flatten(1), up.weight.flatten(1))
            points = _as(kind, x).permute(0, 2, 3, 1).contiguous()  # a view of what lies so already
            return _Beside.apply(points, *matrices, scale, None).permute(0, 3, 1, 2)  # type: ignore[no-any-return]
        if whole and place == "cpu" and x.dim() == 4 and _is_pointwise(down, base, kind):
            return _Pointwise.apply(_as(kind, x), base.weight, base.bias, down.weight, up.weight, scale)  # type: ignore[no-any-return]
        out: Tensor = base(x)
        narrow = down(x if mixed else x.to(down.weight.dtype))  # type: ignore[arg-type]
        added = up(narrow if scale == 1.0 else narrow * scale)
        return (out + added).to(out.dtype)


def _is_alone(down: nn.Module, base: nn.Module, kind: torch.dtype) -> bool:
    """Whether both are matrices that nothing else works on, the base's packed or of the type ``kind``."""
    if type(down) is not nn.Linear or down._forward_hooks:
        return False
    if base._forward_hooks or base._forward_pre_hooks or "forward" in base.__dict__:
        return False
    return type(base) is QuantizedLinear or (type(base) is nn.Linear and base.weight.dtype == kind)


def _is_pointwise(down: nn.Module, base: nn.Module, kind: torch.dtype) -> bool:
    """The same of convolutions of single points, which are products with a matrix for each image."""
    if type(down) is not nn.Conv2d or type(base) is not nn.Conv2d or base.weight.dtype != kind:
        return False
    if down._forward_hooks or base._forward_hooks or base._forward_pre_hooks or "forward" in base.__dict__:
        return False
    return all(
        (one.kernel_size, one.stride, one.padding, one.groups) == ((1, 1), (1, 1), (0, 0), 1) for one in (down, base)
    )


def _lies_last(weight: Tensor) -> bool:
    """Whether a weight of single points says by its strides that its channels lie side by side."""
    return weight.stride(2) == weight.shape[1] > 1


def _as(kind: torch.dtype, tensor: Tensor) -> Tensor:
    """``tensor`` in numbers of ``kind``, without a call where it has them."""
    return tensor if tensor.dtype == kind else tensor.to(kind)


class _Beside(torch.autograd.Function):
    """x times the transposed weight, plus bias, plus what the LoRA adds; gradients of x and both matrices."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, factors: Tensor | None, bias: Tensor | None, down: Tensor, up: Tensor,
        scale: float, packed: Form | None,
    ) -> Tensor:  # fmt: skip
        kind = x.dtype
        low, high = _as(kind, down), _as(kind, up)  # kept, too: small, and converted once
        narrow = linear(x.reshape(-1, x.shape[-1]), low)
        if scale != 1.0:
            narrow *= scale
        if packed is None or factors is None:
            out = linear(x, weight, bias)
        else:
            out = product(x, weight, factors, packed)
            if bias is not None:
                out += _as(out.dtype, bias)
        out.view(-1, out.shape[-1]).addmm_(narrow, high.t())
        ctx.save_for_backward(x, narrow, weight, factors, low, high)
        ctx.scale, ctx.packed, ctx.kinds = scale, packed, (down.dtype, up.dtype)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, narrow, weight, factors, low, high = ctx.saved_tensors
        wanted, kind = ctx.needs_input_grad, gradient.dtype
        wide = gradient.reshape(-1, gradient.shape[-1])
        back = wide.mm(_as(kind, high))
        if ctx.scale != 1.0:
            back *= ctx.scale
        of_x = of_down = of_up = None
        if wanted[0]:
            found = wide.mm(weight) if ctx.packed is None else input_gradient(wide, weight, factors, ctx.packed)
            of_x = found.addmm_(back, _as(kind, low)).view(x.shape)
        if wanted[4]:
            of_down = _as(ctx.kinds[0], back.t().mm(x.reshape(-1, x.shape[-1])))
        if wanted[5]:
            of_up = _as(ctx.kinds[1], wide.t().mm(narrow))
        return of_x, None, None, None, of_down, of_up, None, None


class _Pointwise(torch.autograd.Function):
    """The same of a convolution of single points: x is [batch, channels, height, width], in whose order it stays."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        count, kind = x.shape[0], x.dtype
        flat = x.flatten(2)
        narrow = torch.bmm(_each(_as(kind, down), count), flat)
        if scale != 1.0:
            narrow *= scale
        matrix = _each(weight, count)
        out = torch.bmm(matrix, flat) if bias is None else torch.baddbmm(bias[:, None], matrix, flat)
        out.baddbmm_(_each(_as(kind, up), count), narrow)
        ctx.save_for_backward(x, narrow, weight, down, up)
        ctx.scale = scale
        return out.view(count, -1, *x.shape[2:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, narrow, weight, down, up = ctx.saved_tensors
        wanted, count, kind = ctx.needs_input_grad, x.shape[0], gradient.dtype
        wide = gradient.flatten(2)
        back = torch.bmm(_each(_as(kind, up), count).transpose(1, 2), wide)
        if ctx.scale != 1.0:
            back *= ctx.scale
        of_x = of_down = of_up = None
        if wanted[0]:
            found = torch.bmm(_each(weight, count).transpose(1, 2), wide)
            of_x = found.baddbmm_(_each(_as(kind, down), count).transpose(1, 2), back).view(x.shape)
        if wanted[3]:
            of_down = _as(down.dtype, torch.bmm(back, x.flatten(2).transpose(1, 2)).sum(0)).view(down.shape)
        if wanted[4]:
            of_up = _as(up.dtype, torch.bmm(wide, narrow.transpose(1, 2)).sum(0)).view(up.shape)
        return of_x, None, None, of_down, of_up, None


def _each(matrix: Tensor, count: int) -> Tensor:
    """The weight of a convolution of single points as ``count`` matrices, which are one in memory."""
    return matrix.flatten(1).expand(count, -1, -1)
