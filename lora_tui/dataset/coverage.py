"""What a dataset shows and what is missing: views, framing, angles, expressions, light, things in the way.

Told from captions (tags or prose) and, where a tagger has looked, from its scores. Of a tag the last word says what it
is: ``dark hair`` is no night and ``evening gown`` no low sun. Nothing is concluded from silence:
an aspect that few captions speak of is unknown, not missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from lora_tui.project import CONCRETE, PURPOSES
from lora_tui.text import N_, _

SURE = 0.35
"""A tagger's score from which on a tag counts."""

ENOUGH = 10
"""Images from which on something missing is worth a word."""

KNOWN = 0.25
"""Share of images that must tell of an aspect before what they do not tell counts as missing."""

ONE_KIND = 0.9
"""Share of the images of which something is known from which on they count as all of one kind."""

ASPECTS: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "view": (
        N_("view"),
        {
            "front": (N_("front"), "from front, front view, straight-on, facing viewer, frontal, facing the camera"),
            "side": (N_("side"), "from side, side view, profile, sideways, in profile, facing to the side"),
            "quarter": (N_("three-quarter"), "three-quarter view, three quarter view, 3/4 view"),
            "back": (
                N_("from behind"),
                "from behind, back view, facing away, rear view, seen from the back, looking back",
            ),
        },
    ),
    "framing": (
        N_("framing"),
        {
            "closeup": (
                N_("close-up"),
                "close-up, closeup, close up, portrait, headshot, head shot, face focus, macro",
            ),
            "upper": (N_("upper body"), "upper body, cowboy shot, half body, waist up, medium shot, bust"),
            "full": (N_("full body"), "full body, full-body, full length, head to toe"),
            "wide": (N_("wide"), "wide shot, long shot, very wide shot, from afar, in the distance"),
        },
    ),
    "angle": (
        N_("camera angle"),
        {
            "above": (N_("from above"), "from above, high angle, high-angle, bird's-eye view, top view, top-down"),
            "below": (N_("from below"), "from below, low angle, low-angle, worm's-eye view"),
            "tilted": (N_("tilted"), "dutch angle, tilted angle, canted angle"),
        },
    ),
    "expression": (
        N_("expression"),
        {
            "neutral": (
                N_("neutral"),
                "expressionless, neutral expression, closed mouth, serious, calm, blank expression",
            ),
            "smiling": (N_("smiling"), "smile, smiling, grin, grinning, happy, laughing, smirk, :d"),
            "sad": (N_("sad"), "sad, crying, tears, frown, frowning, worried, teary eyes"),
            "angry": (N_("angry"), "angry, scowl, scowling, glaring, annoyed, clenched teeth"),
            "surprised": (N_("surprised"), "surprised, wide-eyed, shocked, astonished, :o"),
            "closed": (N_("eyes closed"), "closed eyes, eyes closed, sleeping, one eye closed, wink, winking"),
        },
    ),
    "light": (
        N_("light"),
        {
            "day": (N_("daylight"), "day, daylight, sunlight, sunny, blue sky, daytime"),
            "night": (N_("night"), "night, night sky, moonlight, dark, in the dark, nighttime, starry sky, dark sky"),
            "low": (
                N_("low sun"),
                "sunset, sunrise, dusk, dawn, golden hour, evening, in the evening, evening light, evening sun, "
                "twilight",
            ),
            "indoors": (N_("indoors"), "indoors, indoor, lamp, candlelight, studio light, studio lighting"),
            "back": (N_("back light"), "backlighting, backlit, back light, rim light, rim lighting, silhouette"),
        },
    ),
    "occlusion": (
        N_("partly hidden"),
        {
            "held": (N_("holding something"), "holding, carrying, hugging, hands full"),
            "covered": (
                N_("covered"),
                "covering, covered, mask, mouth mask, hand over own mouth, hair over eyes, veil, hood up",
            ),
            "cut": (
                N_("cut by the frame"),
                "out of frame, head out of frame, feet out of frame, cropped legs, cropped",
            ),
        },
    ),
}
"""Aspects, each with its kinds and the words for them in captions."""

_OF_PURPOSE = {
    "character": tuple(ASPECTS),
    "clothing": ("view", "framing", "light"),
    "object": ("view", "framing", "angle", "light", "occlusion"),
    "pose": ("view", "framing", "angle"),
    "element": ("view", "framing", "light"),
}
_GENERAL = ("framing", "angle", "light")


_SEPARATOR = re.compile(r"[,;，、]|[.!?。！？](?:\s|$)")
_PROSE = re.compile(r"(?<![\w-])(?:a|an|the|of|in|on|at|with|and|is|are|his|her|their|its)(?![\w-])")
"""Words that make prose of what has them."""
_MOST_WORDS = 4
"""Words of a tag; more are prose."""
_DOUBTFUL = frozenset({"dark", "evening", "cropped"})
"""In prose these tell more often of a thing than of the picture, unless they stand at the end."""
_END = r"[^\w,]*(?:\d[\d.]*)?[^\w,]*(?:,|$)"
"""The end of a tag behind its last word: brackets and a weight."""


def _any_of(terms: Iterable[str]) -> str:
    return rf"(?<![\w-])(?:{'|'.join(re.escape(term) for term in terms)})(?![\w-])"


def _patterns(words: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds terms in tags, and what finds them in prose.

    In tags only terms of several words, and doings such as ``holding``, may have other words behind them.
    """
    terms = sorted((" ".join(word.split()) for word in words.split(",")), key=len, reverse=True)
    certain = [term for term in terms if term not in _DOUBTFUL]
    leading = [term for term in certain if " " in term or "-" in term or term.endswith("ing")]
    last = _any_of(terms) + _END
    in_tags = f"{last}|{_any_of(leading)}" if leading else last
    return re.compile(in_tags), re.compile(f"{last}|{_any_of(certain)}")


_PATTERNS = {
    (aspect, kind): _patterns(words)
    for aspect, (_title, kinds) in ASPECTS.items()
    for kind, (_name, words) in kinds.items()
}


_WORD = re.compile(r"[\w-]+")


def _by_first_word() -> dict[str, set[tuple[str, str]]]:
    """For the first word of each term what it may tell: a caption without the word is not searched for the term."""
    found: dict[str, set[tuple[str, str]]] = {}
    for aspect, (_title, kinds) in ASPECTS.items():
        for kind, (_name, words) in kinds.items():
            for term in words.split(","):
                found.setdefault(_WORD.findall(term)[0], set()).add((aspect, kind))
    return found


_FIRST_WORDS = _by_first_word()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of an aspect: ``name``, its word for a person, and the images that show it, by their places."""

    name: str
    title: str
    members: tuple[int, ...]

    @property
    def images(self) -> int:
        """How many show it."""
        return len(self.members)


@dataclass(frozen=True, slots=True)
class Aspect:
    """One aspect: its kinds, and of how many of ``images`` images something of it is known."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    known: int
    images: int

    @property
    def missing(self) -> tuple[Kind, ...]:
        """The kinds that no image shows, if enough images tell of the aspect."""
        return tuple(kind for kind in self.kinds if not kind.images) if self.is_known else ()

    @property
    def is_known(self) -> bool:
        """Whether enough images tell of the aspect to say that something is missing."""
        return self.known > 0 and self.known >= KNOWN * self.images

    @property
    def alone(self) -> Kind | None:
        """The one kind that nearly all images show of which anything is known; none where they differ."""
        most = max(self.kinds, key=lambda kind: kind.images)
        others = sum(kind.images for kind in self.kinds if kind is not most)
        return most if self.known >= ENOUGH and others <= (1 - ONE_KIND) * self.known else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What ``images`` images show, aspect by aspect."""

    images: int
    aspects: tuple[Aspect, ...]

    @property
    def missing(self) -> tuple[tuple[Aspect, Kind], ...]:
        """Every kind that no image shows although its aspect is spoken of."""
        return tuple((aspect, kind) for aspect in self.aspects for kind in aspect.missing)

    @property
    def unknown(self) -> tuple[Aspect, ...]:
        """The aspects that too few captions, or scores of a tagger, say anything of."""
        return tuple(aspect for aspect in self.aspects if not aspect.is_known)


def aspects_of(purpose: str) -> tuple[str, ...]:
    """The aspects that matter for a purpose of :data:`lora_tui.project.PURPOSES`; all of them when it is unknown."""
    if purpose in _OF_PURPOSE:
        return _OF_PURPOSE[purpose]
    if purpose in PURPOSES:
        return tuple(ASPECTS) if PURPOSES[purpose][0] == CONCRETE else _GENERAL
    return tuple(ASPECTS)


def coverage(
    captions: Iterable[str], *, purpose: str = "", scores: Iterable[Mapping[str, float]] | None = None
) -> Coverage:
    """What captions, and a tagger's scores for the same images in the same order, say that the images show.

    Args:
        captions: the text of each image's caption, empty where there is none.
        purpose: chooses the aspects that matter.
        scores: for each image, tags and their scores from 0 to 1; empty where no tagger has looked.
    """
    names = aspects_of(purpose)
    members: dict[tuple[str, str], list[int]] = {key: [] for key in _PATTERNS if key[0] in names}
    known = dict.fromkeys(names, 0)
    images = 0
    told = iter(scores) if scores is not None else None
    for place, caption in enumerate(captions):
        images += 1
        seen = next(told, {}) if told is not None else {}
        text = _spoken(caption, seen)
        spoken_of = set()
        words = _WORD.findall(" ".join(text))
        for key in {key for word in words if word in _FIRST_WORDS for key in _FIRST_WORDS[word]}:
            if key in members and _is_told(key, text):
                members[key].append(place)
                spoken_of.add(key[0])
        for name in spoken_of:
            known[name] += 1
    return Coverage(
        images,
        tuple(
            Aspect(
                name,
                _(ASPECTS[name][0]),
                tuple(
                    Kind(kind, _(title), tuple(members[name, kind]))
                    for kind, (title, _words) in ASPECTS[name][1].items()
                ),
                known[name],
                images,
            )
            for name in names
        ),
    )


@lru_cache(maxsize=50_000)
def tells(tag: str) -> bool:
    """Whether a tag says anything of any aspect."""
    spoken = _spoken(tag, {})
    words = _WORD.findall(" ".join(spoken))
    return any(_is_told(key, spoken) for word in words for key in _FIRST_WORDS.get(word, ()))


def shows(caption: str, aspect: str, kind: str, scores: Mapping[str, float] | None = None) -> bool:
    """Whether a caption, or a tagger's scores for its image, say that it shows a kind of an aspect, by their names."""
    return _is_told((aspect, kind), _spoken(caption, scores or {}))


def _is_told(key: tuple[str, str], spoken: tuple[str, str]) -> bool:
    return any(pattern.search(text) for pattern, text in zip(_PATTERNS[key], spoken, strict=True) if text)


def _spoken(caption: str, scores: Mapping[str, float]) -> tuple[str, str]:
    """The tags of a caption and those that a tagger is sure of, and its prose, without case, underscores, escapes."""
    sure = (tag for tag, score in scores.items() if score >= SURE)
    text = ", ".join([caption, *sure]).replace("_", " ").replace("\\", "").casefold()
    tags: list[str] = []
    prose: list[str] = []
    for part in _SEPARATOR.split(" ".join(text.split())):
        is_prose = part.count(" ", 1) >= _MOST_WORDS or _PROSE.search(part)
        (prose if is_prose else tags).append(part.strip())
    return ", ".join(tags), ", ".join(prose)
