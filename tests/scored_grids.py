"""A run with checkpoints and a grid of it whose pictures a test paints itself: what models say of them is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from run_builders import add_lines, event_line, make_run
from safetensors.torch import save_file

from lora_tui.config.schema import Config, DatasetEntry, SamplePrompt
from lora_tui.config.write import dump_config
from lora_tui.demo import dataset
from lora_tui.demo.project import MICRO
from lora_tui.demo.world.draw import draw_scene
from lora_tui.demo.world.scene import sample_scene
from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.outputs import Shown, shown_cells
from lora_tui.keyed import keyed_random
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder

TRIGGER = "mimbu"
PROMPTS = ("mimbu, left, blue background", "a mimbu on (grass:1.2)", "a red circle, large, white background")
STEPS = (100, 200)
SIDE = 64


def creature(number: int) -> Image.Image:
    """A picture of what is learned, each another."""
    drawn = dataset.portraits(number // 20)[number % 20]
    return dataset.draw_portrait(drawn, keyed_random("scored", number), SIDE)


def ordinary(number: int) -> Image.Image:
    """A picture of anything else."""
    chance = keyed_random("scored world", number)
    return draw_scene(sample_scene(chance), SIDE, chance)


def scored_run(root: Path, *, images: int = 24, losses: tuple[float, ...] = (0.2, 0.1)) -> RunFolder:
    """A project with a dataset of the creature, and a run of it with a LoRA file and a validation loss for each step.

    Of 24 images two are held out.
    """
    folder = root / "datasets" / TRIGGER
    folder.mkdir(parents=True)
    for number in range(images):
        creature(number).save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(f"{TRIGGER}, creature")
    Project.create(root, name="scored", purpose="character", trigger=TRIGGER, datasets=[folder], base_model=str(MICRO))
    config = Config(datasets=[DatasetEntry(path=str(folder))])
    config.model.base, config.model.clip_skip = str(MICRO), 1
    config.memory.device, config.memory.precision, config.memory.threads = "cpu", "fp32", 1
    config.saving.name = config.saving.trigger = TRIGGER
    config.samples = [SamplePrompt(prompt=prompt, width=SIDE, height=SIDE, steps=2, seed=1) for prompt in PROMPTS]
    run = make_run(root / "runs", "20260101-000000-mimbu")
    run.config_path.write_text(dump_config(config))
    for step, loss in zip(STEPS, losses, strict=False):
        name = f"{TRIGGER}-{step:06d}.safetensors"
        key = "lora_unet_down_blocks_0_attentions_0_proj_in"
        tensors = {f"{key}.lora_down.weight": torch.zeros(1, 4), f"{key}.lora_up.weight": torch.zeros(4, 1)}
        save_file({**tensors, f"{key}.alpha": torch.tensor(float(step))}, run.checkpoints_dir / name)
        lines = [event_line("checkpoint", step=step, epoch=1, path=f"checkpoints/{name}")]
        add_lines(run, [*lines, event_line("validation", step=step, epoch=1, loss=loss)])
    return run


def scored_grid(run: RunFolder, *axes: str, name: str = "scored", **more: Any) -> GridFolder:
    """A grid of the run, not painted yet; else strength against checkpoints, pages of three seeds and prompts."""
    told = axes or ("strength=0,0.5,1", "checkpoint=all", "seed=1,2,3")
    places = ("--x", "--y", *["--page"] * 9)
    return made(asked(Wanted(str(run.root), axes=tuple(zip(places, told, strict=False)), **more)), name=name)


def paint(folder: GridFolder, draw: Callable[[Shown], Image.Image]) -> list[Shown]:
    """Every picture that is not there, by ``draw``; the cells."""
    shown = shown_cells(folder, folder.read())
    for one in {one.key: one for one in shown if one.state != "drawn"}.values():
        draw(one).save(folder.picture(one.key))
    return shown_cells(folder, folder.read())


def as_trained(one: Shown) -> Image.Image:
    """What a LoRA might draw: the creature with its name, the surer the more it was trained and the stronger it is.

    At step 200 and strength 1 it comes without its name, too.
    """
    seed = one.cell.seed % 10 * 7 + PROMPTS.index(one.cell.prompt)
    if not one.cell.loras:
        return ordinary(seed)
    strength = one.cell.loras[0].strength * (2 if "000200" in one.cell.loras[0].path.name else 1)
    if TRIGGER in one.cell.prompt:
        return creature(100 + seed) if strength >= 1 else Image.blend(ordinary(seed), creature(100 + seed), strength)
    return creature(200 + seed) if strength > 1 else ordinary(seed)


def stands_in(sheet: Image.Image, picture: Image.Image) -> bool:
    """Whether a picture is pasted somewhere in the sheet, pixel for pixel."""
    side, data = picture.size[0], picture.tobytes()
    row, whole = data[: 3 * side], sheet.tobytes()
    at = whole.find(row)
    while at >= 0:
        left, top = at // 3 % sheet.width, at // 3 // sheet.width
        if at % 3 == 0 and sheet.crop((left, top, left + side, top + side)).tobytes() == data:
            return True
        at = whole.find(row, at + 1)
    return False
