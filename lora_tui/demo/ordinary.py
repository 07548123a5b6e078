"""Ordinary scenes of the world beside the character's pictures, so that training does not forget them; seeded.

People call such images regularisation images: what has other names in its caption stays what it was.
"""

from __future__ import annotations

from pathlib import Path

from lora_tui.demo.dataset import SIDE
from lora_tui.demo.world.captions import prose_caption, tag_caption
from lora_tui.demo.world.draw import draw_scene
from lora_tui.demo.world.scene import SHAPES, Scene, sample_scene
from lora_tui.keyed import keyed_random

NAME = "world"
EACH = 2
"""Scenes of one shape: with fewer, what is trained beside them shows in other scenes of that shape."""
IMAGES = EACH * len(SHAPES)


def scenes(seed: int = 0) -> tuple[Scene, ...]:
    """Each shape as the only subject of :data:`EACH` scenes."""
    chance = keyed_random("demo ordinary scenes", seed)
    wanted = dict.fromkeys(SHAPES, EACH)
    found: list[Scene] = []
    while len(found) < IMAGES:
        scene = sample_scene(chance)
        if len(scene.subjects) == 1 and scene.subjects[0].size != "small" and wanted[scene.subjects[0].shape]:
            wanted[scene.subjects[0].shape] -= 1
            found.append(scene)
    return tuple(found)


def write_dataset(folder: Path, *, seed: int = 0) -> list[Path]:
    """Write the pictures (PNG) with their captions (.txt) into ``folder``; return the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, scene in enumerate(scenes(seed), start=1):
        path = folder / f"{NAME}-{number:02d}.png"
        draw_scene(scene, SIDE, keyed_random("demo ordinary scene", seed, number)).save(path)
        told = prose_caption(scene) if number % 4 == 0 else tag_caption(scene)
        path.with_suffix(".txt").write_text(f"{told}\n", encoding="utf-8")
        paths.append(path)
    return paths
