"""The several captions that an image may have: files with other endings beside it, and lines of one file.

A corpus holds one of them for each image. Which one is a :class:`Variant`; another is seen by opening the folder again.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lora_tui.captions.corpus import CAPTION_EXTENSIONS, IMAGE_SUFFIXES, Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import captions_of, line_spans
from lora_tui.errors import UserError
from lora_tui.text import _, plain

EVERY_LINE = -1
MOST_LINES = 99
"""Lines of a caption file that can be told apart."""

OTHER_ENDINGS = frozenset(
    """
    .mp4 .webm .mkv .avi .mov .flv .ts .mp3 .wav .npz .npy .safetensors .ckpt .pt .pth .bin .gguf .onnx .zip .7z .rar
    .gz .xz .tar .exe .dll .so .py .sh .toml .lock .pdf .psd .svg .ico .heic .jxl .kra .xcf .clip .sai .sai2
    .mdp .ora .ai .afphoto .blend .doc .docx .odt .zst .tgz .bz2 .db .sqlite .rs .js .html .ipynb .lnk .url
    """.split()  # noqa: SIM905
)
"""Endings of files that hold something else, beside those of images: an edit would destroy them."""
_MOST_PARTS = 3
_ENDING = re.compile(r"(\.[^./\\\s]+){1,3}")


@dataclass(frozen=True, slots=True)
class Variant:
    """Which of an image's captions is meant.

    Attributes:
        ending: such as ``.caption``; empty means the first of several that exists, which is the one that trains.
        line: the number of a line that is not blank, from 1; 0 for what the trainer reads, -1 for every line, each a
            caption of its own.
    """

    ending: str = ""
    line: int = 0

    def profile(self, profile: Profile) -> Profile:
        """``profile`` for exactly this variant."""
        if self.line == EVERY_LINE:
            return replace(profile, lines="one_random", line=1)
        return replace(profile, lines="first", line=self.line) if self.line else profile

    def extensions(self, usual: Sequence[str]) -> tuple[str, ...]:
        """The endings to look for: this one alone, else the usual ones in their order."""
        return (self.ending,) if self.ending else tuple(usual)


def checked_ending(text: str) -> str:
    """An ending of caption files as a person names it, with its dot.

    Raises:
        UserError: ``captions.ending`` when no file can end so, or it is that of an image or of other files that are
            no text.
    """
    ending = text.strip() if text.strip().startswith(".") else f".{text.strip()}"
    if not _ENDING.fullmatch(ending) or ending[ending.rfind(".") :].lower() in IMAGE_SUFFIXES | OTHER_ENDINGS:
        raise UserError(
            _("This is no ending of caption files."),
            place=plain(text),
            remedy=_("Such as .txt, .caption or .wd14.txt."),
            code="captions.ending",
        )
    return ending


@dataclass(frozen=True, slots=True)
class Endings:
    """The endings of caption files beside the images of a corpus.

    Attributes:
        images: how many images have a file of each; those that the trainer looks for first, then the most frequent.
        usual: the endings that the trainer looks for.
        mixed: whether images that lack the first of these have another of them, and train on that.
    """

    images: Mapping[str, int]
    usual: tuple[str, ...] = ()
    mixed: bool = False

    def variants(self) -> list[Variant]:
        """What can be edited: what trains, then each ending that is another."""
        train = () if self.mixed else self.usual[:1]
        return [Variant(), *(Variant(ending) for ending in self.images if ending not in train)]

    def name(self, variant: Variant) -> str:
        """The ending or endings of a variant."""
        there = [ending for ending in self.usual if ending in self.images]
        return variant.ending or ", ".join(there if self.mixed else self.usual[:1])


def endings_in(corpus: Corpus, usual: Sequence[str] = CAPTION_EXTENSIONS) -> Endings:
    """The endings of the caption files beside the images of a corpus; for a thread.

    A file is a caption of the image with the longest matching name: ``a.b.txt`` belongs to ``a.b.png``, or to
    ``a.png`` when there is no other.

    Args:
        usual: the endings that the trainer looks for, the first that exists wins.
    """
    stems: dict[str, Counter[str]] = {}
    for entry in corpus.entries:
        folder, _slash, name = entry.name.rpartition("/")
        stems.setdefault(folder, Counter())[name[: name.rfind(".")]] += 1
    known = frozenset(ending[ending.rfind(".") :] for ending in (*usual, *corpus.extensions, *CAPTION_EXTENSIONS))
    found: Counter[str] = Counter()
    mixed = False
    for folder, images in stems.items():
        try:
            names = os.listdir(os.path.join(corpus.root, folder))  # noqa: PTH118, PTH208 - 200,000 names
        except OSError:
            continue
        first: set[str] = set()
        other: set[str] = set()
        for name in names:
            if name[name.rfind(".") :] in known and name[0] != "." and (stem := stem_of(name, images)):
                ending = name[len(stem) :]
                found[ending] += images[stem]
                if ending in usual:
                    (first if ending == usual[0] else other).add(stem)
        mixed = mixed or not other <= first
    own = [ending for ending in usual if ending in found]
    order = dict.fromkeys([*own, *(name for name, _number in found.most_common())])
    return Endings({ending: found[ending] for ending in order}, tuple(usual), mixed)


def stem_of(name: str, images: Mapping[str, object]) -> str:
    """The longest of the stems of images with which a caption file's name begins; empty for none."""
    stem = name
    for _part in range(_MOST_PARTS):
        stem = stem[: max(stem.rfind("."), 0)]
        if stem in images:
            return stem
    return ""


def existing(corpus: Corpus, number: int, endings: Iterable[str]) -> tuple[str, ...]:
    """Those of some endings for which an image has a file; for a thread."""
    stem = f"{corpus.root}/{corpus.entries[number].name.rpartition('.')[0]}"
    return tuple(ending for ending in endings if os.path.isfile(stem + ending))  # noqa: PTH113 - at each step of a cursor


def lines_of(document: CaptionDocument | None) -> int:
    """How many lines of a caption file are not blank."""
    if document is None:
        return 0
    text = document.text
    return sum(1 for start, end in line_spans(text) if text[start:end].strip())


def most_lines(corpus: Corpus) -> int:
    """The most lines that a caption of the corpus has; for a thread."""
    raws = ((entry, entry.raw.strip()) for entry in corpus.entries if entry.raw)
    several = (entry for entry, raw in raws if b"\n" in raw or b"\r" in raw)
    return min(max((lines_of(entry.document) for entry in several), default=1), MOST_LINES)


def shown_text(document: CaptionDocument | None, profile: Profile) -> str:
    """The caption that a profile means, stripped; of several the first."""
    if document is None:
        return ""
    spans = captions_of(document.text, profile)
    return document.text[spans[0][0] : spans[0][1]].strip() if spans else ""
