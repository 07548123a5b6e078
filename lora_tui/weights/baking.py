"""LoRA files put into a base model's weights: all of them in float32, then rounded once, and what that left of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.text import _, plain
from lora_tui.weights.base import BaseFile, BaseModel, Rows
from lora_tui.weights.base_reader import put_back, taken
from lora_tui.weights.blocks import BlockWeights, block_weights, slot_of
from lora_tui.weights.delta import Adapter, Layer, bias_delta, needs_weight, open_adapter
from lora_tui.weights.ingredients import Ingredient
from lora_tui.weights.places import UNKNOWN, Place
from lora_tui.weights.reading import LoraLayer

RELATED = {frozenset(("flux", "chroma"))}
"""Families whose files name and shape layers alike: one's may be meant for the other."""


@dataclass(frozen=True)
class Kept:
    """What rounding left of what was to be added to one layer.

    Attributes:
        norm: of what was to be added; ``weight`` that of the weight before.
        survived: the share of it that was added, beside the base model in the same precision: 1 is all of it, 0
            nothing. It is the projection on what was meant.
        error: how far what was added is from what was meant, in norms of that: what rounding adds to it.
    """

    place: Place
    slot: str
    norm: float
    weight: float
    survived: float
    error: float


@dataclass
class Plan:
    """What is put into which layer.

    Attributes:
        changes: place -> what is added there, in order, each with its strength.
        left_out: names of layers that fit none of the model's.
        kept: what came of each layer, once it is done.
    """

    base: BaseModel
    changes: Mapping[Place, Sequence[tuple[Layer, float]]]
    left_out: list[str]
    kept: dict[Place, Kept] = field(default_factory=dict)

    def touches(self, file: BaseFile, name: str) -> bool:
        """Whether a tensor of a file is changed."""
        return any(self._own(rows) for rows in file.holds.get(name, ()))

    def _own(self, rows: Rows) -> list[tuple[Layer, float]]:
        """What is added to a layer's weight, or bias."""
        own = [(layer, strength) for layer, strength in self.changes.get(rows.place, ()) if strength]
        return own if rows.kind == "weight" else [one for one in own if bias_delta(one[0]) is not None]

    def changed(self, rows: Rows, before: Tensor) -> Tensor:
        """A layer's numbers with everything that is added to them; float32.

        What depends on the weight is what it is upon the base model's, so that the order of files is none of the sum's.
        """
        after = before
        for layer, strength in self._own(rows):
            if rows.kind == "weight" and after is not before and needs_weight(layer):
                after = after + (layer.merged(before, strength) - before)
            elif rows.kind == "weight":
                after = layer.merged(after, strength)
            else:
                bias = bias_delta(layer)
                assert bias is not None
                after = after + strength * bias.view(after.shape)
        return after

    def apply(self, file: BaseFile, name: str, tensor: Tensor) -> Tensor:
        """A file's tensor (float32) with everything that is added to the layers in it.

        Raises:
            UserError: it holds what is no number, or the sum does.
        """
        found = tensor.clone()
        for rows in file.holds.get(name, ()):
            if not self._own(rows):
                continue
            try:
                after = self.changed(rows, taken(tensor, rows))
            except ValueError:
                raise _misfit(rows.place, file) from None
            if not after.isfinite().all():
                raise _not_finite(file, name)
            put_back(found, rows, after)
        return found

    def measure(self, file: BaseFile, name: str, before: Tensor, meant: Tensor, plain: Tensor, done: Tensor) -> None:
        """Note what of the change from ``before`` to ``meant`` is in ``done``, for each layer in a tensor.

        ``plain`` and ``done`` are what rounding makes of the two.
        """
        for rows in file.holds.get(name, ()):
            if rows.kind == "weight" and self._own(rows):
                old = taken(before, rows).flatten()
                wanted = taken(meant, rows).flatten() - old
                real = taken(done, rows).flatten() - taken(plain, rows).flatten()
                norm = float(wanted.norm())
                share = float(torch.dot(real, wanted)) / norm**2 if norm else 1.0
                error = float((real - wanted).norm()) / norm if norm else 0.0
                slot = slot_of(self.base.family, rows.place)
                self.kept[rows.place] = Kept(rows.place, slot, norm, float(old.norm()), share, error)

    @property
    def survived(self) -> float:
        """The share of all that was to be added that was added, by energy."""
        whole = sum(one.norm**2 for one in self.kept.values())
        return sum(one.survived * one.norm**2 for one in self.kept.values()) / whole if whole else 1.0

    @property
    def error(self) -> float:
        """How far all that was added is from what was meant, in norms of that."""
        whole = sum(one.norm**2 for one in self.kept.values())
        return math.sqrt(sum((one.error * one.norm) ** 2 for one in self.kept.values()) / whole) if whole else 0.0


def _misfit(place: Place, file: BaseFile) -> UserError:
    return UserError(
        _("what is added to its layer {name} has another size.").format(name=plain(".".join(place), limit=120)),
        place=plain(str(file.path)),
        remedy=_("Give LoRA files of the base model's family."),
        code="lora.unmatched",
    )


def _not_finite(file: BaseFile, name: str) -> UserError:
    return UserError(
        _("its tensor {name} has numbers that are infinite or none (NaN).").format(name=plain(name, limit=120)),
        place=plain(str(file.path)),
        remedy=_("The model is damaged; fetch or copy it again."),
        code="model.damaged",
    )


def plan(base: BaseModel, ingredients: Iterable[Ingredient], *, leave_out: bool = False) -> Plan:
    """What ``ingredients`` add to the layers of ``base``.

    Args:
        leave_out: whether layers that fit none of the model's are left out, rather than refused.

    Raises:
        UserError: a file cannot be read or is damaged, is of another family (``lora.family``), has layers for a text
            encoder that the model lacks (``lora.text_encoder``), or layers that fit none (``lora.unmatched``).
    """
    changes: dict[Place, list[tuple[Layer, float]]] = {}
    left_out: list[str] = []
    for one in ingredients:
        adapter = _opened(one, base)
        weights = block_weights(one.blocks, base.family) if one.blocks else BlockWeights(base.family)
        weights.check(slot_of(base.family, place) for place in adapter.layers)
        misfits = [*adapter.strange]
        for place, layer in adapter.layers.items():
            strength = one.of(place[0]) * weights.of(place)
            if strength and _fits(base, place, layer):
                changes.setdefault(place, []).append((layer, strength))
            elif strength or place[0] == UNKNOWN:
                misfits.append(adapter.names[place])
        _check_misfits(adapter, base, one, misfits, leave_out=leave_out)
        left_out += misfits
    return Plan(base, changes, left_out)


def _opened(one: Ingredient, base: BaseModel) -> Adapter:
    adapter = open_adapter(one.path)
    if adapter.family == base.family:
        return adapter
    related = frozenset((adapter.family, base.family)) in RELATED
    if adapter.family in (UNKNOWN, "unknown", "") or related:
        return open_adapter(one.path, family=base.family)
    raise UserError(
        _("it is for {theirs}, and the base model is {ours}.").format(
            theirs=facts_for(adapter.family).title, ours=facts_for(base.family).title
        ),
        place=plain(str(one.path)),
        remedy=_("Give LoRA files of the base model's family."),
        code="lora.family",
    )


def _fits(base: BaseModel, place: Place, layer: Layer) -> bool:
    """Whether the model has this layer in this size, and what a bias is added to."""
    weight = base.layers.get((place, "weight"))
    if weight is None:
        return False
    if not layer.fits(norm=len(weight.shape) == 1):
        return False
    shape = _shape(layer)
    if shape and (shape[0] != weight.shape[0] or math.prod(shape) != math.prod(weight.shape)):
        return False
    bias = bias_delta(layer)
    own = base.layers.get((place, "bias"))
    return bias is None or (own is not None and math.prod(own.shape) == bias.numel())


def _shape(layer: Layer) -> tuple[int, ...]:
    """Of the weight that a layer is for, where it can be told without computing it."""
    if isinstance(layer, LoraLayer):
        return (int(layer.up.shape[0]), *map(int, layer.down.shape[1:]))
    own = layer.tensors.get("diff", layer.tensors.get("w_norm"))
    return () if own is None else tuple(own.shape)


def _check_misfits(
    adapter: Adapter, base: BaseModel, one: Ingredient, misfits: Sequence[str], *, leave_out: bool
) -> None:
    if not misfits:
        return
    texts = {place[0] for place in adapter.layers if place[0].startswith("text_encoder")} - base.parts
    if texts and one.of("text_encoder") and not leave_out:
        raise UserError(
            _("it has layers for a text encoder, and the base model has none in it."),
            place=plain(str(one.path)),
            remedy=_(
                "Give a strength of 0 for text encoders ({name}={strength:g},0), or a base with all parts."
            ).format(name=plain(one.path.name, limit=80), strength=one.strength),
            code="lora.text_encoder",
        )
    if not leave_out or len(misfits) >= len(adapter.layers):
        raise UserError(
            _("{count} of its {total} layers fit none of this model, {name} for one.").format(
                count=len(misfits), total=max(len(adapter.layers), len(misfits)), name=plain(misfits[0], limit=120)
            ),
            place=plain(str(one.path)),
            remedy=_("Use the base model that it was trained on, or leave out what does not fit with --leave-out."),
            code="lora.unmatched",
        )
