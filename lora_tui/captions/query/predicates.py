"""The words ``key:value`` and the functions of the filter language, each with what it means."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import PurePosixPath

from lora_tui.captions.document import UNDECODABLE, split_lines
from lora_tui.captions.lint_codes import CODES, names_of
from lora_tui.captions.query.corpus import EntryLike, text_of
from lora_tui.captions.query.evaluate import NUMBERS, SLOW, TEXTS, Evaluation, Lookup, Node, Scan
from lora_tui.captions.query.lexer import QueryError, Value
from lora_tui.captions.query.measures import repeats
from lora_tui.captions.query.patterns import TagPattern, TextPattern, compiled, name_tester
from lora_tui.captions.vocabulary import glob_expression
from lora_tui.text import _

Test = Callable[[EntryLike], object]
Maker = Callable[[Evaluation], Test]


def keyed(key: str, value: Value, column: int) -> Node:
    """The part of a filter for ``key:value``.

    Raises:
        QueryError: the value is none that the key takes.
    """
    if value.kind == "regex":
        compiled(value)
    return KEYS[key](value, column)


def _tag(value: Value, _column: int) -> Node:
    return TagPattern(value)


def _exact(value: Value, _column: int) -> Node:
    return TagPattern(value, exact=True)


def _text(value: Value, column: int) -> Node:
    def make(run: Evaluation) -> Test:
        holds = TextPattern(value).tester(run)
        return lambda entry: entry.document is not None and holds(entry.document.text)

    return Scan(make, column, "text", cost=TEXTS)


def _phrase(value: Value, column: int) -> Node:
    def make(run: Evaluation) -> Test:
        holds = TextPattern(value, words=True).tester(run)
        return lambda entry: entry.document is not None and holds(entry.document.text)

    return Scan(make, column, "phrase", cost=TEXTS)


def _line(value: Value, column: int) -> Node:
    number, _colon, wanted = value.text.partition(":")
    if value.kind == "regex" or not number.isdecimal() or int(number) < 1:
        message, remedy = _("The number of a line is wanted here, from 1."), _("Such as line:2 or line:2:sky.")
        raise QueryError(message, value.column, length=len(value.text), remedy=remedy)
    needle, place = wanted.casefold(), int(number) - 1

    def make(_run: Evaluation) -> Test:
        def test(entry: EntryLike) -> bool:
            lines = split_lines(text_of(entry))
            return place < len(lines) and bool(lines[place].strip()) and needle in lines[place].casefold()

        return test

    return Scan(make, column, "line", cost=TEXTS)


def _path(part: Callable[[str], str], named: str) -> Callable[[Value, int], Node]:
    def build(value: Value, column: int) -> Node:
        def make(run: Evaluation) -> Test:
            holds = name_tester(value, run)
            return lambda entry: holds(part(entry.name))

        return Scan(make, column, named, cost=TEXTS)

    return build


def _dir(value: Value, column: int) -> Node:
    """The folder of this path with all below it, any folder of this name, or what a pattern says of the path."""
    wanted = value.text.strip("/").casefold()

    def make(run: Evaluation) -> Test:
        if value.wild or value.kind == "regex":
            holds = name_tester(value, run)
            return lambda entry: holds(_folder(entry.name))
        inside = f"/{wanted}/"
        if wanted in ("", "."):
            return lambda entry: "/" not in entry.name
        return lambda entry: inside in f"/{_folder(entry.name).casefold()}/"

    return Scan(make, column, "dir", cost=TEXTS)


def _ext(value: Value, column: int) -> Node:
    wanted = value.text.casefold().lstrip(".")
    return Scan(lambda _run: lambda entry: entry.name.casefold().endswith(f".{wanted}"), column, "ext", cost=TEXTS)


def _cat(value: Value, column: int) -> Node:
    def find(run: Evaluation) -> Set[int]:
        category = run.context.category
        assert category is not None
        holds = TagPattern(value).matcher(run)
        return run.index.union([tag for tag in run.index.tags() if holds(category(tag))])

    return Lookup(find, column, "cat", ("category",))


def _bucket(value: Value, column: int) -> Node:
    sides = value.text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        remedy = _("Such as bucket:832x1216.")
        raise QueryError(_("A size is wanted here."), value.column, length=len(value.text), remedy=remedy)
    wanted = int(sides[0]), int(sides[1])

    def make(run: Evaluation) -> Test:
        facts = run.context.facts
        assert facts is not None
        return lambda entry: (image := facts.image(entry.number)) is not None and image.bucket == wanted

    return Scan(make, column, "bucket", ("facts",))


def _dup(value: Value, column: int) -> Node:
    """In any group of near-duplicates (``phash``, ``any``), or in the group of this name."""
    anyone = value.text.casefold() in ("phash", "any")

    def make(run: Evaluation) -> Test:
        facts = run.context.facts
        assert facts is not None

        def test(entry: EntryLike) -> bool:
            image = facts.image(entry.number)
            return image is not None and bool(image.duplicates) and (anyone or image.duplicates == value.text)

        return test

    return Scan(make, column, "dup", ("facts",))


def _by(value: Value, column: int) -> Node:
    def make(run: Evaluation) -> Test:
        history = run.context.history
        assert history is not None
        holds = TagPattern(value).matcher(run)
        return lambda entry: any(
            holds(name) for author in history.authors(entry.number) for name in author_names(author)
        )

    return Scan(make, column, "by", ("history",), TEXTS)


TAGGER = "tagger:"
"""What stands before the names of models among the authors of the journal."""


def author_names(author: str) -> tuple[str, ...]:
    """What ``author`` is known by: the names of the models, too, of ``tagger:one+other``."""
    names = author.removeprefix(TAGGER)
    return (author, *names.split("+")) if names and names != author else (author,)


def _added(value: Value, column: int) -> Node:
    def find(run: Evaluation) -> Set[int]:
        assert run.context.history is not None
        return run.context.history.added(value.text)

    return Lookup(find, column, "added", ("history",))


def _lint(value: Value, column: int) -> Node:
    """Problems by their code, such as ``tag.double``, or by what stands behind its full stop."""
    wanted = frozenset(code for code in CODES if any(map(_code_tester(value), names_of(code))))
    if not wanted:
        meant = difflib.get_close_matches(value.text, [name for code in CODES for name in names_of(code)], 1)
        remedy = _("Perhaps {word} is meant.").format(word=meant[0]) if meant else ""
        message = _("There is no problem of this name.")
        raise QueryError(
            message,
            value.column,
            length=len(value.text),
            remedy=remedy or _("Choose one of: {names}.").format(names=", ".join(CODES)),
        )

    def make(run: Evaluation) -> Test:
        lint = run.context.lint
        assert lint is not None
        return lambda entry: not wanted.isdisjoint(lint(entry.number))

    return Scan(make, column, "lint", ("lint",), SLOW)


def _code_tester(value: Value) -> Callable[[str], object]:
    if value.kind == "regex":
        expression = compiled(value)
        return lambda name: expression.search(name)
    if value.wild:
        return glob_expression(value.text).match
    wanted = value.text.casefold()
    return lambda name: name == wanted


def _is(value: Value, column: int) -> Node:
    word = value.text.casefold()
    if word == "orphan":  # of a caption without an image there is nothing to find among images
        message = _("A filter finds images, and an orphan is a caption without one.")
        remedy = _("See: {command}").format(command="lora-tui captions lint DIR --only caption.orphan")
        raise QueryError(message, value.column, length=len(value.text), remedy=remedy)
    if word not in STATES:
        message = _("There is no such state.")
        remedy = _("Choose one of: {names}.").format(names=", ".join(sorted(STATES)))
        raise QueryError(message, value.column, length=len(value.text), remedy=remedy)
    make, needs, cost = STATES[word]
    return Scan(make, column, f"is:{word}", needs, cost)


def _in(value: Value, column: int) -> Node:
    if value.text.startswith("@"):
        return Saved(value.text[1:], value.column)

    def find(run: Evaluation) -> Set[int]:
        if value.text not in run.context.sets:
            raise QueryError(_("There is no such set of images."), value.column, length=len(value.text))
        return run.context.sets[value.text]

    return Lookup(find, column, "in")


@dataclass(frozen=True)
class Saved:
    """A saved filter, or the list that one was pinned to."""

    name: str
    column: int
    cost: int = SLOW

    def check(self, run: Evaluation) -> None:
        self._node(run)

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        saved = run.context.saved[self.name]
        if saved.pinned:
            names = frozenset(saved.images)
            return run.scan(lambda entry: entry.name in names, within)
        node = self._node(run)
        outer, run.inside = run.inside, (*run.inside, self.name)
        try:
            return node.select(run, within)
        finally:
            run.inside = outer

    def _node(self, run: Evaluation) -> Node:
        from lora_tui.captions.query.evaluate import Everything
        from lora_tui.captions.query.parser import parse

        saved = run.context.saved.get(self.name)
        if saved is None:
            remedy = _("Saved are: {names}.").format(names=", ".join(run.context.saved)) if run.context.saved else ""
            raise QueryError(
                _("There is no saved filter of this name."), self.column, length=len(self.name) + 1, remedy=remedy
            )
        if saved.pinned:
            return Everything()
        if self.name in run.inside:
            raise QueryError(_("This saved filter asks for itself."), self.column, length=len(self.name) + 1)
        outer, run.inside = run.inside, (*run.inside, self.name)
        try:
            node = parse(saved.query)
            node.check(run)
        except QueryError as error:
            message = _("The saved filter is wrong: {reason}").format(reason=error.message)
            raise QueryError(message, self.column, length=len(self.name) + 1, remedy=error.remedy) from None
        finally:
            run.inside = outer
        return node


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _has(code: str) -> Maker:
    return lambda _run: lambda entry: entry.document is not None and code in entry.document.problems


def _history(which: Callable[[Evaluation], Set[int]]) -> Maker:
    def make(run: Evaluation) -> Test:
        found = which(run)
        return lambda entry: entry.number in found

    return make


def _modified(run: Evaluation) -> Set[int]:
    assert run.context.history is not None
    return run.context.history.modified()


def _reviewed(run: Evaluation) -> Set[int]:
    assert run.context.history is not None
    return run.context.history.reviewed()


def _any_problem(run: Evaluation) -> Test:
    lint = run.context.lint
    assert lint is not None
    return lambda entry: bool(lint(entry.number))


def _is_prose(run: Evaluation) -> Test:
    prose = run.context.prose
    assert prose is not None
    return lambda entry: prose(entry)


def _no_file(_run: Evaluation) -> Test:
    return lambda entry: entry.document is None


def _in_group(run: Evaluation) -> Test:
    facts = run.context.facts
    assert facts is not None
    return lambda entry: (image := facts.image(entry.number)) is not None and bool(image.duplicates)


def _noted(word: str) -> Maker:
    def make(run: Evaluation) -> Test:
        facts = run.context.facts
        assert facts is not None
        noted = facts.noted()
        return lambda entry: word in noted(entry.number)

    return make


STATES: dict[str, tuple[Maker, tuple[str, ...], int]] = {
    "untagged": (lambda _run: lambda entry: not entry.tags, (), NUMBERS),
    "missing": (_no_file, (), NUMBERS),
    "empty": (lambda _run: lambda entry: entry.document is not None and not entry.document.text.strip(), (), TEXTS),
    "bom": (lambda _run: lambda entry: entry.document is not None and bool(entry.document.bom), (), NUMBERS),
    "badutf8": (
        lambda _run: lambda entry: entry.document is not None and entry.document.encoding == UNDECODABLE,
        (),
        NUMBERS,
    ),
    "crlf": (lambda _run: lambda entry: "\r" in text_of(entry), (), TEXTS),
    "multiline": (_has("more_lines"), (), NUMBERS),
    "repeated": (lambda _run: lambda entry: repeats(entry) > 1, (), TEXTS),
    "prose": (_is_prose, ("prose",), TEXTS),
    "modified": (_history(_modified), ("history",), NUMBERS),
    "reviewed": (_history(_reviewed), ("history",), NUMBERS),
    "lint": (_any_problem, ("lint",), SLOW),
    "duplicate": (_in_group, ("facts",), NUMBERS),
    "excluded": (_noted("excluded"), ("facts",), NUMBERS),
    "cropped": (_noted("cropped"), ("facts",), NUMBERS),
    "seen": (_noted("seen"), ("facts",), NUMBERS),
}
"""What can stand after ``is:``: the test, what it needs of the context, what it costs."""

KEYS: dict[str, Callable[[Value, int], Node]] = {
    "tag": _tag,
    "exact": _exact,
    "text": _text,
    "caption": _text,
    "phrase": _phrase,
    "line": _line,
    "name": _path(lambda name: PurePosixPath(name).name, "name"),
    "path": _path(lambda name: name, "path"),
    "dir": _dir,
    "ext": _ext,
    "cat": _cat,
    "bucket": _bucket,
    "dup": _dup,
    "by": _by,
    "added": _added,
    "lint": _lint,
    "is": _is,
    "in": _in,
}
"""The words that can stand before a colon, besides the numbers and times of the measures."""

__all__ = ["KEYS", "STATES", "Saved", "keyed"]
