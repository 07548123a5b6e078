"""Sheets of pictures: a run's checkpoints at several strengths, and what datasets look like."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from lora_tui.config.load import load_config
from lora_tui.dataset.load import open_upright
from lora_tui.demo.measure import Painter
from lora_tui.grids.sheet import draw_sheet
from lora_tui.weights.header.format import read_header

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
ACROSS = 9
THUMB = 96
CAPTIONS_ACROSS = 8
CAPTION_TEXT = 9
CAPTION_LINE = 11
CAPTION_LINES = 5


def strengths(run: Path, prompt: str, seed: int | None = None) -> Image.Image:
    """Each checkpoint of ``run`` (rows) at each strength (columns), drawn from ``prompt`` or the run's first one."""
    config = load_config(run / "config.toml")
    torch.set_num_threads(config.memory.threads or torch.get_num_threads())
    sample = config.samples[0]
    sample = sample.model_copy(
        update={"prompt": prompt or sample.prompt, "seed": sample.seed if seed is None else seed}
    )
    painter = Painter(config)
    rows, pictures = [], []
    for step, path in checkpoints(run):
        painter.wear(path)
        rows.append(f"step {step}")
        pictures.append([painter.draw(sample, strength) for strength in STRENGTHS])
    columns = [f"strength {strength:g}" for strength in STRENGTHS]
    return draw_sheet(pictures, rows=rows, columns=columns, title=sample.prompt)


def checkpoints(run: Path) -> list[tuple[int, Path]]:
    """The LoRA files of a run by the step that their metadata name."""
    files = (run / "checkpoints").glob("*.safetensors")
    return sorted((int(read_header(path).metadata["ss_steps"]), path) for path in files)


def dataset(folder: Path) -> Image.Image:
    """The pictures of a dataset, small, transparency on white as it is trained."""
    found = [open_upright(path).resize((THUMB, THUMB), Image.Resampling.BOX) for path in sorted(folder.glob("*.png"))]
    blank = Image.new("RGB", (THUMB, THUMB), "white")
    lines = [found[start : start + ACROSS] for start in range(0, len(found), ACROSS)]
    lines[-1] += [blank] * (ACROSS - len(lines[-1]))
    return draw_sheet(lines, rows=[""] * len(lines), columns=[""] * ACROSS)


def captions(count: int) -> Image.Image:
    """Pictures of ``count`` held-out captions by the micro model that ships."""
    from lora_tui.demo.world.captions import prose_caption, tag_caption
    from lora_tui.demo.world.scene import sample_scene
    from lora_tui.keyed import keyed_random
    from tools.micro.examine import draw
    from tools.micro.layout import SHIPPED, SIDE
    from tools.micro.package import read_pipeline

    chance = keyed_random("micro", "contact sheet")
    scenes = [sample_scene(chance) for _ in range(count)]
    told = [tag_caption(scene) if number % 2 else prose_caption(scene) for number, scene in enumerate(scenes)]
    modules = read_pipeline(SHIPPED)
    pictures = draw(modules, modules["words"], told, side=SIDE)
    told_under = [_captioned(picture, text) for picture, text in zip(pictures, told, strict=True)]
    lines = [told_under[start : start + CAPTIONS_ACROSS] for start in range(0, count, CAPTIONS_ACROSS)]
    return draw_sheet(lines, rows=[""] * len(lines), columns=[""] * CAPTIONS_ACROSS)


def _captioned(picture: Image.Image, text: str) -> Image.Image:
    """``picture`` with its caption below it, in small letters."""
    font = ImageFont.load_default(CAPTION_TEXT)
    card = Image.new("RGB", (picture.width, picture.height + CAPTION_LINES * CAPTION_LINE), "white")
    card.paste(picture)
    pen = ImageDraw.Draw(card)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font=font) <= picture.width:
            lines[-1] = longer
        else:
            lines.append(word)
    for number, line in enumerate(lines[:CAPTION_LINES]):
        pen.text((0, picture.height + number * CAPTION_LINE), line, fill=(40, 40, 46), font=font)
    return card
