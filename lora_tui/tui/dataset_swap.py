"""The project goes on with another folder of images in the place of one of its own, and back."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.swap import Swapped, swap_folder
from lora_tui.config.write import save_config
from lora_tui.text import _, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.threads import in_thread, start_job

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.project import Project
    from lora_tui.tui.app import LoraTuiApp
    from lora_tui.tui.screens.dataset_acts import Acts
    from lora_tui.tui.workspace import Workspace


def use_folder(shell: LoraTuiApp, acts: Acts | None, old: Path, new: Path) -> None:
    """Train on ``new`` in the place of ``old``: in the configuration and in the project's file.

    A folder of images that is no project is left for ``new``, which is opened. ``acts`` gets the way back.
    """
    if not shell.workspace.saved:

        def opened() -> None:
            shell.show_screen("dataset")
            shell.tell(_("Opened {folder}.").format(folder=plain(str(new))), "success")

        shell.open_other(new, opened)
        return
    start_job(shell, partial(_swap, shell, acts, old, new), "swap")


async def _swap(shell: LoraTuiApp, acts: Acts | None, old: Path, new: Path) -> None:
    work = shell.workspace
    config, project = work.config, work.project
    if config is None or project is None:
        return
    changed = with_folder(config, old, new)
    try:
        done = await in_thread(_write, changed, work.config_path, work.config_changed, project, old, new)
    except Exception as error:
        shell.tell(failure_words(shell, error), "error")
        return
    _name(project, old, new)
    _name_in_file(work, old, new)
    shell.use_config(changed, work.config_path, changed=work.config_changed)
    words = _("The project trains on {folder} now.").format(folder=plain(new.name))

    def back() -> str:
        for one in reversed(done):
            one.take_back()
        shell.call_from_thread(_go_back, shell, project, old, new)
        return _("undone: {act}").format(act=words)

    if acts is not None:
        acts.backs.append(back)
        key = shell.keymap.shown("dataset.undo")
        shell.tell(f"{words}   " + _("{key} undo").format(key=key), "success")
    else:
        shell.tell(words, "success")


def with_folder(config: Config, old: Path, new: Path) -> Config:
    """A configuration with ``new`` wherever a dataset is ``old``; all else stays."""
    found = config.model_copy(deep=True)
    for entry in found.datasets:
        if entry.path and os.path.normpath(entry.path) == os.path.normpath(old):
            entry.path = str(new)
    return found


def _go_back(shell: LoraTuiApp, project: Project, old: Path, new: Path) -> None:
    """The configuration as it was, with what was changed in it since."""
    work = shell.workspace
    if work.config is None or work.project is not project:
        return  # another project is open
    _name(project, new, old)
    _name_in_file(work, new, old)
    shell.use_config(with_folder(work.config, new, old), work.config_path, changed=work.config_changed)


def _name_in_file(work: Workspace, old: Path, new: Path) -> None:
    """The file was changed here, and by nobody else."""
    if work.file_config is not None:
        work.file_config = with_folder(work.file_config, old, new)


def _name(project: Project, old: Path, new: Path) -> None:
    for entry in project.datasets:
        if os.path.normpath(entry.path) == os.path.normpath(old):
            entry.path = new


def _write(
    config: Config, path: Path | None, is_unsaved: bool, project: Project, old: Path, new: Path
) -> list[Swapped]:
    """Both files; when the second cannot be written, the first is as it was. Called in a thread."""
    done = []
    if path is not None and path.exists():

        def whole() -> None:
            save_config(config, path)

        done.append(swap_folder(path, old, new, _nothing if is_unsaved else whole))
    try:
        done.append(swap_folder(project.file, old, new, partial(_save_project, project, old, new)))
    except Exception:
        for one in done:
            one.take_back()
        raise
    return done


def _nothing() -> None:
    """A file that differs from what is edited is not written as a whole."""


def _save_project(project: Project, old: Path, new: Path) -> None:
    from dataclasses import replace

    changed = replace(project, datasets=[replace(entry) for entry in project.datasets])
    _name(changed, old, new)
    changed.save()
