"""What filters, operations and checks of an open dataset may ask, put together in one place for app and commands.

Everything that costs time is read when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.captions.complete import Completer, TagList, load_tag_list
from lora_tui.captions.corpus import Corpus
from lora_tui.captions.lint import Linter, LintOptions
from lora_tui.captions.operations.base import Context as OperationContext
from lora_tui.captions.query.corpus import EntryLike
from lora_tui.captions.query.facts import Context, Facts, History, Scores
from lora_tui.captions.query.saved import SavedFilter
from lora_tui.captions.tables import Tables, load_tables
from lora_tui.captions.tokens import most_tokens, sd15_tokens
from lora_tui.captions.view import view
from lora_tui.errors import UserError

if TYPE_CHECKING:
    from lora_tui.captions.transaction import Session


class Asking:
    """The answers for one session; :attr:`problems` are what could not be read for them, where that is forgiven."""

    def __init__(
        self,
        session: Session,
        *,
        trigger: str = "",
        shuffle: bool | None = None,
        limit: int = 75,
        lists: Sequence[Path] = (),
        facts: Facts | None = None,
        scores: Scores | None = None,
        since: int = 0,
        forgiving: bool = False,
        on_lists: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Nothing is read yet.

        Args:
            shuffle: whether the trainer shuffles tags; none when that is not known.
            limit: how many tokens the text encoder sees.
            lists: the user's lists of tags.
            facts: what is known of the images; ``scores`` what taggers thought of them.
            since: only captions that differ from what they were after this transaction count as modified.
            on_lists: gives what is entered while the lists are read, which takes a second for 100,000 tags.
            forgiving: tables and lists that cannot be read count as none, instead of failing who asks.
        """
        self._session, self._facts, self._scores, self._since = session, facts, scores, since
        self._paths, self._forgiving, self._on_lists = tuple(lists), forgiving, on_lists
        self._lint = LintOptions(
            profile=session.corpus.profile,
            trigger=trigger,
            shuffle=shuffle,
            tokens=self.tokens,
            token_limit=limit,
        )
        self.corpus = session.corpus
        self.trigger = trigger
        self.token_limit = limit
        self.problems: list[UserError] = []
        self.folder = session.home / ".lora-tui"

    @cached_property
    def tables(self) -> Tables:
        """What the dataset says of its tags."""
        try:
            return load_tables(self.folder)
        except UserError as error:
            self._forgive(error)
            return Tables()

    @cached_property
    def lists(self) -> TagList:
        """The user's lists of tags as one."""
        try:
            with self._on_lists():
                return load_tag_list(self._paths)
        except UserError as error:
            self._forgive(error)
            return TagList()

    @cached_property
    def completer(self) -> Completer:
        return Completer(self.corpus.index, self.lists)

    @cached_property
    def linter(self) -> Linter:
        return Linter(self.corpus, replace(self._lint, trigger=self.trigger, tables=self.tables))

    def take_trigger(self, word: str) -> None:
        """Another trigger word, which captions are checked for from now on."""
        self.trigger = word
        self.linter.use(replace(self.linter.options, trigger=word))

    def tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return sd15_tokens().count(text)

    def most_tokens(self, text: str) -> int:
        """The most tokens that the trainer's encoder gets of one of the captions in a file's text."""
        return most_tokens(text, self.corpus.profile, self.tokens)

    def category(self, tag: str) -> str:
        """The category of a tag by the user's lists; empty when they do not know it."""
        return self.lists.category(tag)

    def operation_context(self) -> OperationContext:
        """A context for operations, with a name of its own."""
        context = OperationContext(
            profile=self.corpus.profile,
            count=self.corpus.index.count,
            tokens=self.tokens,
            tables=self.tables,
            category=self.category if self._paths else None,
            trigger=self.trigger,
        )
        context.caption_of = lambda source: self.corpus.text_from(source, context.name)
        return context

    def query_context(self) -> Context:
        """A context for filters.

        Raises:
            UserError: the saved filters cannot be read.
        """
        from lora_tui.captions.provenance import Provenance
        from lora_tui.captions.query.saved import load_filters

        return context_for(
            self.corpus,
            trigger=self.trigger,
            facts=self._facts,
            history=Provenance(self._session, since=self._since),
            scores=self._scores,
            category=self.category if self._paths else None,
            tokens=self.tokens,
            lint=lambda number: self.linter.codes(number),
            saved=load_filters(self.folder),
        )

    def _forgive(self, error: UserError) -> None:
        if not self._forgiving:
            raise error
        self.problems.append(error)


def context_for(
    corpus: Corpus,
    *,
    trigger: str = "",
    facts: Facts | None = None,
    history: History | None = None,
    scores: Scores | None = None,
    tokens: Callable[[str], int] | None = None,
    category: Callable[[str], str] | None = None,
    lint: Callable[[int], Collection[str]] | None = None,
    sets: Mapping[str, Set[int]] | None = None,
    saved: Mapping[str, SavedFilter] | None = None,
) -> Context:
    """What filters of ``corpus`` may ask: its profile's zones, whether a caption is prose, and what is given.

    ``tokens`` counts those of a text; a filter is told the most that the trainer's encoder gets of one of a file's
    captions.
    """
    profile = corpus.profile

    def keep(entry: EntryLike) -> int:
        text = "" if entry.document is None else entry.document.text
        marks = profile.keep_separator, profile.secondary_separator
        if not any(mark and mark in text for mark in marks):
            return profile.keep_tokens
        return sum(1 for item in view(text, profile).items if item.zone == "keep")

    def prose(entry: EntryLike) -> bool:
        return entry.document is not None and view(entry.document.text, profile).is_prose

    return Context(
        keep_tokens=profile.keep_tokens,
        keep=keep,
        trigger=trigger,
        facts=facts,
        history=history,
        scores=scores,
        tokens=None if tokens is None else lambda text: most_tokens(text, profile, tokens),
        category=category,
        lint=lint,
        prose=prose,
        sets=sets or {},
        saved=saved or {},
    )
