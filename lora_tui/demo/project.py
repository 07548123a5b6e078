"""The demo project: pictures with captions, a micro base model, ``lora-tui.toml`` and a configuration."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lora_tui.demo.dataset import IMAGES, TRIGGER, write_dataset
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text import _, plain

MARK = ".lora-tui-demo"
"""A file of this name tells that a folder is a demo, so that a second visit may use it again."""
NAME = "mimbu"
NEEDED = ("torch", "diffusers", "transformers", "peft", "safetensors")
SEED = 0


@dataclass(frozen=True)
class Demo:
    """Where the parts of a demo project are."""

    root: Path

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def config(self) -> Path:
        return self.root / "configs" / f"{NAME}.toml"

    @property
    def runs(self) -> Path:
        return self.root / "runs"


def make_demo(directory: Path, *, say: Callable[[str], None] = lambda _text: None) -> Demo:
    """Make the demo project in ``directory``, or complete what an earlier visit made; takes some seconds.

    ``say`` is told each step. What is there already stays, changes to captions and configuration included.

    Raises:
        UserError: the folder holds something else, a library that trains is missing, or it cannot be written.
    """
    demo = Demo(Path(os.path.abspath(directory.expanduser())))  # noqa: PTH100 - a linked folder stays where it is seen
    _refuse_other_folders(demo.root)
    _need_libraries()
    try:
        demo.root.mkdir(parents=True, exist_ok=True)
        (demo.root / MARK).touch()
        if len(list(demo.images.glob("*.png"))) < IMAGES:
            say(_("Drawing {count} pictures with captions.").format(count=IMAGES))
            write_dataset(demo.images, seed=SEED)
        if not (demo.model / "model_index.json").is_file():
            say(_("Making a micro base model with the layers of Stable Diffusion 1.5."))
            _write_model(demo.model)
        _write_project(demo)
    except OSError as error:
        raise UserError(
            _("The demo cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(demo.root)),
            remedy=_("Choose another folder."),
            code="demo.unwritable",
        ) from error
    return demo


def _refuse_other_folders(root: Path) -> None:
    if root.exists() and not (root.is_dir() and ((root / MARK).is_file() or not any(root.iterdir()))):
        raise UserError(
            _("There is something else here already."),
            place=plain(str(root)),
            remedy=_("Name a new or empty folder, or an earlier demo."),
            code="demo.exists",
        )


def _need_libraries() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        from lora_tui.doctor.software import install_command

        raise UserError(
            _("Training needs {names}, which are not installed.").format(names=", ".join(missing)),
            remedy=_("Install them with: {command}").format(command=install_command("train")),
            code="demo.libraries",
        )


def _write_model(folder: Path) -> None:
    """In a process of its own: this one stays free of torch."""
    command = python_command("-m", "lora_tui.demo.model", str(folder), "--seed", str(SEED))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [_("no message")])[-1]
        raise UserError(
            _("The base model could not be made: {reason}.").format(reason=plain(last, limit=300)),
            place=plain(str(folder)),
            remedy=_("lora-tui doctor looks at the installation."),
            code="demo.model",
        )


def _write_project(demo: Demo) -> None:
    from lora_tui.config.write import save_config
    from lora_tui.project import Project

    if not (demo.root / "lora-tui.toml").exists():
        Project.create(
            demo.root,
            name=NAME,
            purpose="character",
            trigger=TRIGGER,
            datasets=[demo.images],
            base_model=str(demo.model),
        )
    if not demo.config.exists():
        demo.config.parent.mkdir(exist_ok=True)
        from lora_tui.demo.recipe import recipe

        save_config(recipe(demo.model, demo.images), demo.config)
