"""The folder of a run: where everything lies in it, how one is made, and how one is found by what a person types."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import alone_in, open_file, sync_folder, write_atomic
from lora_tui.jobs.events import as_count
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

MOST_NAMED = 8
"""Runs that a question which of them is meant names."""

_UNFINISHED = ".making-"
_LEFT_BEHIND = 3600.0
"""Age in seconds from which on an unfinished folder belongs to a process that was killed."""

MOST_NUMBER = 10**9
"""The largest number of a run; what is larger stands in a damaged record."""

FORMAT = 1
"""Version of the run folder's layout, written into its record. A newer one is shown but not touched."""


@dataclass(frozen=True, order=True)
class RunFolder:
    """One run on disk. Holds no state: every question is answered from the folder."""

    root: Path

    @property
    def name(self) -> str:
        """The folder's name, ``yyyymmdd-hhmmss-name``."""
        return self.root.name

    @property
    def config_path(self) -> Path:
        return self.root / "config.toml"

    @property
    def record_path(self) -> Path:
        return self.root / "record.json"

    @property
    def events_path(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def job_path(self) -> Path:
        return self.root / "job.json"

    @property
    def log_path(self) -> Path:
        return self.root / "trainer.log"

    def log_of(self, number: int) -> Path:
        """What a process of the run prints, from 0; :attr:`log_path` is that of the first."""
        return self.log_path if number == 0 else self.root / f"trainer.{number + 1}.log"

    @property
    def keeper_log_path(self) -> Path:
        return self.root / "keeper.log"

    @property
    def control_dir(self) -> Path:
        return self.root / "control"

    @property
    def lock_path(self) -> Path:
        return self.root / "lock"

    @property
    def keeper_lock_path(self) -> Path:
        return self.root / "keeper.lock"

    @property
    def checkpoints_dir(self) -> Path:
        return self.root / "checkpoints"

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    @property
    def samples_dir(self) -> Path:
        return self.root / "samples"

    @property
    def number(self) -> int:
        """The run's number within its project, from its record; 0 when that does not say."""
        return as_count(read_json(self.record_path).get("number"), MOST_NUMBER)

    @classmethod
    def create(cls, runs_dir: Path, name: str, config_text: str, record: dict[str, Any]) -> RunFolder:
        """Make a new run folder with its configuration and record, complete or not at all.

        The record gets ``format``, ``number`` (one above the highest of ``runs_dir``) and ``created``.

        Raises:
            UserError: ``run.create`` when the folder cannot be written.
        """
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            with unfinished(runs_dir) as root:
                run = cls(root)
                for folder in (run.control_dir, run.checkpoints_dir, run.state_dir, run.samples_dir):
                    folder.mkdir()
                write_atomic(run.config_path, config_text.encode("utf-8"))
                with alone_in(runs_dir):
                    number = 1 + max((other.number for other in list_runs(runs_dir)), default=0)
                    full = {"format": FORMAT, "number": number, "created": round(time.time(), 3), **record}
                    write_json(run.record_path, full)
                    made = cls(root.rename(free_name(runs_dir, name)))
            sync_folder(runs_dir)
        except OSError as error:
            raise UserError(
                _("The run folder cannot be made: {reason}.").format(reason=error.strerror),
                place=str(runs_dir),
                remedy=_("Make the folder writable and leave room on the disk."),
                code="run.create",
            ) from error
        return made

    def exists(self) -> bool:
        """Whether this is a run folder at all: it has a configuration or a job."""
        return any(os.path.isfile(path) for path in (self.config_path, self.job_path))  # noqa: PTH113 - never raises

    def require_known_format(self) -> None:
        """Refuse a folder that a newer version made.

        Raises:
            UserError: ``run.newer``.
        """
        written = read_json(self.record_path).get("format", FORMAT)
        if isinstance(written, int) and written > FORMAT:
            raise UserError(
                _("This run was made by a newer version of lora-tui (format {found}, known up to {known}).").format(
                    found=written, known=FORMAT
                ),
                place=str(self.root),
                remedy=_("Update lora-tui: pip install --upgrade lora-tui"),
                code="run.newer",
            )


def list_runs(project_runs_dir: Path) -> list[RunFolder]:
    """The runs of a project, oldest first. A folder that is missing or cannot be read has none."""
    try:
        with os.scandir(project_runs_dir) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []
    runs = (RunFolder(project_runs_dir / name) for name in sorted(names))
    return [run for run in runs if run.exists()]


def find_run(text: str, base: Path) -> RunFolder:
    """The run that ``text`` means: a path, a folder's name, a run's number, or a part of one name only.

    Digits alone mean a number (or a whole folder's name) and never a part of a name, which begins with a date.
    ``base`` is a project, its ``runs`` folder, or a run; an empty ``text`` means the newest run there.

    Raises:
        UserError: ``run.not_found`` or ``run.ambiguous``.
    """
    if text:
        direct = [Path(os.path.expanduser(text)), base / text, base / "runs" / text]  # noqa: PTH111 - never raises
        for path in direct:
            run = RunFolder(Path(os.path.abspath(path)))  # noqa: PTH100 - links stay as the person wrote them
            if run.exists():
                return run
    elif RunFolder(base).exists():
        return RunFolder(base)
    runs = list_runs(base / "runs") or list_runs(base)
    found = matching(text, runs) if text else runs[-1:]
    if not found:
        raise UserError(
            _("No run is called {text}.").format(text=plain(text)) if text else _("There is no run here."),
            place=str(base),
            remedy=_("See: lora-tui runs list"),
            code="run.not_found",
        )
    return the_one(text, found)


def the_one(text: str, found: Sequence[RunFolder]) -> RunFolder:
    """The only one of the runs that ``text`` could mean.

    Raises:
        UserError: ``run.ambiguous``, naming them.
    """
    if len(found) == 1:
        return found[0]
    names = ", ".join(plain(run.name) for run in found[:MOST_NAMED])
    if len(found) > MOST_NAMED:
        names = _("{names} and {count} more").format(names=names, count=len(found) - MOST_NAMED)
    raise UserError(
        _("{text} could be {names}.").format(text=plain(text), names=names),
        remedy=_("Name one of them."),
        code="run.ambiguous",
    )


def matching(text: str, runs: Sequence[RunFolder]) -> list[RunFolder]:
    """The runs that have ``text`` as their number, if it is digits alone, else as a part of their name."""
    if text.isdecimal():
        number = int(text) if len(text) < 16 else 0
        return [run for run in runs if run.name == text or run.number == number > 0]
    return [run for run in runs if text.casefold() in run.name.casefold()]


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a file; empty when it is missing, unreadable or something else."""
    try:
        with open_file(path) as file:
            value = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any], *, durable: bool = True) -> None:
    """Replace a small JSON file at once.

    Raises:
        OSError: the folder cannot be written or the disk is full; the old content is untouched.
    """
    write_atomic(
        path, json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n", durable=durable
    )


@contextlib.contextmanager
def unfinished(parent: Path) -> Iterator[Path]:
    """A folder in ``parent`` under a name that is nobody's yet, to be renamed when it is complete.

    What is left of it at the end goes, and so does what killed processes left.
    """
    for path in parent.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND:
                shutil.rmtree(path, ignore_errors=True)
    root = parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
    root.mkdir()
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def free_name(parent: Path, name: str) -> Path:
    """A folder in ``parent`` that is not there, named after the time and ``name``."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{folder_name(name)}"
    names = (stem if attempt == 1 else f"{stem}-{attempt}" for attempt in itertools.count(1))
    return next(path for path in (parent / name for name in names) if not os.path.lexists(path))


def folder_name(name: str) -> str:
    """``name`` as a part of a folder's name: letters, digits, ``.``, ``_`` and ``-``, at most 80 bytes."""
    kept = unicodedata.normalize("NFC", name)
    kept = re.sub(r"[^\w.-]+", "-", kept).strip("-.")
    return kept.encode("utf-8", "ignore")[:80].decode("utf-8", "ignore") or "run"
