"""The demo project: three datasets, a micro base model that draws them, ``lora-tui.toml`` and two configurations."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lora_tui.demo import dataset, linocut, ordinary
from lora_tui.demo.dataset import TRIGGER
from lora_tui.errors import UserError
from lora_tui.places import absolute
from lora_tui.python import python_command
from lora_tui.text import _, plain

MARK = ".lora-tui-demo"
"""A file of this name tells that a folder is a demo, so that a second visit may use it again."""
NAME = "mimbu"
NEEDED = ("torch", "diffusers", "transformers", "peft", "safetensors")
SEED = 0
MICRO = Path(__file__).resolve().parent.parent / "assets" / "micro"
"""The base model as it ships."""
INDEX = "model_index.json"


@dataclass(frozen=True)
class Demo:
    """Where the parts of a demo project are."""

    root: Path

    @property
    def images(self) -> Path:
        """The character's dataset."""
        return self.root / "datasets" / dataset.TRIGGER

    @property
    def prints(self) -> Path:
        """The style's dataset."""
        return self.root / "datasets" / linocut.TRIGGER

    @property
    def others(self) -> Path:
        """Ordinary pictures that are trained beside the character's."""
        return self.root / "datasets" / ordinary.NAME

    @property
    def model(self) -> Path:
        """The base model as a diffusers folder."""
        return self.root / "models" / "micro"

    @property
    def checkpoint(self) -> Path:
        """The same model as a single file."""
        return self.root / "models" / "micro.safetensors"

    @property
    def config(self) -> Path:
        """The character's configuration, on the folder."""
        return self.root / "configs" / f"{dataset.TRIGGER}.toml"

    @property
    def style_config(self) -> Path:
        """The style's configuration, on the single file."""
        return self.root / "configs" / f"{linocut.TRIGGER}.toml"

    @property
    def runs(self) -> Path:
        return self.root / "runs"


def make_demo(directory: Path, *, say: Callable[[str], None] = lambda _text: None) -> Demo:
    """Make the demo project in ``directory``, or complete what an earlier visit made; takes some seconds.

    ``say`` is told each step. What is there already stays, changes to captions and configuration included.

    Raises:
        UserError: the folder holds something else, a library that trains is missing, or it cannot be written.
    """
    demo = Demo(absolute(directory))
    _refuse_other_folders(demo.root)
    _need_libraries()
    try:
        demo.root.mkdir(parents=True, exist_ok=True)
        (demo.root / MARK).touch()
        for draw, folder, count in (
            (dataset.write_dataset, demo.images, dataset.IMAGES),
            (ordinary.write_dataset, demo.others, ordinary.IMAGES),
            (linocut.write_dataset, demo.prints, linocut.IMAGES),
        ):
            if len(list(folder.glob("*.png"))) < count:
                say(_("Drawing {count} pictures with captions.").format(count=count))
                draw(folder, seed=SEED)
        if not (demo.model / INDEX).is_file():
            say(_("Copying a micro base model with the layers of Stable Diffusion 1.5."))
            _copy_model(demo.model)
        if not demo.checkpoint.is_file():
            say(_("Writing it as a single file, too."))
            _write_checkpoint(demo)
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


def _copy_model(folder: Path) -> None:
    """The index comes last: where it is, the model is whole."""
    if not (MICRO / INDEX).is_file():
        raise UserError(
            _("The base model of the demo is missing in this installation."),
            place=plain(str(MICRO)),
            remedy=_("Install lora-tui again."),
            code="demo.model",
        )
    for part in sorted(path for path in MICRO.iterdir() if path.is_dir()):
        for file in sorted(part.iterdir()):
            (folder / part.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / part.name / file.name)
    shutil.copyfile(MICRO / INDEX, folder / INDEX)


def _write_checkpoint(demo: Demo) -> None:
    """In a process of its own: this one stays free of torch."""
    command = python_command("-m", "lora_tui.families.unet.model_file", str(demo.model), str(demo.checkpoint))
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [_("no message")])[-1]
        raise UserError(
            _("The base model could not be written: {reason}.").format(reason=plain(last, limit=300)),
            place=plain(str(demo.checkpoint)),
            remedy=_("lora-tui doctor looks at the installation."),
            code="demo.model",
        )


def _write_project(demo: Demo) -> None:
    from lora_tui.config.write import save_config
    from lora_tui.demo import recipe
    from lora_tui.project import Project

    if not (demo.root / "lora-tui.toml").exists():
        project = Project.create(
            demo.root,
            name=NAME,
            purpose="character",
            trigger=TRIGGER,
            datasets=[demo.images, demo.others],
            base_model=str(demo.model),
        )
        project.datasets[0].repeats = recipe.REPEATS
        project.save()
    demo.config.parent.mkdir(exist_ok=True)
    if not demo.style_config.exists():
        save_config(recipe.style(demo.checkpoint, demo.prints), demo.style_config)
    if not demo.config.exists():  # after the other one: the app opens with the newest
        save_config(recipe.character(demo.model, demo.images, demo.others), demo.config)
        _make_newest(demo.config, demo.style_config)


def _make_newest(path: Path, than: Path) -> None:
    """Make a file newer than another one where the disk's clock gave both the same time."""
    newest = max(path.stat().st_mtime_ns, than.stat().st_mtime_ns + 1_000_000)
    os.utime(path, ns=(newest, newest))
