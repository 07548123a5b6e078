"""``lora convert``: a file under another program's names, in another precision, or as a plain LoRA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.base import open_base
from lora_tui.weights.base_reader import BaseReader
from lora_tui.weights.delta import kind_of_layer
from lora_tui.weights.header.models import UNKNOWN
from lora_tui.weights.ingredients import Ingredient
from lora_tui.weights.names.programs import PROGRAMS, Program
from lora_tui.weights.operations.making import Making, dtype_of, make
from lora_tui.weights.operations.resize import keep_of
from lora_tui.weights.operations.sources import Sources, combined, open_sources
from lora_tui.weights.places import Place
from lora_tui.weights.work import Report

AS_LORA = "lora"


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Convert a file.

    Args:
        options: ``source``, ``target``, ``to`` (a program; empty: its own), ``as`` (``lora``: make plain LoRA of every
            layer), ``keep`` (how much of what is no LoRA, with ``as``), ``base`` (a model, for DoRA and OFT),
            ``precision``, ``family``, ``without_text``, ``leave_out``, ``force``, ``preview``.

    Raises:
        UserError: the layout has no such names, a kind cannot be held in it, or as
            :func:`~lora_tui.weights.operations.making.make`.
    """
    source, program = Path(str(options["source"])), program_of(options.get("to"))
    sources = open_sources(
        [Ingredient(source)],
        family=str(options.get("family", "")),
        program=program,
        without_text=bool(options.get("without_text")),
        apart=bool(options.get("base")),
    )
    if program and sources.family == UNKNOWN:
        raise UserError(
            _("its names do not tell which family it is for."),
            place=plain(str(source)),
            remedy=_("Say it with --family."),
            code="lora.family",
        )
    plainly = options.get("as") == AS_LORA
    wanted = Making(
        Path(str(options["target"])),
        sources,
        entry={"operation": "convert", "source": source.name, "to": program or "", "as": str(options.get("as") or "")},
        words=f"converted to {program or ('a plain LoRA' if plainly else options.get('precision', 'the same'))}",
        dtype=dtype_of(options.get("precision", "keep")),
        keep=keep_of(options.get("keep"), needed=False),
        force=bool(options.get("force")),
        preview=bool(options.get("preview")),
    )
    with ExitStack() as stack:
        weight = weights_of(options.get("base"), sources, stack)
        whole = combined(sources, leave_out=bool(options.get("leave_out")), weight=weight, plainly=plainly)
        found = make(wanted, whole, report, plainly=plainly)
    kinds = sorted({kind_of_layer(one) for one in sources.files[0].adapter.layers.values()})
    return {**found, "source": str(source), "kinds": kinds, "source_size": source.stat().st_size}


def program_of(name: object) -> Program | None:
    """The program whose names are wished for; none where nothing is said.

    Raises:
        UserError: there is no such layout.
    """
    if not name:
        return None
    found = next((program for program in PROGRAMS if program == name), None)
    if found is None:
        raise UserError(
            _("there is no layout {name}.").format(name=plain(str(name), limit=40)),
            remedy=_("Use one of: {names}.").format(names=", ".join(PROGRAMS)),
            code="lora.layout",
        )
    return found


def weights_of(base: object, sources: Sources, stack: ExitStack) -> Callable[[Place], Tensor] | None:
    """What gives the weights of the base model at ``base``, open as long as the ``stack``; none where there is none.

    Raises:
        UserError: it cannot be read, or is of another family.
    """
    if not base:
        return None
    model = open_base(Path(str(base)))
    if sources.family not in (model.family, UNKNOWN):
        raise UserError(
            _("the base model is {family}, and the file is for {other}.").format(
                family=model.family, other=sources.family
            ),
            place=plain(str(base)),
            remedy=_("Give the model that it was trained on."),
            code="lora.families",
        )
    reader = stack.enter_context(BaseReader(model))

    def weight(place: Place) -> Tensor:
        try:
            return reader.layer(place)
        except KeyError:
            raise UserError(
                _("the base model has no layer {name}.").format(name=plain(".".join(place), limit=120)),
                place=plain(str(base)),
                remedy=_("Give the model that it was trained on."),
                code="lora.unmatched",
            ) from None

    return weight
