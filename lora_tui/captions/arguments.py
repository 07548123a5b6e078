"""What stands after the verb of an operation: tags, positions, numbers, files of rules and of pairs."""

from __future__ import annotations

import csv
from pathlib import Path

from lora_tui.captions.operations.match import Tags
from lora_tui.captions.operations.placing import BACK, Position
from lora_tui.captions.words import OperationError, Word
from lora_tui.errors import UserError
from lora_tui.text import _, plain

_FILE_BYTES = 16 << 20


class Arguments:
    """The words after a verb, taken one by one."""

    def __init__(self, found: list[Word], folder: Path) -> None:
        self._words = found
        self._at = 0
        self.folder = folder

    @property
    def next(self) -> Word:
        return self._words[self._at]

    @property
    def is_done(self) -> bool:
        return self.next.kind == "end"

    def skip(self) -> Word:
        word = self.next
        if word.kind != "end":
            self._at += 1
        return word

    def take(self, *names: str) -> str:
        """One of these key words, if it comes next; else the empty string."""
        if self.next.kind == "bare" and self.next.text in names:
            return self.skip().text
        return ""

    def choice(self, *names: str) -> str:
        """One of these key words.

        Raises:
            OperationError: something else stands there.
        """
        return self.take(*names) or self._wrong(
            _("One of these is expected here: {names}.").format(names=", ".join(names))
        )

    def expect(self, name: str) -> None:
        if not self.take(name):
            self._wrong(_("“{word}” is expected here.").format(word=name))

    def text(self) -> str:
        """One word or quoted text."""
        if self.next.kind not in ("bare", "string"):
            self._wrong(_("A tag or text is expected here."))
        return self.skip().text

    def words(self, stops: tuple[str, ...] = (), *, regex: bool = False) -> Word:
        """Quoted text, bare words up to a key word with one blank between them, or a regular expression.

        Raises:
            OperationError: there is none, or a comma stands in it.
        """
        if self.next.kind not in ("bare", "string", *["regex"] * regex):
            self._wrong(_("A tag or text is expected here."))
        word = self._until(stops)
        if self.next.kind == "comma":
            raise OperationError(_("Text with a comma in it stands in quotes."), self.next.column)
        return word

    def _until(self, stops: tuple[str, ...]) -> Word:
        """The next word, with the bare ones behind a bare one up to a key word."""
        word = self.skip()
        if word.kind != "bare":
            return word
        parts = [word.text]
        while self.next.kind == "bare" and self.next.text not in stops:
            parts.append(self.skip().text)
        return Word(" ".join(parts), "bare", word.column)

    def tag(self) -> str:
        """The name of one tag."""
        column = self.next.column
        name = self.text()
        if not name.strip():
            raise OperationError(_("A tag needs a name."), column)
        return name.strip()

    def number(self, least: int = 0) -> int:
        word = self.next
        if word.kind == "bare" and word.text.isascii() and word.text.isdigit() and len(word.text) < 10:
            value = int(self.skip().text)
            if value >= least:
                return value
        return self._wrong(_("A whole number from {least} on is expected here.").format(least=least), word)  # type: ignore[return-value]

    def tags(self, stops: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Names of tags, with commas between them; ``a b`` without quotes is one tag of two words."""
        return tuple(word.text.strip() for word in self._listed(stops, wild=False))

    def sought(self, stops: tuple[str, ...] = ()) -> Tags:
        """Tags that are sought: names, wildcards, regular expressions; from a file with ``from FILE``."""
        found = self._listed((*stops, "ignorecase"), wild=True)
        ignore = bool(self.take("ignorecase"))
        globs = [word.text for word in found if _is_wild(word)]
        return Tags(
            names=tuple(word.text.strip() for word in found if word.kind != "regex" and not _is_wild(word)),
            globs=tuple(globs),
            patterns=tuple(word.text for word in found if word.kind == "regex"),
            ignore_case=ignore or any("i" in word.flags for word in found),
        )

    def file(self) -> Path:
        column = self.next.column
        path = self.folder / Path(self.text()).expanduser()
        if not path.is_file():
            raise OperationError(
                _("There is no such file: {file}.").format(file=plain(str(path))),
                column,
                remedy=_("Put a path with a slash in front into quotes."),
            )
        return path

    def end(self) -> None:
        """Raises OperationError: something is left over."""
        if not self.is_done:
            self._wrong(_("This is not understood here: {word}.").format(word=plain(self.next.text)))

    def _listed(self, stops: tuple[str, ...], *, wild: bool) -> list[Word]:
        if self.take("from"):
            return [Word(line, "string", 0) for line in read_list(self.file())]
        found: list[Word] = []
        while True:
            word = self.next
            if word.kind in ("end", "comma") or (word.kind == "regex" and not wild):
                self._wrong(_("A tag is expected here."))
            word = self._until(stops)
            if not word.text.strip():
                raise OperationError(_("A tag needs a name."), word.column)
            found.append(word)
            if self.next.kind != "comma":
                return found
            self.skip()

    def _wrong(self, message: str, word: Word | None = None) -> str:
        raise OperationError(message, (word or self.next).column)


POSITION_WORDS = ("front", "back", "keep", "at", "before", "after", "rule")


def position(arguments: Arguments, default: Position | None = BACK) -> Position:
    """``front``, ``back``, ``keep``, ``at N`` (from 1), ``before TAG``, ``after TAG``, ``rule FILE``."""
    if default is not None and arguments.next.text not in POSITION_WORDS:
        return default
    match arguments.choice(*POSITION_WORDS):
        case "front":
            return Position("front")
        case "keep":
            return Position("keep")
        case "at":
            return Position("at", index=arguments.number(1) - 1)
        case "before":
            return Position("before", tag=arguments.tag())
        case "after":
            return Position("after", tag=arguments.tag())
        case "rule":
            return Position("rule", rule=tuple(read_list(arguments.file())))
    return BACK


def read_list(path: Path) -> list[str]:
    """Tags or categories of a rule file: one a line; blank lines and those that begin with ``//`` are left out."""
    lines = (line.strip() for line in _read(path).splitlines())
    return [line for line in lines if line and not line.startswith("//")]


def read_pairs(path: Path) -> dict[str, str]:
    """Old and new names: ``old -> new``, ``old<tab>new``, ``old = new`` or two columns of CSV, one pair a line.

    Raises:
        UserError: ``captions.pairs`` with the line that is none.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip() or line.startswith("//"):
            continue
        for mark in ("->", "\t", " = "):
            if mark in line:
                old, _mark, new = line.partition(mark)
                break
        else:
            row = next(csv.reader([line], skipinitialspace=True))
            if len(row) != 2:
                raise UserError(
                    _("This line is no pair of an old and a new name."),
                    place=f"{plain(str(path))}:{number}",
                    remedy=_("Write: old -> new"),
                    code="captions.pairs",
                )
            old, new = row
        if old.strip():
            pairs[old.strip()] = new.strip()
    return pairs


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            _("The file cannot be read: {reason}.").format(reason=plain(reason)),
            place=plain(str(path)),
            remedy=_("It must be text in UTF-8."),
            code="captions.rule_file",
        ) from error


def _is_wild(word: Word) -> bool:
    if word.kind != "bare" or not any(mark in word.text for mark in "*?"):
        return False
    return any(map(str.isalnum, word.text)) or not word.text.strip("*")  # stars alone are all tags; ?! is a face
