"""Frozen linear layers whose weights take 8 or 4 bits: a base model that is only read, in less memory.

Rows of a matrix share a factor (``int8``, ``fp8``), or runs of 64 values do (``nf4``). A product works on the stored
numbers as they are, which half precision holds exactly, and multiplies its results by the factors; nothing but the
stored numbers is kept for the backward pass. Gradients flow to the inputs and never to the weights. Where it is asked
for, those of ``int8`` and ``fp8`` are multiplied in 8 bits (:mod:`lora_tui.families.eight_bits`).

Sources: symmetric quantisation by the largest magnitude (Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", with no zero point); FP8 E4M3 (Micikevicius et al. 2022,
"FP8 Formats for Deep Learning"); NF4 (Dettmers et al. 2023, "QLoRA", appendix E).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lora_tui.families import eight_bits

Kind = Literal["int8", "fp8", "nf4"]
RUN = 64
"""Values that share a factor in nf4."""
LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""What the sixteen numbers of nf4 stand for: quantiles of a normal distribution, 0 and both ends among them."""
_LARGEST = {"int8": 127.0, "fp8": 448.0}
Form = tuple[Kind, tuple[int, int], bool]
"""How a weight is stored, its [outputs, inputs], and whether it is multiplied in 8 bits."""


def quantize(weight: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """The numbers and factors that stand for ``weight`` ([outputs, inputs]).

    Returns:
        ``int8``, ``fp8``: [outputs, inputs] and [outputs, 1] float32; numbers of eight bits with a fraction are stored
        as bytes, so that no library takes their type for one to work in. ``nf4``: [outputs * inputs / 2] bytes, the
        first of two values in the high half, and [runs, 1] float32; a last run that is short is filled up with zeros.
    """
    values = weight.detach().float()
    if kind == "nf4":
        return _quantize_nf4(values)
    largest = _LARGEST[kind]
    factors = values.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / largest
    if kind == "int8":
        return (values / factors).round().clamp(-largest, largest).to(torch.int8), factors
    return (values / factors).clamp(-largest, largest).to(torch.float8_e4m3fn).view(torch.uint8), factors


def dequantize(numbers: Tensor, factors: Tensor, kind: Kind, shape: torch.Size | tuple[int, int]) -> Tensor:
    """The weight ([outputs, inputs], float32) that ``numbers`` and ``factors`` stand for."""
    if kind == "nf4":
        return _nf4_weight(numbers, factors, shape, torch.float32)
    return _rows(numbers, kind, torch.float32) * factors


class QuantizedLinear(nn.Linear):
    """A linear layer with such a weight; everything else of it is ``nn.Linear``'s, so that adapters attach to it.

    ``weight`` holds the stored numbers and ``factors`` what they are multiplied by; both are frozen. ``in_eight_bits``
    says whether what goes in is rounded to 8 bits, too, and multiplied so.
    """

    factors: Tensor
    in_eight_bits = False

    def __init__(self, inputs: int, outputs: int, kind: Kind, *, bias: bool, dtype: torch.dtype) -> None:
        """An empty layer on the ``meta`` device, to be filled by :meth:`fill` or from a state dict.

        ``dtype`` is that of the bias and of what the layer gives where its input is of no other.
        """
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.kind = inputs, outputs, kind
        with torch.device("meta"):
            numbers, factors = quantize(torch.empty(outputs, inputs), kind)
            self.weight = nn.Parameter(numbers, requires_grad=False)
            self.register_buffer("factors", factors)
            self.bias = nn.Parameter(torch.empty(outputs, dtype=dtype), requires_grad=False) if bias else None

    def fill(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take ``weight``, and ``bias`` where the layer has one, from a layer in full precision."""
        numbers, factors = quantize(weight, self.kind)
        self.weight = nn.Parameter(numbers, requires_grad=False)
        self.factors = factors
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        if torch.is_autocast_enabled(inputs.device.type):
            inputs = inputs.to(torch.get_autocast_dtype(inputs.device.type))
        product: Tensor = _Product.apply(inputs, self.weight, self.factors, self.form)
        return product if self.bias is None else product + self.bias.to(product.dtype)

    @property
    def form(self) -> Form:
        """What :func:`product` has to know of the weight."""
        return self.kind, (self.out_features, self.in_features), self.in_eight_bits

    def full_weight(self) -> Tensor:
        """The weight that is stored, [outputs, inputs] in float32."""
        return dequantize(self.weight, self.factors, self.kind, (self.out_features, self.in_features))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> QuantizedLinear:
        """Move to a device, never to another type: the stored numbers mean nothing else than they are."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(fn(torch.empty(0, dtype=tensor.dtype, device=tensor.device)).device)

        done: Any = nn.Module._apply(self, moved if self.weight.device.type != "meta" else fn, recurse)
        return done  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.kind}"


def full_weight(layer: nn.Module) -> Tensor:
    """The weight of a linear layer or a convolution, packed or not, in float32 where it lies."""
    if isinstance(layer, QuantizedLinear):
        return layer.full_weight()
    weight: Any = layer.weight
    found: Tensor = weight.float()
    return found


def quantize_linears(
    module: nn.Module,
    kind: Kind,
    which: Callable[[str], bool] = lambda name: True,
    *,
    device: torch.device | None = None,
) -> int:
    """Turn the linear layers of ``module`` into :class:`QuantizedLinear`, those whose name ``which`` takes.

    They stay the same objects, so that whatever works beside a layer goes on to: adapters and hooks. Layers on the
    ``meta`` device become empty ones there; others are packed on ``device``, where one is given, and stay there. One
    layer at a time is in memory twice.

    Returns:
        How many layers were packed.
    """
    count = 0
    for name, layer in list(_linears(module)):
        if not which(name):
            continue
        new = QuantizedLinear(
            layer.in_features, layer.out_features, kind, bias=layer.bias is not None, dtype=layer.weight.dtype
        )
        if layer.weight.device.type != "meta":
            new.fill(layer.weight.to(device), None if layer.bias is None else layer.bias.to(device))
        _become(layer, new)
        count += 1
    return count


def multiply_in_eight_bits(module: nn.Module, wanted: bool) -> None:
    """Have the layers of ``module`` that are stored as ``int8`` or ``fp8`` multiply so, or no longer.

    Layers of ``int8`` wider than :data:`lora_tui.families.eight_bits.LONGEST`, whose sums might not fit, never do.
    """
    for layer in module.modules():
        if isinstance(layer, QuantizedLinear):
            fits = max(layer.in_features, layer.out_features) <= eight_bits.LONGEST
            layer.in_eight_bits = wanted and (layer.kind == "fp8" or (layer.kind == "int8" and fits))


def try_products(module: nn.Module) -> None:
    """Try what the devices know of the products of ``module`` in 8 bits, which a compiler that looks on cannot."""
    for layer in module.modules():
        if isinstance(layer, QuantizedLinear) and layer.in_eight_bits and layer.kind == "fp8":
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                eight_bits.scales_rows(layer.weight.device, dtype)


def _become(layer: nn.Linear, new: QuantizedLinear) -> None:
    """Make ``layer`` what ``new`` is, with what it stores."""
    layer.__class__ = QuantizedLinear
    layer.kind = new.kind  # type: ignore[assignment]
    layer.weight, layer.bias = new.weight, new.bias
    layer.register_buffer("factors", new.factors)


class _Product(torch.autograd.Function):
    """inputs [..., inputs] times the transposed weight; the gradient of the inputs alone."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, numbers: Tensor, factors: Tensor, form: Form) -> Tensor:
        ctx.save_for_backward(numbers, factors)
        ctx.form = form
        return product(inputs, numbers, factors, form)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return input_gradient(gradient, *ctx.saved_tensors, ctx.form), None, None, None


def product(inputs: Tensor, numbers: Tensor, factors: Tensor, form: Form) -> Tensor:
    """``inputs`` [..., inputs] times the transposed weight, in their type."""
    kind, shape, in_eight_bits = form
    if in_eight_bits:
        return eight_bits.forward(inputs, numbers, factors)
    if kind == "nf4":
        return inputs @ _nf4_weight(numbers, factors, shape, inputs.dtype).T
    return (inputs @ _rows(numbers, kind, inputs.dtype).T) * factors[:, 0].to(inputs.dtype)


def input_gradient(gradient: Tensor, numbers: Tensor, factors: Tensor, form: Form) -> Tensor:
    """The gradient of the inputs of :func:`product`, from that of what it gave."""
    kind, shape, in_eight_bits = form
    if in_eight_bits:
        return eight_bits.input_gradient(gradient, numbers, factors)
    if kind == "nf4":
        return gradient @ _nf4_weight(numbers, factors, shape, gradient.dtype)
    return (gradient * factors[:, 0].to(gradient.dtype)) @ _rows(numbers, kind, gradient.dtype)


def _rows(numbers: Tensor, kind: Kind, dtype: torch.dtype) -> Tensor:
    """The stored numbers of ``int8`` or ``fp8`` as numbers of ``dtype``: [outputs, inputs]."""
    return (numbers.view(torch.float8_e4m3fn) if kind == "fp8" else numbers).to(dtype)


def _quantize_nf4(values: Tensor) -> tuple[Tensor, Tensor]:
    flat = values.reshape(-1)
    flat = torch.cat([flat, flat.new_zeros(-flat.numel() % RUN)]).view(-1, RUN)
    factors = flat.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)
    levels = _table(torch.float32, values.device)
    between = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(flat / factors, between).to(torch.uint8).view(-1, 2)
    return codes[:, 0] << 4 | codes[:, 1], factors


@cache
def _table(dtype: torch.dtype, device: torch.device) -> Tensor:
    """``LEVELS`` where they are needed: copied there once, as a copy waits for the device."""
    return torch.tensor(LEVELS, dtype=dtype, device=device)


def _levels(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """What the values of ``numbers`` (nf4) stand for, before their factors: [2 * bytes]."""
    table = _table if not torch.compiler.is_compiling() else _table.__wrapped__  # a program keeps its constants
    return table(dtype, numbers.device)[torch.stack([numbers >> 4, numbers & 15], dim=1).int()].view(-1)


def _nf4_weight(numbers: Tensor, factors: Tensor, shape: torch.Size | tuple[int, int], dtype: torch.dtype) -> Tensor:
    runs = _levels(numbers, dtype).view(-1, RUN) * factors.to(dtype)
    return runs.view(-1)[: shape[0] * shape[1]].view(shape)


def _linears(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear) and not isinstance(layer, QuantizedLinear) and name:
            yield name, layer
