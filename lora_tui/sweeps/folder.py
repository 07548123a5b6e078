"""A sweep on disk: a folder with the configuration of each of its runs, and ``sweep.json``, which says what varies.

The folder is made before anything starts and never written to again: which runs have begun is asked of the runs, each
of which notes in its record what it is of.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.config.load import dump_config, load_config
from lora_tui.errors import UserError
from lora_tui.files import sync_folder, write_atomic
from lora_tui.records.rows import SWEEP
from lora_tui.runs.folder import folder_name, free_name, list_runs, read_json, unfinished, write_json
from lora_tui.sweeps.members import Sweep
from lora_tui.text import _, plain

FILE, CONFIGS = "sweep.json", "configs"
FORMAT = 1
FOLDER = "sweeps"
"""Where sweeps lie, beside the runs."""


@dataclass(frozen=True)
class Planned:
    """A run that a sweep is to have: its name, its configuration's file, and what it has of what varies."""

    name: str
    config: Path
    values: Mapping[str, Any]


@dataclass(frozen=True)
class SweepFolder:
    """A sweep that was made.

    Attributes:
        root: its folder.
        runs_dir: where its runs lie.
        keys: the settings that vary.
        members: its runs.
    """

    root: Path
    runs_dir: Path
    keys: tuple[str, ...]
    members: tuple[Planned, ...]

    @property
    def name(self) -> str:
        """The folder's name, by which runs know it."""
        return self.root.name


def create(sweep: Sweep, runs_dir: Path, *, command: Sequence[str] = ()) -> SweepFolder:
    """Make the folder of ``sweep``, complete or not at all, beside ``runs_dir``, where its runs are to lie.

    Raises:
        UserError: ``sweep.create``, the folder cannot be written; or a text of a configuration is no UTF-8.
    """
    runs_dir = runs_dir.absolute()
    parent = runs_dir.parent / FOLDER
    texts = {member.name: dump_config(member.config, comments=True) for member in sweep.members}
    told = {
        "format": FORMAT,
        "name": sweep.name,
        "command": list(command),
        "runs": str(runs_dir),
        "keys": list(sweep.keys),
        "members": [{"name": member.name, "values": dict(member.values)} for member in sweep.members],
        "alike": [{"name": name, "values": dict(values)} for name, values in sweep.alike],
    }
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with unfinished(parent) as root:
            (root / CONFIGS).mkdir()
            for name, text in texts.items():
                write_atomic(root / CONFIGS / _file(name), text.encode(), durable=False)
            write_json(root / FILE, told)
            sync_folder(root / CONFIGS)
            made = root.rename(free_name(parent, sweep.name))
        sync_folder(parent)
    except OSError as error:
        raise UserError(
            _("The folder of the sweep cannot be made: {reason}.").format(reason=error.strerror or error),
            place=plain(str(parent)),
            remedy=_("Make the folder writable and leave room on the disk."),
            code="sweep.create",
        ) from error
    return open_sweep(made)


def same(sweep: Sweep, runs_dir: Path) -> SweepFolder | None:
    """The newest sweep beside ``runs_dir`` that has this name and these very runs; none where there is none."""
    values = [(member.name, _plain(member.values)) for member in sweep.members]
    for found in reversed(list_sweeps(runs_dir.absolute())):
        alike = read_json(found.root / FILE).get("name") == sweep.name
        if alike and [(one.name, _plain(one.values)) for one in found.members] == values:
            try:
                if all(
                    load_config(one.config) == member.config
                    for one, member in zip(found.members, sweep.members, strict=True)
                ):
                    return found
            except UserError:
                continue  # one of its configurations is gone or was changed
    return None


def _plain(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True, default=str)


def open_sweep(root: Path) -> SweepFolder:
    """The sweep in the folder ``root``.

    Raises:
        UserError: it is none, or of a newer version.
    """
    told = read_json(root / FILE)
    version = told.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise UserError(
            _("This sweep was made by a newer version of lora-tui (format {found}, known up to {known}).").format(
                found=version, known=FORMAT
            ),
            place=plain(str(root)),
            remedy=_("Update lora-tui: pip install --upgrade lora-tui"),
            code="sweep.newer",
        )
    members = [found for one in _list(told, "members") if (found := _planned(root, one)) is not None]
    runs_dir = told.get("runs")
    if not members or not isinstance(runs_dir, str):
        raise UserError(
            _("This is no sweep: its {file} is missing or damaged.").format(file=FILE),
            place=plain(str(root)),
            remedy=_("See: lora-tui sweep list"),
            code="sweep.not_found",
        )
    keys = tuple(key for key in _list(told, "keys") if isinstance(key, str))
    place = Path(runs_dir)
    beside = root.parent.parent / place.name  # the project may have been moved since
    return SweepFolder(root, place if place.is_dir() or not beside.is_dir() else beside, keys, tuple(members))


def list_sweeps(runs_dir: Path) -> list[SweepFolder]:
    """The sweeps beside ``runs_dir``, oldest first; folders that are none are left out."""
    try:
        with os.scandir(runs_dir.parent / FOLDER) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError:
        return []
    found = []
    for name in names:
        try:
            found.append(open_sweep(runs_dir.parent / FOLDER / name))
        except UserError:
            continue
    return found


def find_sweep(text: str, base: Path) -> SweepFolder:
    """The sweep that ``text`` means: a path, a folder's name or a part of one only; empty means the newest.

    ``base`` is a project or its ``runs`` folder.

    Raises:
        UserError: ``sweep.not_found``, ``sweep.ambiguous``.
    """
    if text:
        for path in (Path(text), base / FOLDER / text):
            if (path / FILE).is_file():
                return open_sweep(path.absolute())
    there = list_sweeps(base / "runs") or list_sweeps(base)
    found = [one for one in there if text.casefold() in one.name.casefold()]
    exact = [one for one in found if one.name.split("-", 2)[-1] == text]
    found = exact or found
    if not found:
        raise UserError(
            _("No sweep is called {name}.").format(name=plain(text, limit=80))
            if text
            else _("There is no sweep here."),
            place=plain(str(base)),
            remedy=_("See: lora-tui sweep list"),
            code="sweep.not_found",
        )
    if len(found) > 1 and text:
        names = ", ".join(plain(one.name) for one in found[:8])
        raise UserError(
            _("{text} could be {names}.").format(text=plain(text, limit=80), names=names),
            remedy=_("Name one of them."),
            code="sweep.ambiguous",
        )
    return found[-1]


def membership(config: Path) -> dict[str, Any]:
    """What the record of a run says that is started from the file ``config``, where that is of a sweep; else empty."""
    root = config.absolute().parent.parent
    if config.absolute().parent.name != CONFIGS or not (root / FILE).is_file():
        return {}
    try:
        sweep = open_sweep(root)
    except UserError:
        return {}
    member = next((one for one in sweep.members if one.config == config.absolute()), None)
    if member is None:
        return {}
    return {SWEEP: {"name": sweep.name, "member": member.name, "values": dict(member.values)}}


def begun(sweep: SweepFolder) -> dict[str, list[Path]]:
    """The runs of each member that were started, oldest first; a member that never was is not among them."""
    found: dict[str, list[Path]] = {}
    for run in list_runs(sweep.runs_dir):
        entry = read_json(run.record_path).get(SWEEP)
        if isinstance(entry, dict) and entry.get("name") == sweep.name and isinstance(entry.get("member"), str):
            found.setdefault(entry["member"], []).append(run.root)
    return found


def _planned(root: Path, told: Any) -> Planned | None:
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        return None
    values, name = told.get("values"), told["name"]
    return Planned(name, root / CONFIGS / _file(name), values if isinstance(values, dict) else {})


def _file(name: str) -> str:
    return f"{folder_name(name)}.toml"


def _list(told: Mapping[str, Any], key: str) -> list[Any]:
    found = told.get(key)
    return found if isinstance(found, list) else []
