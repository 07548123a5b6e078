"""``lora merge``: any number of files into one, exactly; or by TIES and DARE on what they add."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.delta import delta, kind_of_layer, needs_weight
from lora_tui.weights.ingredients import Ingredient, of_options
from lora_tui.weights.kinds import NORM
from lora_tui.weights.operations.convert import program_of, weights_of
from lora_tui.weights.operations.layers import Made, Mixed, Part, Whole, summed, tensors_of, widest
from lora_tui.weights.operations.making import Making, dtype_of, make
from lora_tui.weights.operations.resize import keep_of
from lora_tui.weights.operations.sources import Sources, Weights, combined, open_sources
from lora_tui.weights.operations.sparse import dare, dare_ties, ties
from lora_tui.weights.places import Place
from lora_tui.weights.work import Report

METHODS = ("sum", "average", "ties", "dare", "dare-ties")


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Merge files.

    Args:
        options: ``loras`` (:meth:`~lora_tui.weights.ingredients.Ingredient.as_options` of each), ``target``,
            ``method`` (of :data:`METHODS`), ``density`` and ``seed`` for TIES and DARE, ``keep`` (how many directions;
            needed for these), ``to`` (whose names; empty: the first file's), ``base`` (a model, for DoRA and OFT),
            ``precision``, ``family``, ``leave_out``, ``force``, ``preview``.

    Raises:
        UserError: the files do not go together, or as :func:`~lora_tui.weights.operations.making.make`.
    """
    asked = _averaged([of_options(one) for one in options.get("loras") or []], str(options.get("method", "sum")))
    method, density, seed = (
        str(options.get("method", "sum")),
        float(options.get("density", 0.5)),
        options.get("seed", 0),
    )
    keep = keep_of(options.get("keep"), needed=False)
    _check(asked, method, density, kept=keep is not None)
    program = program_of(options.get("to"))
    sources = open_sources(
        asked, family=str(options.get("family", "")), program=program, apart=bool(options.get("base"))
    )
    entry: dict[str, Any] = {"operation": "merge", "method": method, "sources": [one.told() for one in asked]}
    if method not in ("sum", "average"):
        entry |= {"density": density, "seed": int(seed)}
    names = ", ".join(f"{one.path.stem} {one.strength:g}" for one in asked)
    wanted = Making(
        Path(str(options["target"])),
        sources,
        entry=entry,
        words=f"merged from {names}",
        dtype=dtype_of(options.get("precision", "keep")),
        keep=keep,
        force=bool(options.get("force")),
        preview=bool(options.get("preview")),
    )
    with ExitStack() as stack:
        weight = weights_of(options.get("base"), sources, stack)
        made_of = None if method in ("sum", "average") else _chosen(sources, method, density, int(seed), weight)
        whole = combined(sources, leave_out=bool(options.get("leave_out")), weight=weight, made_of=made_of)
        found = make(wanted, whole, report)
    return {**found, "sources": [one.as_options() for one in asked], "method": method}


def _averaged(asked: Sequence[Ingredient], method: str) -> list[Ingredient]:
    """With strengths that add up to 1, where the average is wished for.

    Raises:
        UserError: they add up to 0 (``lora.strength``).
    """
    if method != "average":
        return list(asked)
    whole = sum(one.strength for one in asked)
    text = sum(one.of("text_encoder") for one in asked)
    if abs(whole) < 1e-9 or abs(text) < 1e-9:
        raise UserError(
            _("the strengths add up to 0: there is no average."),
            remedy=_("Give strengths whose sum is not 0, or merge without --average."),
            code="lora.strength",
        )
    return [Ingredient(one.path, one.strength / whole, one.of("text_encoder") / text, one.blocks) for one in asked]


def _check(asked: Sequence[Ingredient], method: str, density: float, *, kept: bool) -> None:
    if not asked:
        raise UserError(_("there is nothing to merge."), remedy=_("Name two files or more."), code="lora.empty")
    if method not in METHODS:
        raise UserError(
            _("there is no method {name}.").format(name=plain(method, limit=40)),
            remedy=_("Use one of: {names}.").format(names=", ".join(METHODS)),
            code="lora.method",
        )
    if not 0 < density <= 1:
        raise UserError(_("the density is a share above 0, up to 1."), code="lora.method")
    if method not in ("sum", "average") and not kept:
        raise UserError(
            _("{method} works on whole differences, and what comes of them is no product of thin matrices.").format(
                method=method.upper()
            ),
            remedy=_("Say how much of it is kept: --rank 32, or --size 100."),
            code="lora.keep",
        )


def _chosen(
    sources: Sources, method: str, density: float, seed: int, weight: Weights | None
) -> Callable[[Place], Made | None]:
    """What a method on whole differences makes of the layers at a place."""

    def made(place: Place) -> Made | None:
        parts = [(layer, strength) for layer, strength in sources.parts_at(place) if strength != 0]
        if not parts:
            return None
        if any(kind_of_layer(layer) == NORM for layer, _strength in parts):
            return summed(parts, sources.shape(place))
        odd = next((layer for layer, _strength in parts if needs_weight(layer)), None)
        if odd is not None and weight is None:
            raise Mixed(kind_of_layer(odd))
        shapes = {sources.shape(place)(tuple(one.shape)) for one in _deltas(parts, place, weight)}
        if len({(one[0], torch.Size(one[1:]).numel()) for one in shapes}) > 1:
            raise Mixed(_(" and ").join(str(list(one)) for one in sorted(shapes)))
        shape = max(shapes, key=len)
        dtype = widest([one for layer, _strength in parts for one in tensors_of(layer)])
        return Whole(shape, dtype, partial(_by, method, density, seed, sources, place, weight, shape))

    return made


def _deltas(parts: Sequence[Part], place: Place, weight: Weights | None) -> list[Tensor]:
    own = weight(place) if weight is not None and any(needs_weight(layer) for layer, _strength in parts) else None
    return [delta(layer, own if needs_weight(layer) else None) for layer, _strength in parts]


def _by(
    method: str,
    density: float,
    seed: int,
    sources: Sources,
    place: Place,
    weight: Weights | None,
    shape: tuple[int, ...],
) -> Tensor:
    parts = [(layer, strength) for layer, strength in sources.parts_at(place) if strength != 0]
    deltas = [one.reshape(shape) for one in _deltas(parts, place, weight)]
    strengths = [strength for _layer, strength in parts]
    if method == "ties":
        return ties(deltas, strengths, density)
    do = dare if method == "dare" else dare_ties
    return do(deltas, strengths, density, seed, ".".join(place))
