"""Which run a command means when a person names one, or none."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.jobs import registry
from lora_tui.runs.folder import RunFolder, find_run, list_runs, matching, the_one
from lora_tui.text.plain import plain
from lora_tui.text.translate import _


def choose_run(text: str, base: Path) -> RunFolder:
    """The run called ``text`` in ``base`` or among the living ones of this machine; without a name the living one.

    Without a name: the newest living run of ``base``, else the newest living run anywhere, else the newest of
    ``base``.

    Raises:
        UserError: ``run.not_found`` or ``run.ambiguous``.
    """
    base = base.absolute()
    living = living_runs()
    if text:
        try:
            return find_run(text, base)
        except UserError as error:
            named = [] if text.isdecimal() else matching(text, living)  # a number belongs to a project
            if error.code != "run.not_found" or not named:
                raise
            return the_one(text, named)
    here = {run.root for run in [*list_runs(base / "runs"), *list_runs(base), RunFolder(base)]}
    for run in sorted(living, key=lambda run: run.root not in here):
        return run
    try:
        return find_run("", base)
    except UserError:
        raise UserError(
            _("No run is living on this machine, and there is none in {folder}.").format(folder=plain(str(base))),
            remedy=_("Name its folder, or see: lora-tui runs list"),
            code="run.not_found",
        ) from None


def runs_dir_for(config: Path) -> Path:
    """The ``runs`` folder for a configuration: of its project, of the run it lies in, else beside the file."""
    from lora_tui.project import Project

    folder = config.absolute().parent
    project = Project.find(folder)
    if project is not None:
        return Path(project.root) / "runs"
    if (folder / "record.json").is_file():
        return folder.parent
    return folder / "runs"


def shell_name(run: RunFolder, here: Path | None = None) -> str:
    """What a person types in the folder ``here`` (the current one) to mean ``run``, quoted for a shell.

    The shortest of its name, where that is found, the way to it and its whole path; safe to show.
    """
    root = Path(os.path.abspath(run.root))  # noqa: PTH100 - links stay as the person wrote them
    ways = [str(root)]
    try:
        here = here or Path.cwd()
    except OSError:  # it was deleted
        return _quoted(ways[0])
    ways.append(os.path.relpath(os.path.realpath(root), os.path.realpath(here)))
    if root.parent == here / "runs" and not RunFolder(here / run.name).exists():
        ways.append(run.name)
    way = min(reversed(ways), key=len)
    return _quoted(f"./{way}" if way.startswith(("-", "~")) else way)


def shell_path(path: Path) -> str:
    """The whole way to a file as a person types it in any folder, quoted for a shell; safe to show."""
    return _quoted(os.path.abspath(path))  # noqa: PTH100 - links stay as the person wrote them


def _quoted(text: str) -> str:
    """One word of a shell's command line; what a terminal would obey is written as its bytes."""
    if plain(text) == text:
        return shlex.quote(text)
    shown = "".join(
        f"\\x{byte:02x}" if byte < 0x20 or byte > 0x7E else "\\" * (byte in b"'\\") + chr(byte)
        for byte in os.fsencode(text)
    )
    return f"$'{shown}'"


def living_runs() -> list[RunFolder]:
    """The living runs of this machine, newest first."""
    living = (RunFolder(info.run_dir) for info in registry.living())
    return [run for run in living if run.config_path.exists()]  # else it is other work, on a dataset
