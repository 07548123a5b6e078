"""The kinds of jobs that the queue takes: what each needs, and how its command line is started and gone on with.

Any command of lora-tui that ends by itself can be queued. One that has a row here of its own says better what it
needs; one that can go to the background by itself has a folder that its progress is read from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lora_tui.text.translate import N_, _


@dataclass(frozen=True)
class Kind:
    """A kind of jobs.

    Attributes:
        words: the first words of its command lines.
        label: what a person calls it.
        gpus: GPUs that it needs where there are any.
        background: options with which the command starts its work, tells the folder of it and ends; empty for one that
            works in the foreground, which the queue then puts into the background as a task.
        again: the command that goes on in such a folder, whose path follows it.
    """

    words: tuple[str, ...]
    label: str
    gpus: int = 0
    background: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


COMMAND = "command"
"""The kind of every command that has no row of its own."""

_ANSWER = ("--detach", "--json")

KINDS: dict[str, Kind] = {
    "train": Kind(("train",), N_("training"), 1, _ANSWER, ("train", *_ANSWER, "--resume")),
    "tag": Kind(("tag",), N_("tagging"), 1, _ANSWER, ("tasks", "resume", "--json")),
    "prepare": Kind(("dataset", "prepare"), N_("preparing"), 0, _ANSWER, ("tasks", "resume", "--json")),
    "grid": Kind(("grid", "run"), N_("grid"), 1, _ANSWER, ("tasks", "resume", "--json")),
    "score": Kind(("grid", "score"), N_("scores"), 1, _ANSWER, ("tasks", "resume", "--json")),
    "generate": Kind(("generate",), N_("images"), 1, _ANSWER, ("tasks", "resume", "--json")),
    "lora": Kind(("lora",), N_("LoRA files"), 0, (), ("tasks", "resume", "--json")),
    COMMAND: Kind((), N_("command"), 0, (), ("tasks", "resume", "--json")),
}
"""Name of each kind. What is new needs a row only where it needs a GPU or deserves a word of its own."""

NEVER = frozenset({"attach", "demo", "new", "notify", "queue", "runs", "serve", "tasks", "watch"})
"""Commands that show something, ask something or start others: there is nothing in them to wait for."""

KEPT = (
    "CUDA_DEVICE_ORDER", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE",
    "LORA_TUI_CONFIG", "OMP_NUM_THREADS", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "TRANSFORMERS_OFFLINE",
)  # fmt: skip
"""Variables that a job keeps of the terminal it was added from: those that change what it does, and no secrets."""


def kind_of(command: Sequence[str]) -> str:
    """The kind of a command line."""
    named = (name for name, kind in KINDS.items() if kind.words and tuple(command[: len(kind.words)]) == kind.words)
    return next(named, COMMAND)


def kind_named(name: str) -> Kind:
    """A kind by its name; what another version called otherwise is a command."""
    return KINDS.get(name, KINDS[COMMAND])


def label_of(name: str) -> str:
    """A kind as a person reads it."""
    return _(kind_named(name).label)


def on_given_gpus(command: Sequence[str]) -> tuple[str, ...]:
    """The command with a GPU's number left out of ``--device cuda:1``: a job sees only those that it is given."""
    words = list(command)
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--device" and value.startswith("cuda:"):
            words[place] = f"{name}{equals}cuda"
        elif word == "--device" and place + 1 < len(words) and words[place + 1].startswith("cuda:"):
            words[place + 1] = "cuda"
    return tuple(words)


def gpus_of(command: Sequence[str]) -> int:
    """GPUs that a command needs: none where it says ``--device cpu``, else those of its kind."""
    on_cpu = "--device=cpu" in command or ("--device", "cpu") in pairwise(command)
    return 0 if on_cpu else kind_named(kind_of(command)).gpus


def variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a job keeps of the environment in which it is added."""
    found = os.environ if environment is None else environment
    return {name: found[name] for name in KEPT if name in found}
