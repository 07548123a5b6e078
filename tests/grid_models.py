"""A small base model, LoRA files for it and a configuration, made once in a process for the tests of grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lora_tui.bench.model import write_lora, write_model
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.config.write import save_config
from lora_tui.errors import UserError
from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.work import work


class Nursery:
    """``base`` and ``other`` are models, ``one`` and ``two`` LoRA files, ``plain`` one without a text encoder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = write_model(root / "models" / "base", seed=6)
        self.other = write_model(root / "models" / "other", seed=7)
        self.one = write_lora(root / "loras" / "one.safetensors", self.base, 1)
        self.two = write_lora(root / "loras" / "two.safetensors", self.base, 2)
        self.plain = write_lora(root / "loras" / "plain.safetensors", self.base, 3, text=False)
        config = Config()
        config.model.base, config.model.clip_skip = str(self.base), 1
        config.memory.precision, config.memory.device, config.memory.threads = "fp32", "cpu", 1
        config.saving.name = "small"
        config.samples = [SamplePrompt(prompt="a red disc", width=64, height=64, steps=2, guidance=3.0, seed=5,
                                       sampler="ddim")]  # fmt: skip
        self.config = root / "small.toml"
        save_config(config, self.config)


class Quiet:
    """A report that nobody reads; it asks to stop after ``most`` denoising steps."""

    def __init__(self, most: int = 1 << 30) -> None:
        self.left = most
        self.warnings: list[UserError] = []

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        pass

    def warn(self, error: UserError) -> None:
        self.warnings.append(error)

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left < 0


def new_grid(nursery: Nursery, parent: Path, *axes: str, **more: Any) -> GridFolder:
    """A grid with the nursery's configuration, not yet drawn; the first axis is across, the second down."""
    told = tuple(zip(("--x", "--y", *["--page"] * 9), axes, strict=False))
    folders = (nursery.root / "loras",)
    return made(asked(Wanted(str(nursery.config), axes=told, folders=folders, **more)), parent=parent)


def drawn(folder: GridFolder, most: int = 1 << 30) -> tuple[dict[str, Any], Quiet]:
    """Draw a grid in this process: what came of it, and the report."""
    report = Quiet(most)
    return work({"folder": str(folder.root)}, report), report  # type: ignore[arg-type]


def picture(folder: GridFolder, *place: int) -> Any:
    """The picture at a place: [height, width, 3], float."""
    grid = folder.read()
    cell = grid.cell((*place, *[0] * (len(grid.shown) - len(place))))
    with Image.open(folder.picture(folder.keys([cell])[cell])) as found:
        return np.asarray(found.convert("RGB"), dtype=np.float32)
