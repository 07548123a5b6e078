"""An open dataset of captions as the tag editor works on it: filter, cursor, marks, scope, and what an edit does.

Owns the session; all methods are for the event loop's thread, but those that say so. Knows no widget.
"""

from __future__ import annotations

import getpass
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lora_tui.captions.asking import Asking
from lora_tui.captions.corpus import CAPTION_EXTENSIONS, Corpus, Entry
from lora_tui.captions.folders import look_of
from lora_tui.captions.history import take_back
from lora_tui.captions.language import parse_operation
from lora_tui.captions.operations.whole import WriteText
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.query.query import parse_query
from lora_tui.captions.transaction import Preview, Session, preview
from lora_tui.captions.variants import Variant, shown_text
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.tags.filter_words import joined

if TYPE_CHECKING:
    from lora_tui.captions.journal.records import Record
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.captions.lint import Problem
    from lora_tui.config.schema import DataSection
    from lora_tui.dataset.filter_facts import FactsWhenAsked

Scope = Literal["here", "shown", "all"]
"""What the next operation is about: the marked images (the one under the cursor where none is), those that the
filter shows, or all."""

AT_ONCE = 2000
"""Captions that an operation may be about while keys wait for it; more are previewed and applied in a thread."""


AS_TRAINED = Variant()
"""The captions that the trainer reads."""


@dataclass(frozen=True)
class Stretch:
    """The images of a scope and its words, ``spoken`` in the person's language, ``text`` for the journal."""

    numbers: tuple[int, ...]
    spoken: str
    text: str


@dataclass(frozen=True)
class Turned:
    """A transaction that was taken back or brought back; none when that cannot be said.

    Attributes:
        files: in how many files.
        left: how many were left as they were: other programs had changed them, or the disk refused them.
        why: why the disk refused the first of them; empty when it refused none.
        elsewhere: the endings of files that it changed and that are not shown now.
    """

    record: Record | None
    files: int
    left: int = 0
    why: str = ""
    elsewhere: tuple[str, ...] = ()


@dataclass
class Recorder:
    """What is repeated: the last operation, and a macro of several."""

    last: str = ""
    macro: list[str] = field(default_factory=list)
    recording: bool = False

    def note(self, operation: str) -> None:
        """An operation was applied."""
        self.last = operation
        if self.recording:
            self.macro.append(operation)


class Editor:
    """The captions of one folder, being edited."""

    def __init__(
        self, session: Session, asking: Asking, variant: Variant = AS_TRAINED, facts: FactsWhenAsked | None = None
    ) -> None:
        self._facts = facts
        self.session, self.asking, self.variant = session, asking, variant
        self.corpus = session.corpus
        self.author = _author()
        self.recorder = Recorder()
        self.marks: set[int] = set()
        self.anchor = -1
        self.scope: Scope = "here"
        self.filter = ""
        #: Ascending; replaced as a whole, never changed.
        self.visible: list[int] = list(range(len(self.corpus.entries)))
        self._shown: frozenset[int] | None = None
        #: Transactions that may not be on disk yet.
        self.under_way: list[Transaction] = []
        self.opened = time.time()
        #: The number of the last transaction before the folder was opened.
        self.opened_at = max((record.number for record in session.journal.records()), default=0)

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        profile: Profile = OURS,
        variant: Variant = AS_TRAINED,
        extensions: Sequence[str] = CAPTION_EXTENSIONS,
        trigger: str = "",
        shuffle: bool | None = None,
        limit: int = 75,
        data: DataSection | None = None,
        on_progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Editor:
        """Read all captions below ``root``; called in a thread.

        Args:
            variant: which of the captions of an image; ``extensions`` are those that the trainer looks for.
            data: says the buckets that a filter may ask for.

        Raises:
            UserError: the folder or the journal cannot be read.
        """
        corpus = Corpus.open(
            root,
            profile=variant.profile(profile),
            extensions=variant.extensions(extensions),
            on_progress=on_progress,
            should_stop=should_stop,
        )
        corpus.keep()
        session = Session(corpus)
        asking, facts = _asking(session, data, trigger=trigger, shuffle=shuffle, limit=limit)
        if corpus.entries:
            asking.linter.problems(0)  # tags that look misspelled are sought once, here where nobody waits
            asking.tokens("")
            asking.completer.complete("a")
        return cls(session, asking, variant, facts)

    # -- which images

    def caption(self, number: int) -> str:
        """The caption of an image that is edited here, without what else its file holds."""
        return shown_text(self.entry(number).document, self.corpus.profile)

    def entry(self, number: int) -> Entry:
        """An image with its caption."""
        return self.corpus.entries[number]

    def place_of(self, number: int) -> int:
        """Where an image stands in the list, -1 when the filter hides it."""
        place = bisect_left(self.visible, number)
        return place if place < len(self.visible) and self.visible[place] == number else -1

    def nearest(self, number: int) -> int | None:
        """The image of the list that is this one, or the next behind it, or the last; none in an empty list."""
        place = bisect_left(self.visible, number)
        return self.visible[min(place, len(self.visible) - 1)] if self.visible else None

    def select(self, text: str, should_stop: Callable[[], bool] = lambda: False) -> set[int] | None:
        """The images that a filter finds, none for all; may be called in a thread while nothing is edited.

        Args:
            should_stop: asked while pictures are decoded for it; once it says yes, what is found is of no use.

        Raises:
            UserError: the filter is wrong.
        """
        if not text.strip():
            return None
        with self._facts.until(should_stop) if self._facts is not None else nullcontext():
            return set(parse_query(text).matches(self.corpus, self.asking.query_context()))

    def hints(self, text: str) -> str:
        """What may have been meant by words of a filter that no caption has; empty when all are known."""
        for hint in parse_query(text).hints(self.corpus):
            said = _("No caption has “{word}”.").format(word=plain(hint.word, limit=40))
            if hint.meant:
                said += " " + _("Did you mean “{word}”?").format(word=plain(hint.meant[0], limit=40))
            return said
        return ""

    def joined(self, text: str) -> str:
        """The filter with words in quotes that are one tag of the dataset, where they are asked for one by one."""
        return joined(text, self.corpus.index)[1]

    def hint_of_nothing(self, text: str) -> str:
        """What to do about a filter that finds nothing: words that are one tag, or that no caption has."""
        tag, _text = joined(text, self.corpus.index)
        if not tag:
            return self.hints(text)
        number = self.corpus.index.count(tag)
        said = ngettext(
            "“{tag}” is one tag, of {count} caption: Tab puts it in quotes.",
            "“{tag}” is one tag, of {count} captions: Tab puts it in quotes.",
            number,
        )
        return said.format(tag=plain(tag, limit=40), count=count(number))

    def show(self, text: str, found: Collection[int] | None) -> None:
        """Take a filter with what it found; the list stays so until the next filter, whatever is edited."""
        self.filter = text.strip()
        self.visible = sorted(found) if found is not None else list(range(len(self.corpus.entries)))
        self._shown = frozenset(self.visible) if found is not None else None

    @property
    def shown(self) -> frozenset[int] | None:
        """The images that the filter shows, none without one."""
        return self._shown

    def stretch(self, cursor: int, scope: Scope | None = None) -> Stretch:
        """The images that an operation is about; ``cursor`` is the number of the image under it, -1 for none.

        Its words say which of their captions, where it is another than the trainer reads.
        """
        numbers, spoken, text = self._stretch(cursor, scope or self.scope)
        if len(numbers):
            text = self._in_variant(text)
        return Stretch(tuple(sorted(numbers)), self._in_captions(numbers, spoken), text)

    def _in_variant(self, text: str) -> str:
        """The words of a scope for the journal, with which captions it is about."""
        return text if self.variant == AS_TRAINED else f"{text} in {self.variant_name}"

    def spoken(self, cursor: int, scope: Scope | None = None) -> str:
        """The words of :meth:`stretch`, without gathering its images."""
        numbers, spoken, _text = self._stretch(cursor, scope or self.scope)
        return self._in_captions(numbers, spoken)

    def _in_captions(self, numbers: Collection[int], spoken: str) -> str:
        if self.variant == AS_TRAINED or not len(numbers):
            return spoken
        return _("{scope} in {captions}").format(scope=spoken, captions=variant_words(self.variant))

    @property
    def variant_name(self) -> str:
        """Which of the captions is edited, for the journal: ``.caption line 2``."""
        ending, line = self.variant.ending or self.corpus.extensions[0], self.variant.line
        return ending + (f" line {line}" if line > 0 else " every line" if line else "")

    def _stretch(self, cursor: int, scope: Scope) -> tuple[Collection[int], str, str]:
        if scope == "shown" and self._shown is not None:
            shown = self.visible
            return shown, _("filtered {count}").format(count=count(len(shown))), f"where {self.filter}"
        if scope != "here":
            total = len(self.corpus.entries)
            return range(total), _("all {count}").format(count=count(total)), "all"
        if self.marks:
            marked = len(self.marks)
            return self.marks, _("marked {count}").format(count=count(marked)), f"{marked} marked"
        if cursor < 0:
            return (), _("nothing"), ""
        name = self.entry(cursor).name
        return (cursor,), plain(name.rpartition("/")[2], limit=30), f"image {name}"

    def next_scope(self) -> None:
        """The next scope that differs from this one."""
        ways: list[Scope] = ["here", "shown", "all"] if self._shown is not None else ["here", "all"]
        place = ways.index(self.scope) if self.scope in ways else 0
        self.scope = ways[(place + 1) % len(ways)]

    # -- marks

    def mark(self, number: int) -> bool:
        """Mark an image or take its mark away; whether it is marked now."""
        self.marks ^= {number}
        self.anchor = number
        return number in self.marks

    def mark_range(self, number: int) -> int:
        """Mark the images of the list from the last that was marked to this one; how many."""
        start, end = self.place_of(self.anchor), self.place_of(number)
        if end < 0:
            return 0
        if start < 0:
            start = end
        chosen = self.visible[min(start, end) : max(start, end) + 1]
        self.marks.update(chosen)
        self.anchor = number
        return len(chosen)

    # -- edits

    def prepare(self, operation: str, stretch: Stretch, should_stop: Callable[[], bool] | None = None) -> Preview:
        """What an operation would do; may be called in a thread while nothing is edited.

        Raises:
            UserError: the operation is wrong or cannot be done.
        """
        return preview(
            self.corpus,
            stretch.numbers,
            parse_operation(operation, folder=self.corpus.root),
            context=self.asking.operation_context(),
            operation_text=operation,
            scope_text=stretch.text,
            should_stop=should_stop,
        )

    def prepare_text(self, number: int, text: str) -> Preview:
        """A caption file's whole text as somebody wrote it by hand.

        Raises:
            UserError: the file cannot hold it.
        """
        name = self.entry(number).name
        stretch = self._in_variant(f"image {name}")
        found = preview(
            self.corpus,
            (number,),
            WriteText(text),
            context=self.asking.operation_context(),
            operation_text="write",
            scope_text=stretch,
        )
        if found.refused:
            raise found.refused[0][1]
        return found

    def prepare_fixes(self, problems: Sequence[Problem], operation_text: str, scope_text: str) -> Preview:
        """The fixes of problems as one edit, one for each caption; a second look finds what is left.

        Raises:
            UserError: a fix cannot be done.
        """
        groups: dict[str, list[int]] = {}
        taken: set[str] = set()
        for problem in problems:
            name = self.entry(problem.number).caption_name
            if problem.mend and name not in taken:
                taken.add(name)
                groups.setdefault(problem.mend, []).append(problem.number)
        context = self.asking.operation_context()
        parts = [
            preview(
                self.corpus, numbers, parse_operation(fix), context=context, operation_text=fix, scope_text=scope_text
            )
            for fix, numbers in groups.items()
        ]
        changes = sorted((change for part in parts for change in part.changes), key=lambda change: change.number)
        refused = tuple(one for part in parts for one in part.refused)
        images = sum(part.images for part in parts)
        return Preview(self.corpus, tuple(changes), images, operation_text, scope_text, refused)

    def apply(self, found: Preview, *, repeatable: bool = True) -> Transaction:
        """Do what was previewed; the files follow in the session's own thread."""
        transaction = self.session.apply(found, self.author)
        self.under_way.append(transaction)
        if repeatable:
            self.recorder.note(found.operation_text)
        return transaction

    def take_back(self, transaction: Transaction) -> Transaction:
        """Take back what an edit did that is finished; what others did to the captions since stays."""
        taken = take_back(self.session, transaction, self.author)
        self.under_way.append(taken)
        return taken

    def turn(self, way: Literal["undo", "redo"]) -> Turned:
        """Take the last transaction back, or bring it back; waits for the disk, so it is called in a thread.

        Raises:
            UserError: there is nothing to undo or redo.
        """
        turned = self.session.undo(1, self.author) if way == "undo" else self.session.redo(1, self.author)
        self.under_way += turned
        number = turned[0].head.get("of", 0)
        shown = self.corpus.captions()
        names = [self.session.local_name(change.name) for change in turned[0].changes]
        elsewhere = sorted({name[name.rfind(".") :] for name in names if name not in shown})
        turned[0].finished.wait()
        lost = set(turned[0].lost)
        files = sum(change.name not in lost for change in turned[0].changes)
        why = str(turned[0].error or next(iter(turned[0].failures.values()), ""))
        return Turned(self.session.journal.record(number), files, len(lost), why, tuple(elsewhere))

    def turns(self, way: Literal["undo", "redo"]) -> int:
        """How many transactions since the folder was opened can be taken back, or how many brought back."""
        self.session.flush()
        back, forward = self.session.journal.undo_and_redo()
        return sum(record.number > self.opened_at for record in back) if way == "undo" else len(forward)

    # -- following others

    @property
    def idle(self) -> bool:
        """Whether everything is on disk; only then do files say more than memory does."""
        self.under_way = [one for one in self.under_way if not one.finished.is_set()]
        return not self.under_way

    def settle(self) -> None:
        """Wait until every edit that was begun is on disk; to be called in a thread."""
        for one in list(self.under_way):
            one.finished.wait()

    def foreign(self, numbers: Iterable[int]) -> list[int]:
        """Those of some captions whose files changed on disk; only looks, so it may be called in a thread."""
        found = []
        for number in numbers:
            entry = self.corpus.entries[number]
            try:
                state = os.stat(entry.root + "/" + entry.caption_name)  # noqa: PTH116 - a screenful, twice a second
                stamp = (state.st_mtime_ns, state.st_size, look_of(state) if entry.look else 0)
            except OSError:
                stamp = (0, 0, 0)
            if stamp != (entry.mtime_ns, entry.size, entry.look):
                found.append(number)
        return found

    def problems(self, number: int) -> tuple[Problem, ...]:
        """What is wrong with a caption."""
        return self.asking.linter.problems(number)

    def close(self) -> None:
        """Bring everything to disk."""
        self.session.close()


def variant_words(variant: Variant) -> str:
    """Which of the captions is edited, for a person: nothing for the one that the trainer reads."""
    line = _("line {number}").format(number=variant.line) if variant.line > 0 else _("every line")
    return " ".join([variant.ending] * bool(variant.ending) + [line] * bool(variant.line))


def _asking(session: Session, data: DataSection | None, **given: Any) -> tuple[Asking, FactsWhenAsked]:
    """The answers for a session, with the lists of tags read, and what they ask of images once a filter wants it."""
    from lora_tui.config.schema import DataSection as Usual
    from lora_tui.dataset.filter_facts import FactsWhenAsked, FilterFacts
    from lora_tui.project import tag_lists
    from lora_tui.tagging.filter_scores import FilterScores

    corpus = session.corpus
    facts = FactsWhenAsked(
        lambda should_stop: FilterFacts(
            corpus.root, [one.name for one in corpus.entries], data or Usual(), should_stop=should_stop
        )
    )
    paths, problem = [], None
    try:
        paths = tag_lists(corpus.root)
    except UserError as error:
        problem = error
    scores, since = FilterScores(corpus), session.journal.last
    asking = Asking(session, lists=paths, facts=facts, scores=scores, since=since, forgiving=True, **given)
    _ = asking.completer, asking.tables  # here where nobody waits
    if problem is not None:
        asking.problems.append(problem)
    return asking, facts


def _author() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "?"
