"""The checks of a dataset's captions: missing, empty, in the wrong encoding, badly separated, without an image."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from lora_tui.captions.document import CaptionDocument, problem_text, split_tags
from lora_tui.captions.encodings import likely_encoding
from lora_tui.captions.files import no_caption_file, read_caption, sidecar_names
from lora_tui.captions.trigger import has_word, lacking
from lora_tui.dataset.companions import owners_among
from lora_tui.dataset.scan import DatasetImage, Problem
from lora_tui.errors import UserError
from lora_tui.files import kind_of
from lora_tui.text import _, plain

#: Endings that people give to captions, to say which file was perhaps meant.
_CAPTION_SUFFIXES = frozenset({".txt", ".caption", ".cap", ".tags", ".json"})
#: What Chinese and Japanese keyboards give for a comma.
WIDE_COMMAS = "，、"
#: A blank before a comma or before another one, in a line that has none at its ends.
_STRAY_BLANKS = re.compile(rf"\s[\s,{WIDE_COMMAS}]")

#: A comma with no tag before it, as ``lint`` sees it; one at the end is no matter.
_EMPTY_TAG = re.compile(r",\s*,|^\s*,")


class CaptionChecks:
    """Checks captions image by image; lists each folder once.

    Args:
        extensions: endings of caption files, in order.
        trigger: a word that every caption should have, or empty.

    Attributes:
        texts: what each caption looked at so far says, empty where there is none.
    """

    def __init__(self, extensions: Sequence[str], trigger: str = "") -> None:
        self._extensions = tuple(extensions)
        self._trigger = trigger.strip()
        self.texts: list[str] = []
        self._listings: dict[Path, frozenset[str]] = {}
        self._named: set[int] = set()
        self._unnamed: defaultdict[int, list[Problem]] = defaultdict(list)

    def check(self, image: DatasetImage, *, subject: bool = True) -> Iterator[Problem]:
        """The problems of one image's caption; a missing trigger word waits for :meth:`check_triggers`.

        Images that do not show the ``subject`` need none.
        """
        self.texts.append("")
        if image.caption_path is None:
            yield self._missing(image)
            return
        try:
            document = read_caption(image.caption_path)
        except UserError as error:
            yield Problem(image.caption_path, error.code, error.message, error.remedy)
            return
        yield from _document_problems(image.caption_path, document)
        line = self.texts[-1] = document.first_line
        yield from _tag_problems(image.caption_path, line)
        if self._trigger and line and subject:
            problem = self._trigger_problem(image.caption_path, line)
            if problem is not None and problem.code == "trigger.missing":
                self._unnamed[image.dataset].append(problem)
                return
            self._named.add(image.dataset)
            if problem is not None:
                yield problem

    def check_triggers(self) -> Iterator[Problem]:
        """Captions without the trigger word, once all have been looked at.

        Where no caption of a dataset has it but those of another have, that is one note: regularisation images.
        """
        for dataset, problems in self._unnamed.items():
            if dataset in self._named or not self._named:
                yield from problems
                continue
            folder = Path(os.path.commonpath([os.fspath(problem.path.parent) for problem in problems]))
            message = _("No caption here has the trigger word {trigger}, as those of the other folders have.")
            remedy = _("That is right for regularisation images, which keep what the model knows.")
            yield Problem(folder, "trigger.none", message.format(trigger=plain(self._trigger)), remedy, "note")

    def check_folders(self, images: Sequence[DatasetImage]) -> Iterator[Problem]:
        """Captions that several images share, and captions beside which there is no image."""
        shared: defaultdict[str, list[Path]] = defaultdict(list)  # texts: a hundred thousand paths are slow keys
        for image in images:
            if image.caption_path is not None:
                shared[os.fspath(image.caption_path)].append(image.path)
        for caption, paths in shared.items():
            if len(paths) > 1:
                names = ", ".join(plain(path.name) for path in paths)
                message = _("Several images have this one caption: {names}.").format(names=names)
                remedy = _("Rename one of them if they show different things.")
                yield Problem(Path(caption), "caption.shared", message, remedy, "warning")
        for folder in dict.fromkeys(os.path.dirname(image.path) for image in images):  # noqa: PTH120 - texts, too
            yield from self._orphans(Path(folder))

    def _missing(self, image: DatasetImage) -> Problem:
        wanted = sidecar_names(image.path, self._extensions)
        for name in wanted:
            if kind := _kind_at(image.path.with_name(name)):
                error = no_caption_file(image.path.with_name(name), kind)
                return Problem(image.path, error.code, error.message, error.remedy)
        meant = self._perhaps_meant(image.path)
        if meant:
            message = _("The image has no caption that is read; {name} lies beside it.").format(name=plain(meant))
            remedy = _("Rename that file, or add its ending to the caption files of the configuration.")
            return Problem(image.path, "caption.other_ending", message, remedy, "warning")
        names = _(" or ").join(plain(name) for name in wanted)
        remedy = _("Write one into {name}.").format(name=names) if wanted else ""
        return Problem(image.path, "caption.missing", _("The image has no caption."), remedy, "warning")

    def _perhaps_meant(self, path: Path) -> str:
        wanted = (_loosely(path.stem), _loosely(path.name))
        for name in sorted(self._names(path.parent)):
            other = PurePath(name)
            if other.suffix.lower() in _CAPTION_SUFFIXES and _loosely(other.stem) in wanted:
                return name
        return ""

    def _trigger_problem(self, path: Path, line: str) -> Problem | None:
        if has_word(line, self._trigger):
            return None
        other_case = has_word(line.casefold(), self._trigger.casefold())
        told = lacking(self._trigger, other_case=other_case)
        remedy = _("Write it the same way everywhere.") if other_case else _("Put it first in the caption.")
        return Problem(path, told.code, told.message, remedy, told.severity)

    def _orphans(self, folder: Path) -> Iterator[Problem]:
        names = self._names(folder)
        own = {name for some in owners_among(names).values() for name in some}
        for name in sorted(names - own):
            ending = next((ending for ending in self._extensions if name.endswith(ending)), "")
            if ending and name != ending:
                remedy = _("Rename it like its image, or move it away.")
                message = _("There is no image for this caption.")
                yield Problem(folder / name, "caption.orphan", message, remedy, "warning")

    def _names(self, folder: Path) -> frozenset[str]:
        names = self._listings.get(folder)
        if names is None:
            try:
                with os.scandir(folder) as entries:
                    names = frozenset(entry.name for entry in entries if not entry.name.startswith("."))
            except OSError:
                names = frozenset()
            self._listings[folder] = names
        return names


def _tag_problems(path: Path, line: str) -> Iterator[Problem]:
    """Commas that are none to a trainer, blanks that are part of tags, tags that come twice."""
    if any(comma in line for comma in WIDE_COMMAS):
        message = _("Full-width commas (，、) separate no tags.")
        yield Problem(path, "caption.comma", message, _("Write a comma and a blank between tags."), "warning")
    if _STRAY_BLANKS.search(line):
        message = _("There are stray blanks between the tags.")
        yield Problem(path, "caption.blanks", message, _("Write a comma and a blank between tags."), "warning")
    if _EMPTY_TAG.search(line):
        message = _("There is nothing between two commas.")
        yield Problem(path, "caption.empty_tag", message, _("Write a comma and a blank between tags."), "warning")
    tags = split_tags(line.casefold())
    if len(set(tags)) < len(tags):
        doubled = [tag for tag, times in Counter(tags).items() if times > 1]
        message = _("Tags come twice: {tags}.").format(tags=plain(", ".join(doubled), limit=200))
        yield Problem(path, "caption.doubled", message, _("Keep one of each."), "warning")


def _kind_at(path: Path) -> str:
    """What is there when it is something else than a file, links followed; empty when it is a file or nothing."""
    try:
        return kind_of(path.stat().st_mode)
    except (OSError, ValueError):
        return ""


def _loosely(name: str) -> str:
    """A name without what file systems disagree on: case, and how accents are composed."""
    return unicodedata.normalize("NFC", name).casefold()


def guess_encoding(raw: bytes) -> str:
    """The encoding, in a person's words, that bytes which are no UTF-8 are likely in; empty when none fits."""
    return likely_encoding(raw)[1]


def _document_problems(path: Path, document: CaptionDocument) -> Iterator[Problem]:
    if not document.problems:
        return
    remedies = {
        "undecodable": _("Save it as UTF-8."),
        "bom": _("Save it as UTF-8 without a byte order mark."),
        "wide": _("Save it as UTF-8."),
        "nul": _("Save it as UTF-8."),
        "empty": _("Write a caption, or remove the file."),
        "more_lines": _("Join the lines if all of it should be trained."),
        "mixed_newlines": _("Save it with line ends of one kind."),
    }
    for code in document.problems:
        message, remedy = problem_text(code), remedies[code]
        guess = guess_encoding(document.raw) if code == "undecodable" else ""
        if guess:
            remedy = _("It looks like {encoding}. Save it as UTF-8.").format(encoding=guess)
        yield Problem(
            path, f"caption.{code}", message, remedy, "error" if code in ("undecodable", "nul") else "warning"
        )
