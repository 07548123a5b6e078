"""The kinds of tasks, each with the function that does it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from lora_tui.errors import UserError
from lora_tui.tasks.report import Report
from lora_tui.text.translate import N_, _

Worker = Callable[[Mapping[str, Any], Report], dict[str, Any]]
"""Takes the options of ``task.json``, reports on the way, and returns what came of it (as JSON can hold it)."""

KINDS: dict[str, tuple[str, str]] = {
    "tag": ("lora_tui.tagging.task", N_("tagging")),
    "prepare": ("lora_tui.dataset.prepare.task", N_("preparing")),
    "command": ("lora_tui.tasks.command", N_("command")),
    "lora": ("lora_tui.weights.work", N_("LoRA files")),
    "grid": ("lora_tui.grids.work", N_("grid")),
    "score": ("lora_tui.scores.work", N_("scores")),
    "generate": ("lora_tui.generate.work", N_("images")),
}
"""Name of each kind: the module whose ``work`` does it, and a word for it."""


def worker(kind: str) -> Worker:
    """The function that does tasks of a kind.

    Raises:
        UserError: ``task.kind``.
        ImportError: a library that it needs is missing.
    """
    if kind not in KINDS:
        raise UserError(_("There is no task called {kind}.").format(kind=kind), code="task.kind")
    found: Worker = importlib.import_module(KINDS[kind][0]).work
    return found


def kind_word(kind: str) -> str:
    """A kind as a person reads it."""
    return _(KINDS[kind][1]) if kind in KINDS else kind
