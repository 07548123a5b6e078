"""What a tuned checkpoint adds to its base, layer by layer, whatever layouts the two have, one in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.text import _, plain
from lora_tui.weights.base import BaseModel
from lora_tui.weights.base_reader import DTYPES, BaseReader
from lora_tui.weights.names import names_for
from lora_tui.weights.places import Place, places_by_name

Kind = Literal["lora", "locon", "full"]
KINDS: tuple[Kind, ...] = ("lora", "locon", "full")


@dataclass(frozen=True)
class Compared:
    """Two models of one family.

    Attributes:
        chosen: the layers that are extracted; ``others`` those that may differ too.
        missing: parts of the base that the tuned model has not.
    """

    base: BaseReader
    tuned: BaseReader
    chosen: tuple[Place, ...]
    others: tuple[Place, ...]
    missing: tuple[str, ...]


def compared(base: BaseReader, tuned: BaseReader, kind: Kind, *, text: bool = True) -> Compared:
    """Which layers of the two are looked at.

    Args:
        text: whether text encoders are.

    Raises:
        UserError: they are of two families (``lora.family``), or a layer has another size (``lora.shape``).
    """
    one, two = base.base, tuned.base
    if one.family != two.family:
        raise UserError(
            _("it is a model of {theirs}, and the base is one of {ours}.").format(
                theirs=facts_for(two.family).title, ours=facts_for(one.family).title
            ),
            place=plain(str(two.path)),
            remedy=_("Give the base that the model was tuned from."),
            code="lora.family",
        )
    common = [key for key in one.layers if key in two.layers]
    own = _wanted(one, kind, {place for place, which in common if which == "weight"})
    if not text:
        own = {place for place in own if not place[0].startswith("text_encoder")}
    for place in sorted(own):
        for which in ("weight", "bias"):
            if (place, which) in common:
                _check_shape(one, two, place, which)
    places = list(dict.fromkeys(place for place, which in common if which == "weight"))
    silent = () if text else tuple(part for part in one.parts if part.startswith("text_encoder"))
    return Compared(
        base,
        tuned,
        tuple(place for place in places if place in own),
        tuple(place for place in places if place not in own and place[0] not in silent),
        tuple(sorted(one.parts - two.parts)),
    )


def _wanted(base: BaseModel, kind: Kind, there: Collection[Place]) -> set[Place]:
    if kind != "full":
        targets = facts_for(base.family).targets(base.path, convolutions=kind == "locon")
        return {(target.part, target.path) for target in targets} & set(there)
    names = {}
    for place in there:
        try:
            names[place] = names_for(base.family).tensor_name(*place, "alpha").removesuffix(".alpha")
        except (KeyError, ValueError):
            continue  # a layer that files of the family have no name for
    known = places_by_name(base.family, names.values())
    return {place for place, name in names.items() if known[name] == place}


def _check_shape(one: BaseModel, two: BaseModel, place: Place, which: str) -> None:
    ours, theirs = one.layers[place, which].shape, two.layers[place, which].shape
    if _bare(ours) != _bare(theirs):
        raise UserError(
            _("its layer {name} has another size than the base's: {theirs} and {ours}.").format(
                name=plain(".".join(place), limit=120), theirs=_sides(theirs), ours=_sides(ours)
            ),
            place=plain(str(two.path)),
            remedy=_("Give the base that the model was tuned from."),
            code="lora.shape",
        )


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A matrix is the same as its 1x1 convolution."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def difference(pair: Compared, place: Place, which: str = "weight") -> Tensor | None:
    """What the tuned model adds to a layer's weight or bias, in the base's shape, float32; none where nothing changed.

    Where one model is stored in fewer bits than the other, what rounding alone makes of the base is no change.

    Raises:
        UserError: there are numbers that are none (``model.damaged``), or a file cannot be read.
    """
    if (place, which) not in pair.base.base.layers or (place, which) not in pair.tuned.base.layers:
        return None
    if _same_bytes(pair, place, which):
        return None
    before, after = pair.base.layer(place, which), pair.tuned.layer(place, which)
    if before.numel() != after.numel():
        return None
    after = after.reshape(before.shape)
    coarse = min((_type(reader, place, which) for reader in (pair.base, pair.tuned)), key=_bits)
    if torch.equal(before.to(coarse), after.to(coarse)) if coarse.itemsize > 1 else torch.equal(before, after):
        return None
    found = after - before
    if not math.isfinite(float(found.norm())):
        broken = pair.tuned if before.isfinite().all() else pair.base
        raise UserError(
            _("its tensor {name} has numbers that are infinite or none (NaN).").format(
                name=plain(".".join(place), limit=120)
            ),
            place=plain(str(broken.base.path)),
            remedy=_("The model is damaged; fetch or copy it again."),
            code="model.damaged",
        )
    return found


def _same_bytes(pair: Compared, place: Place, which: str) -> bool:
    """Whether the two store a layer alike, bit for bit; told without computing where they store it in one type."""
    one, two = (reader.base.layers[place, which] for reader in (pair.base, pair.tuned))
    if one.info.dtype != two.info.dtype or one.rows.turned != two.rows.turned or one.shape != two.shape:
        return False
    if any(reader.factor(where.file, where.name) for reader, where in ((pair.base, one), (pair.tuned, two))):
        return False
    raw = [
        reader.raw(where.file, where.name)[where.rows.start : where.rows.stop].contiguous().flatten().view(torch.uint8)
        for reader, where in ((pair.base, one), (pair.tuned, two))
    ]
    return bool(torch.equal(*raw))


def _type(reader: BaseReader, place: Place, which: str) -> torch.dtype:
    return DTYPES[reader.base.layers[place, which].info.dtype]


def _bits(dtype: torch.dtype) -> float:
    """How finely a type tells numbers apart."""
    return -torch.finfo(dtype).eps if dtype.is_floating_point else 0.0


def beyond(pair: Compared, kind: Kind) -> Iterator[tuple[Place, float]]:
    """The squared norm of each change that is not extracted: of other layers, and of biases that no file holds."""
    for place in pair.others:
        yield from _energy(pair, place, "weight")
    for place in (*pair.others, *(pair.chosen if kind != "full" else ())):
        yield from _energy(pair, place, "bias")


def _energy(pair: Compared, place: Place, which: str) -> Iterator[tuple[Place, float]]:
    found = difference(pair, place, which)
    if found is not None:
        yield place, float(found.norm()) ** 2
