"""The files that a grid's axes name: LoRA files of a run, by step or epoch, others by name; models. Knows no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lora_tui.config.paths import is_hub_name
from lora_tui.errors import UserError
from lora_tui.families import check_model, check_vae
from lora_tui.families.hub import local
from lora_tui.places import exists, expand, is_file
from lora_tui.records.best import Checkpoint, best_of, checkpoints_of
from lora_tui.records.notes import read_notes
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, plain
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.ingredients import Ingredient, ingredient

_STEPS = re.compile(r"(?:step\s*)?(\d+)(?:\s*-\s*(\d+)\s*(?:\[\s*(\d+)\s*\])?)?", re.I)
_EPOCHS = re.compile(r"e(?:poch)?\s*(\d+)(?:\s*-\s*(?:e(?:poch)?\s*)?(\d+))?", re.I)


@dataclass(frozen=True)
class RunFile:
    """A LoRA file of a run; ``step`` and ``epoch`` are 0 where nothing tells them."""

    path: Path
    step: int = 0
    epoch: int = 0
    best: bool = False

    @property
    def label(self) -> str:
        """Its step, as a person reads it; its name where that is not known."""
        return str(self.step) if self.step else self.path.stem


def files_of_run(run: RunFolder) -> tuple[RunFile, ...]:
    """The LoRA files of a run, oldest first; of two of one step the one without a further word in its name."""
    found = checkpoints_of(run)
    best = best_of(run, read_notes(run))
    chosen = best.checkpoint.path if best is not None else None
    by_step: dict[int | Path, Checkpoint] = {}
    for one in sorted(found, key=lambda one: (len(one.path.stem), one.path.name)):
        by_step.setdefault(one.step or one.path, one)
    kept = sorted(by_step.values(), key=lambda one: (one.step or 1 << 60, one.path.name))
    return tuple(RunFile(one.path, one.step, one.epoch, best=one.path == chosen) for one in kept)


def of_run(entry: str, there: Sequence[RunFile]) -> list[RunFile]:
    """The files that ``entry`` means: ``all``, ``last``, ``best``, a step, ``500-2000``, ``500-2000 [4]``, ``epoch 3``,
    ``epoch 2-5``, or a name.

    Raises:
        UserError: there is none (``grid.checkpoint``).
    """
    if not there:
        raise UserError(
            _("there is no run with LoRA files to choose from."),
            remedy=_("Name a run, or list files: --x lora=A.safetensors,B.safetensors"),
            code="grid.checkpoint",
        )
    word = entry.strip().casefold()
    if word == "all":
        return list(there)
    if word == "last":
        return [there[-1]]
    if word == "best":
        return [one for one in there if one.best] or [there[-1]]
    found = _by_number(entry.strip(), there) or [one for one in there if entry in (one.path.name, one.path.stem)]
    if not found:
        known = ", ".join(one.label for one in there[:20])
        raise UserError(
            _("the run has no LoRA file {name}.").format(name=plain(entry, limit=80)),
            remedy=_("There are: {names}; and all, last, best, epoch N.").format(names=plain(known)),
            code="grid.checkpoint",
        )
    return found


def _by_number(entry: str, there: Sequence[RunFile]) -> list[RunFile]:
    if match := _EPOCHS.fullmatch(entry):
        first, last = int(match[1]), int(match[2] or match[1])
        return [one for one in there if min(first, last) <= one.epoch <= max(first, last)]
    match = _STEPS.fullmatch(entry)
    if match is None:
        return []
    first, last = int(match[1]), int(match[2] or match[1])
    within = [one for one in there if one.step and min(first, last) <= one.step <= max(first, last)]
    many = int(match[3]) if match[3] else len(within)
    if not within or many >= len(within) or many < 1:
        return within
    if many == 1:
        return [within[-1]]
    return [within[round(number * (len(within) - 1) / (many - 1))] for number in range(many)]


def lora_called(text: str, folders: Sequence[Path]) -> Path:
    """The LoRA file at a path, or of that name in one of the folders.

    Raises:
        UserError: there is none (``lora.missing``).
    """
    for place in (expand(text), *(folder / name for folder in folders for name in (text, f"{text}.safetensors"))):
        if is_file(place):
            return place.absolute()
    where = ", ".join(plain(str(folder)) for folder in folders)
    raise UserError(
        _("there is no LoRA file {name}.").format(name=plain(text, limit=120)),
        remedy=_("Give its path, or a name in: {folders}.").format(folders=where) if where else _("Give its path."),
        code="lora.missing",
    )


def with_strengths(text: str, folders: Sequence[Path]) -> Ingredient:
    """A LoRA file with strengths as :func:`lora_tui.weights.ingredients.ingredient` reads them, by path or name."""
    name, equals, rest = text.partition("=")
    if is_file(expand(text)):
        return Ingredient(expand(text).absolute())
    return ingredient(f"{lora_called(name.strip(), folders)}{equals}{rest}")


def check_family(path: Path, family: str) -> None:
    """Refuse a LoRA file of another family, or one that is none.

    Raises:
        UserError: ``lora.family``, or it cannot be read.
    """
    found = _info(path)
    if not found[1]:
        raise UserError(_("it holds no LoRA."), place=plain(str(path)), code="lora.none")
    if found[0] and found[0] not in ("unknown", family):
        raise UserError(
            _("it is a LoRA for {theirs}, and the base model is {ours}.").format(theirs=found[0], ours=family),
            place=plain(str(path)),
            remedy=_("Use the base model that it was trained on; lora-tui lora info tells its family."),
            code="lora.family",
        )


def changes_text(path: Path) -> bool:
    """Whether a LoRA file has layers for text encoders; it has where it cannot be read."""
    try:
        return _info(path)[2] > 0
    except (UserError, OSError):
        return True


def _info(path: Path) -> tuple[str, int, int]:
    """Family, layers, and those of text encoders."""
    facts = path.stat()
    return _info_at(path, facts.st_size, facts.st_mtime_ns)


@cache
def _info_at(path: Path, _size: int, _changed: int) -> tuple[str, int, int]:
    found = lora_info(path)
    return found.family, found.modules, found.text_encoder_modules


def base_called(text: str, family: str) -> str:
    """A base model's path, or its name on the hub, of that family.

    Raises:
        UserError: it is not there, or it is none of the family.
    """
    place = expand(text)
    if not exists(place):
        if is_hub_name(text):
            found = local(text)
            if found is not None:
                check_model(family, found)
            return text
        raise UserError(
            _("there is no model {name}.").format(name=plain(text, limit=120)),
            remedy=_("Give a file, a folder, or a name on the hub."),
            code="grid.base",
        )
    check_model(family, place.absolute())
    return str(place.absolute())


def vae_called(text: str, family: str) -> str:
    """A VAE's file or folder, or its name on the hub.

    Raises:
        UserError: it is not there, or cannot be used.
    """
    place = expand(text)
    if not exists(place):
        if is_hub_name(text):
            return text
        raise UserError(
            _("there is no VAE {name}.").format(name=plain(text, limit=120)),
            remedy=_("Give a file, a folder, a name on the hub, or own."),
            code="grid.vae",
        )
    check_vae(family, place.absolute())
    return str(place.absolute())
