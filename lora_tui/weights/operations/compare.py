"""``lora compare``: how alike two files are block by block, and what they do to each other when both are used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.base import open_base
from lora_tui.weights.base_reader import BaseReader
from lora_tui.weights.blocks import in_order, slot_of
from lora_tui.weights.delta import Adapter, Factors, Layer, delta, factors, needs_weight, open_adapter
from lora_tui.weights.ingredients import Ingredient, of_options
from lora_tui.weights.places import Place
from lora_tui.weights.work import Report, check_stopped

Change: TypeAlias = Factors | Tensor
"""What a layer adds: two thin matrices where it is their product, else the whole."""


@dataclass
class Together:
    """Sums over layers of what two files add there.

    Attributes:
        one, two: squared norms of the two; ``product`` their inner product.
        outputs: how much of both, in squared norms, writes to outputs that the other writes to; ``inputs`` reads inputs
            that the other reads.
        layers: in how many layers both add something.
    """

    one: float = 0.0
    two: float = 0.0
    product: float = 0.0
    outputs: float = 0.0
    inputs: float = 0.0
    layers: int = 0

    def add(self, other: Together) -> None:
        """Add what is in other layers."""
        for name in ("one", "two", "product", "outputs", "inputs", "layers"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, Any]:
        """The cosine of the two; the norm of both together, in norms of what it were if they were independent; and the
        shares that meet."""
        both = self.one + self.two
        norms = math.sqrt(self.one * self.two)
        return {
            "norms": [math.sqrt(self.one), math.sqrt(self.two)],
            "cosine": self.product / norms if norms else None,
            "together": math.sqrt(max(both + 2 * self.product, 0.0) / both) if both else None,
            "outputs": self.outputs / both if both and self.layers else None,
            "inputs": self.inputs / both if both and self.layers else None,
            "layers": self.layers,
        }


@dataclass
class Sums:
    """By slot, and of all."""

    slots: dict[str, Together] = field(default_factory=dict)
    whole: Together = field(default_factory=Together)
    skipped: int = 0


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Compare the two files of ``loras`` at their strengths (see :func:`of_options`).

    Further options: ``base`` (a model, upon which DoRA, OFT and so on are measured), ``family``.

    Raises:
        UserError: the input is wrong, or the two are of two families.
    """
    report.progress("loading", 0, 0)
    loras = options.get("loras")
    if not isinstance(loras, list) or len(loras) != 2:
        raise UserError(_("two files are compared."), remedy=_("Give two LoRA files."), code="lora.options")
    asked = [of_options(one) for one in loras]
    pair = [open_adapter(one.path, family=str(options.get("family") or "")) for one in asked]
    if pair[0].family != pair[1].family:
        raise UserError(
            _("it is for {theirs}, and the other file is for {ours}.").format(
                theirs=_title(pair[1].family), ours=_title(pair[0].family)
            ),
            place=plain(str(pair[1].path)),
            remedy=_("Give two files for the same family."),
            code="lora.family",
        )
    reader = BaseReader(open_base(expand(str(options["base"])))) if options.get("base") else None
    sums = _summed(pair, asked, reader, report)
    return {
        "files": [str(one.path) for one in pair],
        "family": pair[0].family,
        "blocks": [{"block": slot, **sums.slots[slot].as_dict()} for slot in in_order(sums.slots)],
        "whole": sums.whole.as_dict(),
        "alone": [
            len(pair[0].layers.keys() - pair[1].layers.keys()),
            len(pair[1].layers.keys() - pair[0].layers.keys()),
        ],
        "unmeasured": sums.skipped,
    }


def _title(family: str) -> str:
    return facts_for(family).title if family not in ("", "unknown") else _("an unknown family")


def _summed(pair: list[Adapter], asked: list[Ingredient], reader: BaseReader | None, report: Report) -> Sums:
    sums = Sums()
    places = list(dict.fromkeys(place for one in pair for place in one.layers))
    for number, place in enumerate(places):
        check_stopped(report)
        report.progress("measuring", number, len(places))
        try:
            changes = [
                _times(change(one.layers[place], place, reader), wish.of(place[0])) if place in one.layers else None
                for one, wish in zip(pair, asked, strict=True)
            ]
        except LookupError:
            sums.skipped += 1
            continue
        met = meeting(*changes)
        sums.slots.setdefault(slot_of(pair[0].family, place), Together()).add(met)
        sums.whole.add(met)
    return sums


def change(layer: Layer, place: Place, reader: BaseReader | None) -> Change:
    """What a layer adds at strength 1.

    Raises:
        LookupError: only a base model tells, and there is none with such a layer.
    """
    if needs_weight(layer):
        if reader is None:
            raise LookupError(place)
        return delta(layer, reader.layer(place))
    return factors(layer) or delta(layer)


def _times(found: Change, strength: float) -> Change:
    return found.times(strength) if isinstance(found, Factors) else found * strength


def meeting(one: Change | None, two: Change | None) -> Together:
    """What two changes of one layer come to; no dense one is built where both are thin."""
    met = Together(_square(one), _square(two))
    if one is None or two is None:
        return met
    met.layers = 1
    met.product = _product(one, two)
    left, right = _bases(one), _bases(two)
    met.outputs = _within(one, right[0], 0) + _within(two, left[0], 0)
    met.inputs = _within(one, right[1], 1) + _within(two, left[1], 1)
    return met


def _square(found: Change | None) -> float:
    if found is None:
        return 0.0
    return found.norm() ** 2 if isinstance(found, Factors) else float(found.double().norm()) ** 2


def _product(one: Change, two: Change) -> float:
    """The inner product: of two thin ones tr((U1ᵀU2)(D2D1ᵀ))."""
    if isinstance(one, Factors) and isinstance(two, Factors):
        return float(((one.up.double().T @ two.up.double()) * (one.down.double() @ two.down.double().T)).sum())
    if isinstance(one, Factors):
        return _product(two, one)
    flat = one.flatten(1).double() if one.dim() > 1 else one.reshape(-1, 1).double()
    if isinstance(two, Factors):
        return float(((two.up.double().T @ flat) * two.down.double()).sum())
    return float((flat.flatten() * two.double().flatten()).sum())


def _bases(found: Change) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Orthonormal bases of the outputs it writes to and of the inputs it reads; none where it has full rank."""
    if not isinstance(found, Factors):
        return None, None
    return _basis(found.up.double()), _basis(found.down.double().T)


def _basis(columns: Tensor) -> Tensor:
    directions, values, _rest = torch.linalg.svd(columns, full_matrices=False)
    own = values > values.max() * 1e-7 if values.numel() and float(values.max()) > 0 else values > 0
    return directions[:, own]


def _within(found: Change, basis: Tensor | None, side: int) -> float:
    """The squared norm of the part of a change whose outputs (``side`` 0) or inputs (1) lie in ``basis``; all of it
    without one."""
    if basis is None:
        return _square(found)
    if not isinstance(found, Factors):
        flat = found.flatten(1).double() if found.dim() > 1 else found.reshape(-1, 1).double()
        return float((basis.T @ flat if side == 0 else flat @ basis).norm()) ** 2
    up, down = found.up.double(), found.down.double()
    up, down = (basis.T @ up, down) if side == 0 else (up, down @ basis)
    return float(((up.T @ up) * (down @ down.T)).sum().clamp_min(0))
