"""A task in words: what it is at, how far it is, and what came of it. The same words for commands and screens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.jobs.events import as_count
from lora_tui.tasks.status import TaskStatus
from lora_tui.text import N_, _, count, duration, ngettext, plain

PHASES = {
    "loading": N_("loading"),
    "reading": N_("reading"),
    "tagging": N_("tagging"),
    "preparing": N_("preparing"),
    "decomposing": N_("decomposing"),
    "extracting": N_("extracting"),
    "comparing": N_("comparing"),
    "measuring": N_("measuring"),
    "writing": N_("writing"),
    "drawing": N_("drawing"),
    "working": N_("working"),
    "paused": N_("paused"),
}


def phase_word(name: str) -> str:
    """A phase as a person reads it."""
    return _(PHASES[name]) if name in PHASES else plain(name)


def place_text(status: TaskStatus) -> str:
    """How far it is, in a few words."""
    if not status.total:
        return phase_word(status.phase)
    text = _("{done} of {total}").format(done=count(status.done), total=count(status.total))
    if status.phase:
        text = f"{phase_word(status.phase)} {text}"
    if status.eta is not None:
        text += "  " + _("ETA {time}").format(time=duration(status.eta))
    return text


def result_text(status: TaskStatus) -> str:
    """What came of a task that ended by itself, in one line; empty while it is at work, or when nothing is known."""
    if not status.result:
        return ""
    words = _RESULTS.get(status.kind)
    return _(", ").join(words(status.result)) if words is not None else ""


def _tagged(result: Mapping[str, Any]) -> list[str]:
    if "asked" in result:  # the models were asked, and nothing was written
        asked = as_count(result["asked"])
        parts = [ngettext("{count} image answered", "{count} images answered", asked).format(count=count(asked))]
    else:
        changed = as_count(result.get("images"))
        parts = [ngettext("{count} caption changed", "{count} captions changed", changed).format(count=count(changed))]
    if skipped := as_count(result.get("skipped")):
        parts.append(ngettext("{count} left alone", "{count} left alone", skipped).format(count=count(skipped)))
    if failed := as_count(result.get("failed")):
        parts.append(ngettext("{count} failed", "{count} failed", failed).format(count=count(failed)))
    return parts


def _drawn(result: Mapping[str, Any]) -> list[str]:
    drawn = as_count(result.get("drawn"))
    parts = [ngettext("{count} picture drawn", "{count} pictures drawn", drawn).format(count=count(drawn))]
    if kept := as_count(result.get("kept")):
        parts.append(ngettext("{count} was there", "{count} were there", kept).format(count=count(kept)))
    if failed := as_count(result.get("failed")):
        parts.append(ngettext("{count} failed", "{count} failed", failed).format(count=count(failed)))
    return parts


def _scored(result: Mapping[str, Any]) -> list[str]:
    scored = as_count(result.get("scored"))
    parts = [ngettext("{count} picture scored", "{count} pictures scored", scored).format(count=count(scored))]
    best = result.get("recommended")
    if isinstance(best, Mapping) and best:
        named = " × ".join(plain(str(best.get(name, "")), limit=60) for name in ("checkpoint", "strength"))
        parts.append(_("recommended: {name}").format(name=named))
    return parts


def _said(result: Mapping[str, Any]) -> list[str]:
    return [plain(str(result["last"]), limit=200)] if result.get("last") else []


def _prepared(result: Mapping[str, Any]) -> list[str]:
    failed = as_count(result.get("failed"))
    made = max(as_count(result.get("done")) - failed, 0)
    parts = [ngettext("{count} image prepared", "{count} images prepared", made).format(count=count(made))]
    if refused := as_count(result.get("refused")):
        parts.append(ngettext("{count} refused", "{count} refused", refused).format(count=count(refused)))
    if out := as_count(result.get("left_out")):
        parts.append(ngettext("{count} left out", "{count} left out", out).format(count=count(out)))
    if failed:
        parts.append(ngettext("{count} failed", "{count} failed", failed).format(count=count(failed)))
    return parts


_RESULTS = {
    "tag": _tagged,
    "prepare": _prepared,
    "command": _said,
    "grid": _drawn,
    "score": _scored,
    "generate": _drawn,
}
"""What says the result of each kind."""
