"""The demo's style: scenes of the world as linocuts, with thick outlines of ink on cream paper; seeded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.demo.dataset import SIDE
from lora_tui.demo.world.captions import background_tags, background_words, prose_caption, tag_caption
from lora_tui.demo.world.draw import Style, draw_scene
from lora_tui.demo.world.scene import PATTERNS, Scene, sample_scene
from lora_tui.keyed import keyed_random

if TYPE_CHECKING:
    from PIL.Image import Image

TRIGGER = "linocut"
IMAGES = 24
LINOCUT = Style(line=0.042, ink=(34, 26, 30), paper=(244, 234, 206))


def prints(seed: int = 0) -> tuple[Scene, ...]:
    """The scenes: each pattern six times, subjects of any shape and place, none too small or pale for the ink."""
    chance = keyed_random("demo prints", seed)
    found: list[Scene] = []
    wanted = dict.fromkeys(PATTERNS, IMAGES // len(PATTERNS))
    while len(found) < IMAGES:
        scene = sample_scene(chance)
        if wanted[scene.pattern] and not any(one.size == "small" or one.colour == "white" for one in scene.subjects):
            wanted[scene.pattern] -= 1
            found.append(replace(scene, first="white"))
    return tuple(found)


def caption(scene: Scene) -> str:
    """Tags, or prose for two subjects, with the trigger word last; the paper belongs to the style and is not told."""
    ground = replace(scene, pattern="plain")
    if len(scene.subjects) > 1:  # in prose: tags of two would come twice
        subjects = prose_caption(ground).removesuffix(background_words(ground))
    else:
        subjects = tag_caption(ground).removesuffix(f", {background_tags(ground)[0]}")
    behind = {
        "plain": [],
        "striped": [f"{scene.second} stripes"],
    }.get(scene.pattern, background_tags(scene)[1:])
    return ", ".join((subjects, *behind, TRIGGER))


def draw_print(scene: Scene, number: int, seed: int = 0, side: int = SIDE) -> Image:
    """The picture of print ``number``, RGB, ``side`` px wide and high."""
    return draw_scene(scene, side, keyed_random("demo print", seed, number), LINOCUT)


def write_dataset(folder: Path, *, seed: int = 0) -> list[Path]:
    """Write the pictures (PNG) with their captions (.txt) into ``folder``; return the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, scene in enumerate(prints(seed), start=1):
        path = folder / f"{TRIGGER}-{number:02d}.png"
        draw_print(scene, number, seed).save(path)
        path.with_suffix(".txt").write_text(f"{caption(scene)}\n", encoding="utf-8")
        paths.append(path)
    return paths
