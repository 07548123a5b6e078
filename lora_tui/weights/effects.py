"""What an adapter of each kind does beside a layer of the base model, which itself stays as it is.

The same code works while an adapter is trained and when its file is drawn with, so that both give the same image. A
layer's own matrix is needed as such only for sizes of its columns (DoRA): what turns or scales it (OFT, BOFT, (IA)^3)
works on what the layer gives, so that packed and streamed layers serve as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lora_tui.families.quantized import full_weight
from lora_tui.weights import algebra
from lora_tui.weights.kinds import NORM, OFT, SCALAR, SIZES, TURNED

#: Where an effect stands among the parts of its layer.
CHILD = "lora_tui_effect"
#: Changes what is added to a layer's output: layer, what goes into it, what is added.
Changed = Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor | None]


class Effect(nn.Module):
    """One layer's adapter.

    Attributes:
        kind: ``loha``, ``lokr``, ``glora``, ``ia3``, ``full``, ``oft`` or ``boft``; or ``norm``, for a norm's numbers.
        scale: alpha / rank, of the kinds that have one.
        bound: of OFT and BOFT, how far they may turn, where the tensors do not say it: times the number of outputs the
            highest norm of all blocks of a layer.
        strength: tells how strongly it works now; at 0 the layer's own numbers are left, bit for bit.
        changed: changes what is added, while it learns.
    """

    def __init__(
        self,
        kind: str,
        tensors: Mapping[str, Tensor],
        *,
        scale: float = 1.0,
        bound: float = 0.0,
        strength: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """``tensors`` by their names in files; those that are no floating point numbers stay as they are."""
        super().__init__()
        self.kind, self.scale, self.bound, self.strength = kind, scale, bound, strength
        if kind in TURNED and "alpha" in tensors:
            self.bound = float(tensors["alpha"].detach())
        self._on_input = kind == "ia3" and bool(tensors["on_input"])  # read here, once: later the device would wait
        self.changed: Changed | None = None
        self._names = {name: name.replace(".", "__") for name in tensors}
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                self.register_parameter(self._names[name], nn.Parameter(tensor))
            else:
                self.register_buffer(self._names[name], tensor)

    def tensors(self) -> dict[str, Tensor]:
        """By their names in files."""
        return {name: getattr(self, own) for name, own in self._names.items()}

    def attach(self, layer: nn.Module) -> Any:
        """Work beside ``layer``; the handle that is returned ends it."""
        layer.add_module(CHILD, self)
        return layer.register_forward_hook(self._after)

    def _after(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self.strength() == 0:
            return None
        base = alone(layer, self._after, inputs, output) if self.kind in ("ia3", "oft", "boft") else output
        if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.parameters()):
            # what a weight would take is computed again in the backward pass, and never kept
            own = base if self.kind in ("ia3", "oft", "boft") else inputs[0]
            added: Any = checkpoint(self._added, layer, inputs[0], own, use_reentrant=False, preserve_rng_state=False)
        else:
            added = self._added(layer, inputs[0], base)
        if self.changed is not None:
            changed = self.changed(layer, inputs, added)
            added = added if changed is None else changed
        return output + added.to(output.dtype)

    def _added(self, layer: nn.Module, values: Tensor, output: Tensor) -> Tensor:
        """What is added to ``output`` at the strength; only those that turn or scale it look at it."""
        tensors = self.tensors()
        if self.kind in ("loha", "lokr", "full"):
            return self._beside(layer, values, tensors) * self.strength()
        if self.kind == "glora":
            return self._glora(layer, values, tensors) * self.strength()
        if self.kind == NORM:
            return self._normed(layer, values, tensors) * self.strength()
        if self.kind == "ia3":
            return self._scaled(layer, values, output, tensors) * self.strength()
        return self._turned(layer, output, tensors)

    def _beside(self, layer: nn.Module, values: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """What the weight gives that is added to the layer's; where it has sizes, with those that it then has."""
        update = self._update(layer, tensors)
        if SIZES in tensors:
            weight = full_weight(layer)
            whole = weight + update
            update = whole * algebra.size_factors(whole, tensors[SIZES]) - weight
        return _layer(layer, values.to(update.dtype), update, tensors.get("diff_b"))

    def _update(self, layer: nn.Module, tensors: Mapping[str, Tensor]) -> Tensor:
        update = algebra.update(self.kind, tensors).reshape(_shape(layer)) * self.scale
        return update * tensors[SCALAR] if SCALAR in tensors else update

    def whole(self, layer: nn.Module) -> Tensor:
        """The weight of ``layer`` with what is added to it by LoHa, LoKr or a full difference, before any sizes."""
        weight = full_weight(layer)
        update = self._update(layer, self.tensors())
        return weight.to(update.device) + update

    def _glora(self, layer: nn.Module, values: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """W A + B: the layer without its bias on what A gives, and B's own (Chavan et al. 2023, "GLoRA")."""
        values = values.to(tensors["a1.weight"].dtype)
        inner = _small(layer, _small(layer, values, tensors["a2.weight"]), tensors["a1.weight"])
        whole = layer.forward(inner.to(_dtype(layer, inner)))
        below = _layer(layer, values, tensors["b2.weight"], None)
        return (_without_bias(layer, whole) + _small(layer, below, tensors["b1.weight"])) * self.scale

    def _scaled(self, layer: nn.Module, values: Tensor, output: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """Inputs or outputs times a number each (Liu et al. 2022, "(IA)^3")."""
        factors = tensors["weight"].reshape(_channels(layer))
        if self._on_input:
            scaled = values * factors.to(values.dtype)
            return _without_bias(layer, layer.forward(scaled.to(_dtype(layer, scaled))))
        return _without_bias(layer, output) * factors

    def _normed(self, layer: nn.Module, values: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """What the differences of a norm's weight and bias add to what it gives."""
        channels = (1, -1, *[1] * (values.dim() - 2)) if isinstance(layer, nn.GroupNorm) else (-1,)
        added = normed(layer, values.float()) * tensors["w_norm"].reshape(channels)
        return added + tensors["b_norm"].reshape(channels) if "b_norm" in tensors else added

    def _turned(self, layer: nn.Module, output: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        own = _without_bias(layer, output).float()
        axis = 1 if isinstance(layer, nn.Conv2d) else -1
        rows = own.movedim(axis, 0)
        with torch.autocast(output.device.type, enabled=False):
            blocks = algebra.rotations(tensors[OFT], self.bound * rows.shape[0])
            if self.kind == "boft":
                one = torch.eye(blocks.shape[-1], device=blocks.device)
                turned = algebra.butterfly(rows, one + self.strength() * (blocks - one))
                return (turned * _rescale(tensors, rows) - rows).movedim(0, axis)
            turned = algebra.rotate(rows, blocks) * _rescale(tensors, rows)
            return ((turned - rows) * self.strength()).movedim(0, axis)


def alone(layer: nn.Module, hook: Callable[..., Any], inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    """What ``layer`` gives without adapters: ``output`` where ``hook`` is its first, which nothing was added to yet.

    So that several add up to the same in any order: what each does to the base model's weight.
    """
    first = next(iter(layer._forward_hooks.values()))
    found: Tensor = output if first == hook else layer.forward(*inputs)
    return found


def is_norm(layer: nn.Module) -> bool:
    """Whether it is a norm with a weight of its own: of layers, of groups, or by the root of the mean square."""
    known = isinstance(layer, nn.LayerNorm | nn.GroupNorm | nn.RMSNorm) or type(layer).__name__ == "RMSNorm"
    return known and getattr(layer, "weight", None) is not None


def normed(layer: nn.Module, values: Tensor) -> Tensor:
    """What a norm makes of ``values`` before its weight and bias."""
    norm: Any = layer
    if isinstance(layer, nn.LayerNorm):
        return functional.layer_norm(values, norm.normalized_shape, eps=norm.eps)
    if isinstance(layer, nn.GroupNorm):
        return functional.group_norm(values, norm.num_groups, eps=norm.eps)
    return functional.rms_norm(values, tuple(norm.weight.shape), eps=norm.eps)


def _rescale(tensors: Mapping[str, Tensor], rows: Tensor) -> Tensor | float:
    factors = tensors.get("rescale")
    return 1.0 if factors is None else factors.float().reshape(-1, *[1] * (rows.dim() - 1))


def _shape(layer: nn.Module) -> tuple[int, ...]:
    """Of the layer's weight, however it is kept."""
    features: Any = layer
    if isinstance(layer, nn.Conv2d):
        return tuple(features.weight.shape)
    return int(features.out_features), int(features.in_features)


def _layer(layer: nn.Module, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a layer like ``layer`` with another ``weight`` gives."""
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(values, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)  # type: ignore[arg-type]
    return functional.linear(values, weight, bias)


def _small(layer: nn.Module, values: Tensor, weight: Tensor) -> Tensor:
    """A matrix on the channels of ``values``."""
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(values, weight.reshape(*weight.shape[:2], 1, 1))
    return functional.linear(values, weight)


def _without_bias(layer: nn.Module, output: Tensor) -> Tensor:
    bias: Any = layer.bias
    return output if bias is None else output - bias.reshape(_channels(layer)).to(output.dtype)


def _channels(layer: nn.Module) -> tuple[int, ...]:
    return (1, -1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1,)


def _dtype(layer: nn.Module, values: Tensor) -> torch.dtype:
    weight: Any = layer.weight
    return weight.dtype if weight.is_floating_point() and weight.element_size() > 1 else values.dtype
