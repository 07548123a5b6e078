"""The models that look at a grid's pictures: named by folder or by their name on the hub. Knows no torch.

Their ``config.json`` tells what they are: CLIP and SigLIP read prompts, too; DINOv2 sees pictures alone, and is the
better judge of whether two show the same. The small encoder of the package knows nothing but the world of the demo.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.demo.project import MARK
from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.hub import Progress
from lora_tui.places import expand, is_file, is_folder
from lora_tui.project import Project
from lora_tui.tagging.hub import cached, fetched, is_hub_name
from lora_tui.text import _, plain

MICRO = "micro"
READERS = ("clip", "siglip")
"""Kinds that read prompts, as ``model_type`` names them."""
TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
"""One of these files makes tokens of a prompt."""
WATCHERS = ("dinov2", "dinov2_with_registers")
"""Kinds that see pictures alone."""
NEEDED = ("config.json", "preprocessor_config.json", "*.safetensors")
PATTERNS = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class Named:
    """A model that is on this machine; ``folder`` is none for the package's own."""

    name: str
    kind: str
    folder: Path | None = None

    @property
    def reads(self) -> bool:
        """Whether it reads prompts."""
        return self.kind in READERS


@dataclass(frozen=True)
class Panel:
    """Who is asked what: ``images`` for likeness, variety and bleed, ``prompts`` for the fit to the prompt."""

    images: Named
    prompts: Named | None = None


def usual(grid: Path, chosen: Sequence[str]) -> tuple[str, ...]:
    """The models that are asked where none is named: those ``chosen`` in the settings, else the demo's in a demo."""
    if chosen:
        return tuple(chosen)
    project = Project.find(grid)
    return (MICRO,) if project is not None and is_file(Path(project.root) / MARK) else ()


def check_names(names: Sequence[str]) -> None:
    """Refuse what no model can be, before anything is fetched or loaded.

    Raises:
        UserError: see :func:`panel_of`; names on the hub that are not here yet are believed.
    """
    there = [_here(name) for name in names]
    if there and all(one is not None for one in there):
        _panel([one for one in there if one is not None])


def panel_of(
    names: Sequence[str],
    *,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Panel | None:
    """The models of these names, fetched from the hub where they are not on this machine; none without names.

    Raises:
        UserError: there is no such model, it is of a kind that cannot be used, or two would be asked the same.
        StoppedError: ``should_stop`` said yes.
    """
    found = []
    for name in names:
        one = _here(name)
        if one is None:
            try:
                folder = fetched(name, PATTERNS, NEEDED, on_progress=on_progress, should_stop=should_stop)
            except UserError as error:
                if error.code != "tagger.hub":
                    raise
                remedy = _("Name a CLIP, SigLIP or DINOv2 model in the layout of transformers.")
                raise UserError(error.message, remedy=remedy, code="scores.model") from error
            one = _at(folder, name)
        found.append(one)
    return _panel(found) if found else None


def _panel(found: Sequence[Named]) -> Panel:
    readers = [one for one in found if one.reads]
    watchers = [one for one in found if not one.reads]
    for several in (readers, watchers):
        if len(several) > 1:
            raise UserError(
                _("it would be asked the same as {other}.").format(other=plain(several[0].name)),
                place=plain(several[1].name),
                remedy=_("Name one that reads prompts (CLIP, SigLIP), and one that sees pictures alone (DINOv2)."),
                code="scores.twice",
            )
    return Panel((watchers or readers)[0], readers[0] if readers else None)


def _here(name: str) -> Named | None:
    """The model of this name on this machine; none where it is on the hub alone."""
    if name.strip() == MICRO:
        return Named(MICRO, MICRO)
    path = expand(name)
    if is_folder(path):
        return _at(path.absolute(), name)
    if is_hub_name(name) and not is_file(path):
        place = cached(name, NEEDED)
        return _at(place, name) if place is not None else None
    raise UserError(
        _("there is no such model folder."),
        place=plain(name, limit=200),
        remedy=_("Name a folder that holds CLIP, SigLIP or DINOv2, or a name on the hub such as {name}.").format(
            name="facebook/dinov2-small"
        ),
        code="scores.missing",
    )


def _at(folder: Path, name: str) -> Named:
    kind = _kind(folder)
    if kind in READERS and not any(is_file(folder / file) for file in TOKENIZERS):
        raise UserError(
            _("it has no tokenizer, so that it cannot read prompts."),
            place=plain(str(folder)),
            remedy=_("Copy its folder again, whole, from where the model comes from."),
            code="scores.tokenizer",
        )
    if kind in (*READERS, *WATCHERS):
        shown = folder.name if is_folder(expand(name)) else name
        return Named(plain(shown), kind, folder)
    message = _("its config.json says “{kind}”, which is none of {known}.") if kind else _("it has no config.json.")
    raise UserError(
        message.format(kind=plain(kind, limit=60), known=", ".join((*READERS, *WATCHERS))),
        place=plain(str(folder)),
        remedy=_("Name a CLIP, SigLIP or DINOv2 model in the layout of transformers."),
        code="scores.model",
    )


def _kind(folder: Path) -> str:
    try:
        with open_file(folder / "config.json") as file:
            told = json.loads(file.read(4_000_000))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(told.get("model_type", "")) or "?" if isinstance(told, dict) else ""
