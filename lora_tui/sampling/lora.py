"""A LoRA file beside a base model's layers, at a strength that may change from one image to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lora_tui.errors import UserError
from lora_tui.families.protocol import Model
from lora_tui.families.quantized import full_weight
from lora_tui.text import _, plain
from lora_tui.weights.algebra import by_columns
from lora_tui.weights.blocks import BlockWeights
from lora_tui.weights.effects import CHILD, Effect, alone, is_norm
from lora_tui.weights.reading import LoraLayer, OtherLayer, Place, layers_by_name, read_lora


@dataclass
class AppliedLora:
    """A LoRA whose layers add their part to those of the base model.

    Attributes:
        strength: the weight of all layers; 0 leaves the base model's own numbers, bit for bit.
        text: the weight of those in text encoders; none: the same.
        layers: how many layers it is attached to.
    """

    strength: float = 1.0
    text: float | None = None
    layers: int = 0

    def __post_init__(self) -> None:
        self._handles: list[Any] = []
        self._changed: list[nn.Module] = []
        self._shares: list[Share] = []

    def share(self, place: Place) -> Share:
        """That of the layer at ``place``, which is 1 until blocks are weighed."""
        self._shares.append(Share(self, place))
        return self._shares[-1]

    def weigh(self, blocks: BlockWeights | None) -> None:
        """Weigh all layers by the blocks that they stand in, from now on; none weighs all of them 1."""
        for share in self._shares:
            share.weight = 1.0 if blocks is None else blocks.of(share.place)

    def attach(self, module: nn.Module, layer: LoraLayer, device: torch.device, share: Share) -> None:
        """Let ``module`` (linear or convolution) add what ``layer`` does, as strongly as ``share`` says."""
        down, up = (matrix.float().to(device) for matrix in (layer.down, layer.up))
        factors = None if layer.sizes is None else layer.factors(full_weight(module).to(device))
        self._handles.append(module.register_forward_hook(_Beside(share, down, up, layer.scale, factors)))
        self.layers += 1

    def attach_other(self, module: nn.Module, layer: OtherLayer, device: torch.device, share: Share) -> None:
        """The same for LoHa, LoKr, OFT and so on."""
        tensors = {name: t.float() if t.is_floating_point() else t for name, t in layer.tensors.items()}
        effect = Effect(layer.kind, tensors, scale=layer.scale, strength=lambda: share.strength)
        self._handles.append(effect.requires_grad_(False).to(device).attach(module))
        self._changed.append(module)
        self.layers += 1

    def remove(self) -> None:
        """Leave the base model as it was."""
        for handle in self._handles:
            handle.remove()
        for module in self._changed:
            if hasattr(module, CHILD):  # another one beside the same layer may have taken it along
                delattr(module, CHILD)
        self._handles.clear()
        self._changed.clear()


@dataclass
class Share:
    """How strongly one layer takes a LoRA: the strength of its part, times the ``weight`` of its block."""

    lora: AppliedLora
    place: Place
    weight: float = 1.0

    @property
    def strength(self) -> float:
        of_text = self.lora.text is not None and self.place[0].startswith("text_encoder")
        return (self.lora.text if of_text else self.lora.strength) * self.weight


@dataclass(frozen=True)
class _Beside:
    """``factors`` are those of a DoRA: [1, inputs(, 1, 1)] or [outputs, 1(, 1, 1)]."""

    share: Share
    down: Tensor
    up: Tensor
    scale: float
    factors: Tensor | None

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        strength = self.share.strength
        if strength == 0:
            return None
        values = inputs[0].to(self.down.dtype)
        if self.factors is None:
            return output + (self._own(module, values) * (self.scale * strength)).to(output.dtype)
        own = alone(module, self, inputs, output)
        return output + (strength * (self._sized(module, values, own) - own)).to(output.dtype)

    def _own(self, module: nn.Module, values: Tensor) -> Tensor:
        if isinstance(module, nn.Conv2d):
            inner = functional.conv2d(values, self.down, None, module.stride, module.padding, module.dilation)
            return functional.conv2d(inner, self.up)
        return functional.linear(functional.linear(values, self.down), self.up)

    def _sized(self, module: nn.Module, values: Tensor, output: Tensor) -> Tensor:
        """What the whole weight gives once its columns, or rows, have their sizes. A bias stays as it is."""
        assert self.factors is not None
        channels = (1, -1, 1, 1) if isinstance(module, nn.Conv2d) else (-1,)
        factors = self.factors.reshape(channels)
        if by_columns(self.factors):
            scaled = values * factors
            whole: Tensor = module.forward(scaled.to(output.dtype)) + self._own(module, scaled) * self.scale
            return whole
        bias: Any = module.bias
        still = 0 if bias is None else bias.reshape(channels)
        return (output - still + self._own(module, values) * self.scale) * factors + still


def apply_lora(model: Model, path: Path, blocks: BlockWeights | None = None) -> AppliedLora:
    """Attach the LoRA or DoRA file at ``path``, under whatever program's names, to a family's model.

    The parts it is attached to are loaded and must not be released while it is used. ``blocks`` weigh its layers by the
    block that they stand in.

    Raises:
        UserError: the file cannot be read, has no LoRA in it, or belongs to layers that the model does not have.
    """
    stored = read_lora(path)
    layers = stored.all
    found = _modules(model, layers)
    modules = {
        stem: found[stem][1] for stem, one in layers.items() if stem in found and one.fits(norm=is_norm(found[stem][1]))
    }
    unknown = [*(stem for stem in layers if stem not in modules), *stored.strange]
    if unknown or not layers:
        raise UserError(
            _("{count} of its {total} layers fit none of this model, {name} for one.").format(
                count=len(unknown), total=len({*layers, *unknown}), name=plain(unknown[0], limit=120)
            )
            if layers
            else _("it holds no LoRA."),
            place=plain(str(path)),
            remedy=_("Use the base model that it was trained on; lora-tui lora info tells its family."),
            code="lora.unmatched",
        )
    lora = AppliedLora()
    for stem, layer in layers.items():
        share = lora.share(found[stem][0])
        if isinstance(layer, OtherLayer):
            lora.attach_other(modules[stem], layer, model.device, share)
        else:
            lora.attach(modules[stem], layer, model.device, share)
    assert lora.layers == len(layers)
    if blocks is not None:
        lora.weigh(blocks)
    return lora


def _modules(model: Model, stems: Iterable[str]) -> dict[str, tuple[Place, nn.Module]]:
    """The model's layers with their places, by their names in files; text encoders only when ``stems`` ask for more."""
    found = _named(model, text_encoder=False)
    return found if found.keys() >= set(stems) else _named(model, text_encoder=True)


def _named(model: Model, *, text_encoder: bool) -> dict[str, tuple[Place, nn.Module]]:
    modules: dict[Place, nn.Module] = {
        (part, path): module
        for part, root in model.adapted_modules(text_encoder=text_encoder).items()
        for path, module in root.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) or is_norm(module)
    }
    return {name: (place, modules[place]) for name, place in layers_by_name(model.facts.name, modules).items()}
