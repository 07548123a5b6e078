"""What a tagger is: opened once, it prepares pictures in several threads and answers a batch of them at a time.

Taggers live in a process of their own (:mod:`~lora_tui.tagging.worker`), because they bring libraries of hundreds of
megabytes, and because a library that crashes must not take an app along.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lora_tui.dataset.buckets import Box
from lora_tui.errors import UserError
from lora_tui.tagging.cache import Answer

MODULES = {
    "wd14": "lora_tui.tagging.onnx_tagger",
    "onnx": "lora_tui.tagging.onnx_tagger",
    "florence2": "lora_tui.tagging.florence2",
    "blip": "lora_tui.tagging.blip",
    "endpoint": "lora_tui.tagging.endpoint",
}
"""The module of each kind; its ``open_tagger`` is named by text, so that nobody imports what it brings by accident."""


@dataclass(frozen=True)
class Device:
    """Where and how a model computes.

    Attributes:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        batch: images at once, 0 for what suits.
        threads: of one calculation, 0 for what the library takes.
    """

    name: str = "auto"
    batch: int = 0
    threads: int = 0


class Tagger(Protocol):
    """One opened model.

    Attributes:
        batch: images that :meth:`answer` takes at a time, at most.
        threads: in how many :meth:`prepare` may run.
        told: where it computes, for a person.
    """

    batch: int
    threads: int
    told: str

    def prepare(self, path: Path, prompt: str, part: Box | None = None) -> Any:
        """A picture made ready; called in several threads.

        Args:
            prompt: what the model is asked about it; empty for models that are asked nothing.
            part: look at nothing but this of it, px of the upright image.

        Raises:
            UserError: this image cannot be read; the others can.
            FatalError: nothing further can be done.
        """

    def answer(self, prepared: Sequence[Any]) -> list[Answer]:
        """What the model says of some pictures: a row of scores or a text for each.

        Raises:
            UserError: it cannot answer at all.
        """


class FatalError(Exception):
    """Something about one image that shows that no image will do, such as a wrong key; ``error`` says what."""

    def __init__(self, error: UserError) -> None:
        super().__init__(error.message)
        self.error = error


Opener = Callable[[Mapping[str, Any], Device], Tagger]


def opener(kind: str) -> Opener:
    """The function that opens taggers of a kind.

    Raises:
        ImportError: a library that it needs is not installed.
    """
    found: Opener = importlib.import_module(MODULES[kind]).open_tagger
    return found
