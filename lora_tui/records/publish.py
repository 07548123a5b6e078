"""A run's best LoRA file handed on with a cover and its trigger words: copied to where images are made, or sent there.

ComfyUI and A1111 (Forge, too) show a picture ``NAME.preview.png`` beside ``NAME.safetensors``; A1111 reads the trigger
words from ``NAME.json`` (``activation text``), and loaders of ComfyUI show the text of ``NAME.txt``.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import write_atomic, written_whole
from lora_tui.places import absolute, is_file, is_folder
from lora_tui.records.best import best_of, checkpoints_of
from lora_tui.records.notes import read_notes
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.story import RunStory
from lora_tui.text.plain import plain
from lora_tui.text.translate import _
from lora_tui.toml_files import TomlError, read_toml

SUFFIX = ".safetensors"
STAGE = "publish"
"""Folder of a run in which what is sent elsewhere lies under its names."""

READ_SECONDS = 20.0

_PROGRAMS = (("comfyui", ("models", "loras")), ("a1111", ("models", "Lora")))
_REMOTE = re.compile(r"(?:scp://)?(?P<host>[\w.@-]+@?[\w.-]*):(?P<path>.*)", re.DOTALL)
_VERSIONS = {"sd15": "SD1", "sd2": "SD2", "sdxl": "SDXL"}


@dataclass(frozen=True)
class Target:
    """Where to: a ``folder`` of this machine, and whose it is (``comfyui``, ``a1111`` or empty); or a ``remote`` one,
    as scp writes it."""

    folder: Path | None = None
    program: str = ""
    remote: str = ""


@dataclass(frozen=True)
class Parcel:
    """What goes there.

    Attributes:
        file: the LoRA file, ``why`` it (``chosen``, ``validation``, ``last`` or ``named``), and the ``step`` it is of.
        name: of the files there, without an ending.
        cover: a picture; none where there is none.
        trigger: the words that call it up; empty where nobody said them.
        about: sidecars by their ending.
    """

    run: RunFolder
    file: Path
    why: str
    step: int
    name: str
    cover: Path | None
    trigger: str
    about: dict[str, str]


def target_of(text: str) -> Target:
    """A place as a person writes it: a folder, that of a whole ComfyUI or A1111, or ``host:folder`` for scp.

    Raises:
        UserError: ``publish.target`` where there is no such folder.
    """
    remote = _REMOTE.fullmatch(text)
    if remote is not None and not is_folder(Path(text)) and "/" not in remote["host"]:
        return Target(remote=f"{remote['host']}:{remote['path']}")
    folder = absolute(text, "publish")
    for program, below in _PROGRAMS:
        inner = folder.joinpath(*below)
        if is_folder(inner):
            return Target(inner, program)
    if not is_folder(folder):
        raise UserError(
            _("There is no such folder."),
            place=plain(str(folder)),
            remedy=_("Name the folder of ComfyUI or A1111, a folder for LoRA files, or host:folder for scp."),
            code="publish.target",
        )
    ends = folder.parts[-2:]
    return Target(folder, next((program for program, inside in _PROGRAMS if ends == inside), ""))


def parcel_of(
    run: RunFolder, *, file: Path | None = None, name: str = "", cover: Path | None = None, trigger: str = ""
) -> Parcel:
    """What of a run is handed on: its best file unless ``file`` says another one.

    Raises:
        UserError: ``publish.nothing`` where it has no file, ``publish.file`` where one that is named is not there,
            ``publish.name`` where no file can be called so.
    """
    notes, why, step = read_notes(run), "named", 0
    if file is None:
        best = best_of(run, notes)
        if best is None:
            raise UserError(
                _("The run has no LoRA file yet."),
                place=plain(run.name),
                remedy=_("Save one: lora-tui runs save"),
                code="publish.nothing",
            )
        file, why, step = best.checkpoint.path, best.why, best.checkpoint.step
    else:
        step = next((one.step for one in checkpoints_of(run) if one.path == file), 0)
    for given in (file, cover):
        if given is not None and not is_file(given):
            raise UserError(_("There is no such file."), place=plain(str(given)), code="publish.file")
    settings = _settings(run)
    name = (name or settings["name"] or file.stem).removesuffix(SUFFIX)
    if not name or name in (".", "..") or re.search(r"[/\\\x00-\x1f]", name) or len(os.fsencode(name)) > 200:
        raise UserError(
            _("No file can be called so: {name}.").format(name=plain(name, limit=60)),
            remedy=_("Give it a name without / and \\ by --name."),
            code="publish.name",
        )
    trigger = trigger or settings["trigger"]
    about = _about(run, step, trigger, settings, notes.note)
    return Parcel(run, file, why, step, name, cover or cover_of(run, step, trigger), trigger, about)


def cover_of(run: RunFolder, step: int, trigger: str = "") -> Path | None:
    """The sample that shows a file of ``step`` best: drawn at that step or last before it, with the trigger word."""
    story = RunStory(run)
    story.update(READ_SECONDS)
    there = [sample for sample in story.samples if sample.path.is_file() and sample.path.suffix == ".png"]
    before = [sample for sample in there if not step or sample.step <= step] or there
    if not before:
        return None
    newest = max(sample.step for sample in before)
    drawn = sorted((sample for sample in before if sample.step == newest), key=lambda sample: sample.prompt)
    called = [sample for sample in drawn if trigger and trigger.casefold() in sample.text.casefold()]
    return (called or drawn)[0].path


def publish(parcel: Parcel, target: Target, *, force: bool = False) -> list[Path]:
    """Copy it there, each file whole or not at all; return what lies there now. The LoRA file comes last.

    Cover and sidecars that somebody else wrote or changed there stay as they are without ``force``.

    Raises:
        UserError: ``publish.exists`` where another file has the name, ``publish.write`` where it cannot be written.
    """
    folder = target.folder if target.folder is not None else parcel.run.root / STAGE
    goal = folder / f"{parcel.name}{SUFFIX}"
    if target.folder is not None and not force and goal.exists() and not _same(parcel.file, goal):
        raise UserError(
            _("Another file of this name is there."),
            place=plain(str(goal)),
            remedy=_("Replace it with --force, or give this one another name with --name."),
            code="publish.exists",
        )
    made = []
    ours = force or target.folder is None
    try:
        folder.mkdir(exist_ok=True)
        for ending, text in parcel.about.items():
            if ending in _endings(target.program):
                path = folder / f"{parcel.name}{ending}"
                if ours or not path.exists():
                    write_atomic(path, text.encode("utf-8", "replace"), durable=False)
                made.append(path)
        if parcel.cover is not None:
            path = folder / f"{parcel.name}.preview{parcel.cover.suffix}"
            made.append(_copy(parcel.cover, path) if ours or not path.exists() else path)
        made.append(_copy(parcel.file, goal, link=target.folder is None))
    except OSError as error:
        raise UserError(
            _("It cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(folder)),
            remedy=_("Make the folder writable and leave room on the disk."),
            code="publish.write",
        ) from error
    return made


def scp_line(files: Iterable[Path], remote: str) -> str:
    """The command that sends the files to ``remote``, for a shell."""
    words = ["scp", *(shlex.quote(str(path)) for path in files)]
    host, _colon, folder = remote.partition(":")
    return " ".join([*words, shlex.quote(f"{host}:{folder.rstrip('/')}/" if folder else f"{host}:")])


def _endings(program: str) -> tuple[str, ...]:
    return {"comfyui": (".txt",), "a1111": (".json",)}.get(program, (".json", ".txt"))


def _about(run: RunFolder, step: int, trigger: str, settings: dict[str, str], note: str) -> dict[str, str]:
    told = [note, f"lora-tui {run.name}" + (f", step {step}" if step else "")]
    card: dict[str, Any] = {
        "description": settings["comment"],
        "sd version": _VERSIONS.get(settings["family"], "Unknown"),
        "activation text": trigger,
        "preferred weight": 0,
        "notes": "\n".join(text for text in told if text),
    }
    about = {".json": json.dumps(card, ensure_ascii=False, indent=2) + "\n"}
    return {**about, ".txt": trigger + "\n"} if trigger else about


def _settings(run: RunFolder) -> dict[str, str]:
    try:
        data = read_toml(run.config_path)
    except (OSError, UnicodeDecodeError, TomlError):
        data = {}
    found = {}
    for name, place in (("name", "saving"), ("trigger", "saving"), ("comment", "saving"), ("family", "model")):
        table = data.get(place)
        value = table.get(name) if isinstance(table, dict) else None
        found[name] = value if isinstance(value, str) else ""
    return found


def _same(source: Path, there: Path) -> bool:
    try:
        return filecmp.cmp(source, there, shallow=False)
    except OSError:
        return False


def _copy(source: Path, path: Path, *, link: bool = False) -> Path:
    """A copy that appears whole; with ``link`` another name of the same file where the disk can do that."""
    if link:
        try:
            path.unlink(missing_ok=True)
            os.link(source, path)
            return path
        except OSError:
            pass
    with written_whole(path) as temporary:
        shutil.copyfile(source, temporary)
    return path
