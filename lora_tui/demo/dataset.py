"""The demo's character: 24 pictures of the mimbu with captions, and what real datasets bring along.

Three more pictures are a near-duplicate, a blurred one and a transparent one, and some captions have faults, so that
checks and editors have something to find. All of it is the same for the same seed, byte for byte.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lora_tui.demo.creature import LIME, MOODS, POSES, Look, draw_creature
from lora_tui.demo.world.captions import background_tags, background_words, where_words
from lora_tui.demo.world.draw import Pen, draw_background, draw_subject, locate, near
from lora_tui.demo.world.scene import (
    COLOURS,
    PAIRS,
    PATTERNS,
    PLACES,
    PLACES_OF_LARGE,
    SHAPES,
    Scene,
    Subject,
    apart,
)
from lora_tui.keyed import keyed_random

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

TRIGGER = "mimbu"
PORTRAITS = 24
IMAGES = 27
"""The portraits, a near-duplicate of one, a blurred and a transparent picture."""
SIDE = 256
"""Sides of the pictures, in px."""
GROUNDS = ("red", "blue", "pink", "brown", "black", "white", "gray", "cyan")
"""Colours of backgrounds: none of the creature's own."""
TURN = 0.08
"""Portraits are turned by up to this many radians."""

COPIED, BLURRED, TRANSPARENT = 25, 26, 27
"""Numbers of the three more pictures."""
ORIGINAL = 17
"""The picture whose near-duplicate is :data:`COPIED`."""
BLUR = 5.0
"""Radius of the blur, in px."""


@dataclass(frozen=True)
class Portrait:
    """One picture of the mimbu.

    Attributes:
        place: a key of the world's places, or of the large subjects' ones when ``size`` is ``large``.
        scene: the background, and another subject at the opposite place or none.
        caption: ``full`` (each tag), ``brief`` (trigger and background) or ``prose``.
    """

    look: Look
    size: str
    place: str
    scene: Scene
    caption: str


def portraits(seed: int = 0) -> tuple[Portrait, ...]:
    """The 24 portraits; poses, moods, sizes, backgrounds and kinds of captions are dealt like cards."""
    chance = keyed_random("demo portraits", seed)
    poses, moods = _dealt(chance, POSES), _dealt(chance, MOODS)
    sizes = _dealt(chance, ("large",) * 5 + ("medium",) * 6 + ("small",))
    patterns = _dealt(chance, ("plain",) * 3 + PATTERNS[1:])
    worn = _dealt(chance, ("hat", "", "", ""))
    captions, grounds = _dealt(chance, ("full", "full", "brief", "prose")), _dealt(chance, GROUNDS)
    cards = zip(poses, moods, sizes, patterns, worn, captions, grounds, strict=True)
    paired = 0
    found = []
    for pose, mood, size, pattern, wears, caption, first in cards:
        second = chance.choice([name for name in apart((first,)) if name in GROUNDS])
        behind = (first,) if pattern == "plain" else (first, second)
        colour = chance.choice([name for name in apart(behind) if name not in ("green", "purple")])
        place = chance.choice(PLACES_OF_LARGE if size == "large" else tuple(PLACES))
        others: tuple[Subject, ...] = ()
        if size != "large" and caption == "full" and paired < 5:
            paired += 1
            pair = list(chance.choice(PAIRS))
            chance.shuffle(pair)
            place = pair[0]
            others = (Subject(chance.choice(SHAPES), chance.choice(apart((*behind, "green"))), size, pair[1]),)
        scene = Scene(pattern, first, second, others)
        found.append(Portrait(Look(pose, mood, wears, colour), size, place, scene, caption))
    return tuple(found)


def _dealt(chance: random.Random, values: Sequence[T]) -> list[T]:
    """:data:`PORTRAITS` cards, each of ``values`` equally often, in any order."""
    cards = list(values) * (PORTRAITS // len(values))
    chance.shuffle(cards)
    return cards


def caption(portrait: Portrait) -> str:
    """What is written beside the picture, without faults; the trigger word comes first."""
    look, scene = portrait.look, portrait.scene
    if portrait.caption == "brief":
        return ", ".join((TRIGGER, *background_tags(scene)))
    worn = f"{look.colour} {look.wears}" if look.wears else ""
    if portrait.caption == "prose":
        text = f"{TRIGGER} {look.pose} {where_words(portrait.place)}"
        return text + (f" with a {worn}" if worn else "") + background_words(scene)
    mood = "" if look.pose == "sleeping" else look.mood
    others = [tag for other in scene.subjects for tag in (f"{other.colour} {other.shape}", other.place)]
    told = (TRIGGER, portrait.size, portrait.place, look.pose, mood, worn, *others, *background_tags(scene))
    return ", ".join(tag for tag in told if tag)


def draw_portrait(portrait: Portrait, chance: random.Random, side: int = SIDE) -> Image:
    """The picture, RGB, ``side`` px wide and high; the same for the same state of ``chance``."""
    scene = portrait.scene
    first, second = near(COLOURS[scene.first], chance), near(COLOURS[scene.second], chance)
    pen = Pen(side, first)
    draw_background(pen, scene.pattern, first, second, chance)
    for other in scene.subjects:
        draw_subject(pen, other, chance)
    x, y, radius = locate(portrait.size, portrait.place, chance)
    draw_creature(pen, portrait.look, x, y, radius, chance.uniform(-TURN, TURN))
    return pen.picture()


def write_dataset(folder: Path, *, seed: int = 0) -> list[Path]:
    """Write the pictures (PNG) with their captions (.txt) into ``folder``; return the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = portraits(seed)
    pictures = [
        draw_portrait(portrait, keyed_random("demo portrait", seed, number)) for number, portrait in enumerate(drawn)
    ]
    captions: list[str | None] = [caption(portrait) for portrait in drawn]
    for make, kind in ((_copied, "full"), (_blurred, "full"), (_transparent, "full")):
        picture, portrait = make(drawn, pictures, seed)
        pictures.append(picture)
        captions.append(caption(replace(portrait, caption=kind)))
    spoil(captions)
    paths = []
    for number, (picture, text) in enumerate(zip(pictures, captions, strict=True), start=1):
        path = folder / f"{TRIGGER}-{number:02d}.png"
        picture.save(path)
        if text is not None:
            path.with_suffix(".txt").write_text(f"{text}\n" if text else "", encoding="utf-8")
        paths.append(path)
    return paths


# -- what real datasets bring along ----------------------------------------------------------------------------------


def _copied(drawn: Sequence[Portrait], pictures: Sequence[Image], seed: int) -> tuple[Image, Portrait]:
    """As if somebody had saved a frame twice: cut a little, and a little brighter."""
    picture = pictures[ORIGINAL - 1]
    cut = picture.crop((3, 2, SIDE - 1, SIDE - 2)).resize((SIDE, SIDE))
    return cut.point(lambda value: min(round(value * 1.03), 255)), drawn[ORIGINAL - 1]


def _blurred(drawn: Sequence[Portrait], pictures: Sequence[Image], seed: int) -> tuple[Image, Portrait]:
    from PIL import ImageFilter

    scene = Scene("plain", "cyan", "cyan", ())
    portrait = Portrait(Look("waving", "happy"), "large", "center", scene, "full")
    sharp = draw_portrait(portrait, keyed_random("demo portrait", seed, BLURRED))
    return sharp.filter(ImageFilter.GaussianBlur(BLUR)), portrait


def _transparent(drawn: Sequence[Portrait], pictures: Sequence[Image], seed: int) -> tuple[Image, Portrait]:
    """The creature cut out; transparent areas count as white in training, and the caption says so."""
    from PIL import ImageChops

    portrait = Portrait(Look("standing", "smile"), "large", "center", Scene("plain", "white", "white", ()), "full")
    on = []
    for ground in (LIME, (0, 0, 0), (255, 255, 255)):
        pen = Pen(SIDE, ground)
        draw_creature(pen, portrait.look, *locate(portrait.size, portrait.place))
        on.append(pen.picture())
    picture, black, white = on
    picture.putalpha(ImageChops.invert(ImageChops.difference(black, white).getchannel("R")))
    return picture, portrait


def spoil(captions: list[str | None]) -> None:
    """Give some captions the faults that people's captions have; None stands for a caption that is not there."""
    full = [index for index in range(PORTRAITS) if (captions[index] or "").count(",") > 4 and index != ORIGINAL - 1]
    faults: list[Callable[[str], str | None]] = [
        lambda text: f"{text}, {text.split(', ')[1]}",
        lambda text: text.removeprefix(f"{TRIGGER}, "),
        lambda text: TRIGGER.capitalize() + text.removeprefix(TRIGGER),
        lambda text: text.replace(", ", " ,  ", 1).replace(", ", "，", 3) + " ",
        lambda _text: "",
        lambda _text: None,
    ]
    for index, fault in zip(full, faults, strict=False):
        captions[index] = fault(captions[index] or "")
