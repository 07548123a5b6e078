"""A run's configuration as a new one to work on, with a name of its own."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config


def cloned(run: RunFolder, name: str = "", *, start_from: Path | None = None) -> Config:
    """The configuration of ``run`` as a new one; its places are absolute, so it works wherever it is written.

    Args:
        name: of the new LoRA; empty leaves that of the run.
        start_from: a LoRA file that the new run goes on from.

    Raises:
        UserError: the run's configuration cannot be read, is of a newer version, or the name is none.
    """
    from lora_tui.config.load import load_config, set_value

    config = load_config(run.config_path)
    if name:
        config = set_value(config, "saving.name", name)
    if start_from is not None:
        config = set_value(config, "network.start_from", str(start_from))
    return config


def free_place(folder: Path, name: str) -> Path:
    """A file for a configuration in ``folder`` that does not exist yet, named after ``name``."""
    stem = re.sub(r"-\d+$", "", name) or "run"
    names = (f"{stem}.toml" if number == 1 else f"{stem}-{number}.toml" for number in itertools.count(1))
    return next(path for path in (folder / one for one in names) if not path.exists() and not path.is_symlink())


def save_clone(config: Config, path: Path, *, force: bool = False) -> None:
    """Write the new configuration.

    Raises:
        UserError: ``clone.exists`` where something is there already, or it cannot be written.
    """
    from lora_tui.config.load import save_config

    if not force and (path.exists() or path.is_symlink()):
        raise UserError(
            _("The file exists."),
            place=plain(str(path)),
            remedy=_("Name another one, or add --force to replace it."),
            code="clone.exists",
        )
    save_config(config, path)
