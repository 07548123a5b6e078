"""What a grid's pictures are compared with: each other, and images that were trained or held out. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_tui.captions.as_trained import rules_for, source_text, whole_caption, words_for
from lora_tui.captions.files import read_caption
from lora_tui.captions.trigger import has_word, without_word
from lora_tui.captions.weighted import weighted_pieces
from lora_tui.config.entries import all_settings
from lora_tui.config.schema import Config
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.buckets import Box
from lora_tui.dataset.scan import DatasetImage, scan_datasets
from lora_tui.dataset.similar import image_groups
from lora_tui.errors import UserError
from lora_tui.grids.cell import Cell
from lora_tui.grids.files import RunFile, files_of_run
from lora_tui.grids.grid import Grid
from lora_tui.grids.outputs import Shown
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, plain
from lora_tui.weights.ingredients import Ingredient

STRENGTHS = ("strength", "unet", "text")
FILES = ("checkpoint", "lora")
OTHERS = ("blocks", "lora2", "sr")
Loras = tuple[Ingredient, ...]


@dataclass(frozen=True)
class Drawn:
    """A picture that is there: ``condition`` is its cell without any LoRA, which choices have in common."""

    key: str
    condition: Cell
    path: Path


@dataclass(frozen=True)
class Worn:
    """The pictures of one state of the LoRA files, one for each condition."""

    checkpoint: str
    strength: str
    step: int
    weight: float | None
    pictures: Mapping[Cell, Drawn]
    base: bool = False


@dataclass(frozen=True)
class Reference:
    """A training image: the part of it that is trained, its near-duplicate group, whether it shows what is learned."""

    path: Path
    crop: Box | None
    group: int
    learned: bool
    held_out: bool


def trigger_of(config: Config, place: Path) -> str:
    """The trigger word of the configuration, else that of the project around ``place``; empty where there is none."""
    project = Project.find(place)
    return config.saving.trigger.strip() or (project.trigger.strip() if project is not None else "")


def words_of(prompt: str, trigger: str = "") -> str:
    """A prompt as a model should read it: without weights; without ``trigger`` and the comma behind it."""
    text = " ".join("".join(piece.text for piece in weighted_pieces(prompt)).split())
    if not trigger or not has_word(text, trigger):
        return text
    parts = (" ".join(part.split()) for part in without_word(text, trigger).split(","))
    return ", ".join(part for part in parts if part)


# -- choices ---------------------------------------------------------------------------------------------------------


def worn_of(grid: Grid, shown: Sequence[Shown], cells: Path) -> list[Worn]:
    """The states of the LoRA files in the order in which the grid has them, each with the pictures that are there."""
    run = RunFolder(Path(grid.run)) if grid.run else None
    known = {one.path: one for one in files_of_run(run)} if run is not None else {}
    found: dict[Loras, dict[Cell, Drawn]] = {}
    labels: dict[Loras, tuple[str, str]] = {}
    for one in shown:
        loras = one.cell.loras
        pictures = found.setdefault(loras, {})
        labels.setdefault(loras, _labels(grid, one, known))
        if one.state == "drawn":
            condition = replace(one.cell, loras=())
            pictures.setdefault(condition, Drawn(one.key, condition, cells / f"{one.key}.png"))
    choices = []
    for loras, pictures in found.items():
        checkpoint, strength = labels[loras]
        first = loras[0] if loras else None
        step = known[first.path].step if first is not None and first.path in known else 0
        weight = first.strength if first is not None else 0.0
        choices.append(Worn(checkpoint, strength, step, weight, pictures, base=not loras))
    return _told_apart(choices)


def _labels(grid: Grid, one: Shown, known: Mapping[Path, RunFile]) -> tuple[str, str]:
    """What a person calls the LoRA file and its strength there."""
    if not one.cell.loras:
        return "", "0"
    first = one.cell.loras[0]
    by_kind: dict[str, str] = {}
    for axis, label in zip(grid.shown, one.labels, strict=True):
        by_kind.setdefault(axis.kind, label)
    checkpoint = next((by_kind[kind] for kind in FILES if kind in by_kind), "")
    strengths = [by_kind[kind] for kind in STRENGTHS if kind in by_kind] or [f"{first.strength:g}"]
    others = [by_kind[kind] for kind in OTHERS if by_kind.get(kind)]
    own = known[first.path].label if first.path in known else first.path.stem
    return checkpoint or own, ", ".join([" / ".join(strengths), *others])


def _told_apart(choices: Sequence[Worn]) -> list[Worn]:
    """Choices that would read the same are numbered."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for one in choices:
        number = seen[one.checkpoint, one.strength] = seen.get((one.checkpoint, one.strength), 0) + 1
        found.append(one if number == 1 else replace(one, strength=f"{one.strength} ({number})"))
    return found


# -- images ----------------------------------------------------------------------------------------------------------


def references_of(config: Config, trigger: str, on_progress: Callable[[int], None]) -> tuple[list[Reference], str]:
    """The images of a configuration, those of the class apart, and a sentence on why there are none.

    What is learned are the images whose caption has the trigger word, all of them where fewer than two have it. The
    images held out are those that the training holds out.
    """
    try:
        scan = scan_datasets(config)
        of_class = {number for number, own in enumerate(all_settings(config)) if own.regularisation}
        groups = image_groups(scan.images, on_progress=on_progress)
        plan = make_plan(config, scan, groups=groups)
    except (UserError, OSError) as error:
        reason = f"{error.place}: {error.message}" if isinstance(error, UserError) else str(error)
        return [], _("The training images are not there any more ({reason}).").format(
            reason=plain(reason, limit=200).rstrip(".")
        )
    held = {planned.image.uid for planned in plan.validation}
    images = [image for image in scan.images if image.dataset not in of_class]
    named = {image.uid for image in images if trigger and has_word(_caption(image, config), trigger)}
    trained_named = sum(uid not in held for uid in named)
    found = [
        Reference(
            image.path, image.crop, groups.get(image.uid, -number - 1),
            learned=trained_named < 2 or image.uid in named, held_out=image.uid in held,
        )
        for number, image in enumerate(images)
    ]  # fmt: skip
    return found, ""


def _caption(image: DatasetImage, config: Config) -> str:
    """What is trained of an image's caption; empty where it cannot be read."""
    rules = rules_for(config, image.dataset)
    try:
        text = source_text(read_caption(image.caption_path), rules) if image.caption_path is not None else ""
    except (UserError, OSError, ValueError):
        return ""
    return whole_caption(text or words_for(image.path.parent.name, rules.missing), rules)
