"""The demo's dataset: pictures of the mimbu with comma-tag captions, the same for the same seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lora_tui.demo.creature import CLOTH, Look, draw_creature
from lora_tui.demo.scenery import PLACES, draw_place
from lora_tui.keyed import keyed_random

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

TRIGGER = "mimbu"
IMAGES = 36
SUPERSAMPLING = 2
"""Pictures are drawn this many times larger and reduced, which smooths their edges."""

POSES = ("standing", "sitting", "waving", "jumping", "walking", "sleeping")
MOODS = ("smile", "open mouth", "surprised", "wink", "closed eyes")
FRAMES = {"full body": 0.8, "close-up": 1.6, "upper body": 1.15, "small": 0.55}
"""How the creature is framed, and its size as a share of the picture's shorter side."""
SIZES = ((512, 512), (512, 512), (400, 672), (672, 400))


@dataclass(frozen=True)
class Scene:
    """One picture to draw: sizes in px, ``place`` a key of ``PLACES``, ``frame`` a key of ``FRAMES``."""

    look: Look
    place: str
    frame: str
    mirrored: bool
    width: int
    height: int
    key: str

    def caption(self) -> str:
        """Comma-separated tags, the trigger word first."""
        tags = [TRIGGER, "solo", self.look.pose, self.look.mood]
        if self.look.outfit:
            tags.append(self.look.outfit)
        tags += PLACES[self.place][0]
        if self.frame != "small":
            tags.append(self.frame)
        if self.mirrored:
            tags.append("facing left")
        return ", ".join(tags)


def scenes(count: int = IMAGES, seed: int = 0) -> Iterator[Scene]:
    """``count`` scenes in which every pose, mood, outfit, place and frame comes up about equally often."""
    chance = keyed_random("demo scenes", seed)
    poses, moods, outfits = _deck(POSES, chance), _deck(MOODS, chance), _deck(("", *CLOTH), chance)
    places, frames, sizes = _deck(tuple(PLACES), chance), _deck(("full body", *FRAMES), chance), _deck(SIZES, chance)
    for number in range(count):
        pose, mood, outfit, place, frame = next(poses), next(moods), next(outfits), next(places), next(frames)
        if pose == "sleeping":
            mood, frame = "closed eyes", "full body"
        width, height = next(sizes)
        mirrored = chance.random() < 0.4
        yield Scene(Look(pose, mood, outfit), place, frame, mirrored, width, height, f"{seed}/{number}")


def draw_scene(scene: Scene) -> Image:
    """The picture of ``scene`` in RGB."""
    from PIL import Image, ImageDraw, ImageOps

    chance = keyed_random("demo scene", scene.key)
    width, height = scene.width * SUPERSAMPLING, scene.height * SUPERSAMPLING
    picture = draw_place(scene.place, width, height, chance)
    side = round(min(width, height) * FRAMES[scene.frame])
    creature = draw_creature(scene.look, side)
    if scene.mirrored:
        creature = ImageOps.mirror(creature)
    left = round((width - side) / 2 + chance.uniform(-0.5, 0.5) * max(width - side, 0) * 0.7)
    foot = height * (0.94 if scene.frame in ("full body", "small") else 0.5 + FRAMES[scene.frame] * 0.45)
    top = round(foot - side * 0.95 - (side * 0.12 if scene.look.pose == "jumping" else 0))
    if scene.frame in ("full body", "small"):
        middle, half = left + side / 2, side * 0.26
        shadow = Image.new("RGBA", picture.size, (0, 0, 0, 0))
        oval = (middle - half, foot - side * 0.04, middle + half, foot + side * 0.02)
        ImageDraw.Draw(shadow).ellipse(oval, fill=(0, 0, 0, 70))
        picture.paste(shadow, mask=shadow)
    picture.paste(creature, (left, top), creature)
    return picture.resize((scene.width, scene.height), Image.Resampling.BOX)


def write_dataset(folder: Path, *, count: int = IMAGES, seed: int = 0) -> list[Path]:
    """Write ``count`` pictures (PNG) with captions (.txt) into ``folder``; return the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, scene in enumerate(scenes(count, seed), start=1):
        path = folder / f"{TRIGGER}-{number:02d}.png"
        draw_scene(scene).save(path)
        path.with_suffix(".txt").write_text(scene.caption() + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _deck(values: Sequence[T], chance: random.Random) -> Iterator[T]:
    """``values`` again and again, in another order each time."""
    cards = list(values)
    for _round in itertools.count():
        chance.shuffle(cards)
        yield from cards
