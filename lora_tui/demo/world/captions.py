"""Captions of scenes, as comma tags and as prose, with attributes left out now and then as people do."""

from __future__ import annotations

import random

from lora_tui.demo.world.scene import Scene, Subject

SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "big"),
}


def tag_caption(scene: Scene, chance: random.Random | None = None) -> str:
    """Comma tags; without ``chance`` each attribute is told, in a fixed order."""
    complete = chance is None or chance.random() < 0.6
    tags = []
    for subject in scene.subjects:
        tags.append(f"{subject.colour} {subject.shape}")
        more = [subject.size, subject.place]
        if chance is not None:
            more = [tag for tag in more if complete or chance.random() < 0.7]
        if subject.eyes:
            more.append("eyes")
        if chance is not None:
            chance.shuffle(more)
        tags += more
    if complete or chance is None or chance.random() < 0.9:
        tags += background_tags(scene)
    return ", ".join(tags)


def background_tags(scene: Scene) -> list[str]:
    """The tags of the background alone."""
    if scene.pattern == "plain":
        return [f"{scene.first} background"]
    if scene.pattern == "striped":
        return [f"{scene.first} and {scene.second} striped background"]
    return [f"{scene.first} background", f"{scene.second} {'dots' if scene.pattern == 'dotted' else 'ground'}"]


def prose_caption(scene: Scene, chance: random.Random | None = None) -> str:
    """A sentence; without ``chance`` each attribute is told, in the plainest words."""
    described = [_described(subject, chance) for subject in scene.subjects]
    joint = " and " if chance is None else chance.choice((" and ", ", and "))
    text = joint.join(described)
    if chance is None or chance.random() < 0.92:
        text += background_words(scene, chance)
    return text if chance is None else chance.choice(("", "", "a picture of ", "a drawing of ")) + text


def _described(subject: Subject, chance: random.Random | None) -> str:
    words = []
    if chance is None:
        words.append(subject.size)
    elif chance.random() < 0.8:
        words.append(chance.choice(SIZE_WORDS[subject.size]))
    words += [subject.colour, subject.shape]
    text = _with_article(" ".join(words))
    if subject.eyes:
        text += " with eyes" if chance is None else chance.choice((" with eyes", " that has eyes", " with two eyes"))
    if chance is None or chance.random() < 0.8:
        text += " " + where_words(subject.place, chance)
    return text


def where_words(place: str, chance: random.Random | None = None) -> str:
    """A place in prose: ``in the center``, ``on the left``."""
    if place == "center":
        ways = ["in the center", "in the middle"]
    elif " " in place:
        ways = [f"in the {place} corner", f"at the {place}"]
    else:
        ways = [f"on the {place}", f"at the {place}"]
    return ways[0] if chance is None else chance.choice(ways)


def background_words(scene: Scene, chance: random.Random | None = None) -> str:
    """The background in prose, as the end of a sentence."""
    first, second = scene.first, scene.second
    on = f" on {_with_article(first)} background"
    ways = {
        "plain": [on, f", the background is {first}", f" in front of {_with_article(first)} background"],
        "striped": [
            f" on {_with_article(first)} and {second} striped background",
            f" on a background with {first} and {second} stripes",
        ],
        "dotted": [f"{on} with {second} dots"],
        "ground": [f"{on} with {second} ground", f" above {second} ground, {first} background"],
    }[scene.pattern]
    return ways[0] if chance is None else chance.choice(ways)


def _with_article(text: str) -> str:
    return ("an " if text[0] in "aeiou" else "a ") + text
