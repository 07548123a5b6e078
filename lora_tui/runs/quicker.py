"""What the newest life of a run made of compiled blocks, CUDA graphs and kernels of attention: noted in its record by
the trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.jobs.events import as_count
from lora_tui.runs.attention import attention_of
from lora_tui.text.formats import count
from lora_tui.text.plain import plain
from lora_tui.text.translate import _, ngettext

ENTRY = "quicker"
"""Its place in the record: an object with what the events ``compiled`` and ``graphs`` told last, by these names."""

LONGEST = 80
"""Characters of a reason that are shown."""


def quicker_words(record: Mapping[str, Any], *, brief: bool = False) -> tuple[str, ...]:
    """What a record says of it, in pieces that stay whole; nothing where neither was asked for or is known yet.

    ``brief``: without the reasons of what is not done.
    """
    entry = record.get(ENTRY)
    told = entry if isinstance(entry, Mapping) else {}
    attention = attention_of(record)
    kernel = (attention.words(),) if attention is not None else ()
    return (*_compiled(_part(told, "compiled"), brief), *_graphs(_part(told, "graphs"), brief), *kernel)


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = told.get(name)
    return part if isinstance(part, Mapping) else {}


def _compiled(told: Mapping[str, Any], brief: bool) -> list[str]:
    if reason := _reason(told):
        return [_("blocks not compiled") if brief else _("blocks not compiled ({reason})").format(reason=reason)]
    programs = as_count(told.get("programs"))
    if not programs:
        return []
    text = ngettext("blocks compiled ({n} program)", "blocks compiled ({n} programs)", programs)
    return [text.format(n=count(programs))]


def _graphs(told: Mapping[str, Any], brief: bool) -> list[str]:
    if reason := _reason(told):
        return [_("no CUDA graphs") if brief else _("no CUDA graphs ({reason})").format(reason=reason)]
    shapes = as_count(told.get("shapes"))
    if not shapes:
        return []
    text = ngettext("steps played as CUDA graphs ({n} shape)", "steps played as CUDA graphs ({n} shapes)", shapes)
    return [text.format(n=count(shapes))]


def _reason(told: Mapping[str, Any]) -> str:
    reason = told.get("reason")
    return plain(reason, limit=LONGEST).rstrip(".") if isinstance(reason, str) else ""
