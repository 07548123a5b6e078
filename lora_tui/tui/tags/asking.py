"""What filters, operations and checks of an open dataset may ask: tokens, categories, tables, facts of images.

Everything that costs time is read when it is first asked for. Knows no widget.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from lora_tui.captions.complete import Completer, TagList, installed_lists, load_tag_list
from lora_tui.captions.lint import Linter, LintOptions
from lora_tui.captions.operations.base import Context as OperationContext
from lora_tui.captions.tables import Tables, load_tables
from lora_tui.captions.tokens import sd15_tokens
from lora_tui.errors import UserError
from lora_tui.project import Project

if TYPE_CHECKING:
    from lora_tui.captions.query import Context as QueryContext
    from lora_tui.captions.transaction import Session
    from lora_tui.config.schema import DataSection
    from lora_tui.dataset.filter_facts import FilterFacts


class Asking:
    """The answers for one session; :attr:`problems` are what could not be read for them."""

    def __init__(
        self, session: Session, data: DataSection, *, trigger: str = "", shuffle: bool | None = None, limit: int = 75
    ) -> None:
        """``data`` says the buckets; ``limit`` is how many tokens the text encoder sees."""
        self._session, self._data = session, data
        self.corpus = session.corpus
        self.trigger = trigger
        self.token_limit = limit
        self.problems: list[UserError] = []
        self.folder = session.home / ".lora-tui"
        self.tables = self._tables()
        self.lists = self._lists()
        self.completer = Completer(self.corpus.index, self.lists)
        options = LintOptions(
            profile=self.corpus.profile,
            trigger=trigger,
            shuffle=shuffle,
            tokens=self.tokens,
            token_limit=limit,
            tables=self.tables,
        )
        self.linter = Linter(self.corpus, options)

    def take_trigger(self, word: str) -> None:
        """Another trigger word, which captions are checked for from now on."""
        self.trigger = word
        self.linter.use(replace(self.linter.options, trigger=word))

    def tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return sd15_tokens().count(text)

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
            category=self.category if len(self.lists) else None,
        )
        context.caption_of = lambda source: self.corpus.text_from(source, context.name)
        return context

    def query_context(self) -> QueryContext:
        """A context for filters.

        Raises:
            UserError: the saved filters cannot be read.
        """
        from lora_tui.captions.asking import context_for
        from lora_tui.captions.provenance import Provenance
        from lora_tui.captions.query import load_filters
        from lora_tui.tagging.filter_scores import FilterScores

        return context_for(
            self.corpus,
            trigger=self.trigger,
            facts=self._facts,
            history=Provenance(self._session),
            scores=FilterScores(self.corpus),
            category=self.category if len(self.lists) else None,
            tokens=self.tokens,
            lint=self.linter.codes,
            saved=load_filters(self.folder),
        )

    @cached_property
    def _facts(self) -> FilterFacts:
        from lora_tui.dataset.filter_facts import FilterFacts

        return FilterFacts(self.corpus.root, [entry.name for entry in self.corpus.entries], self._data)

    def _tables(self) -> Tables:
        try:
            return load_tables(self.folder)
        except UserError as error:
            self.problems.append(error)
            return Tables()

    def _lists(self) -> TagList:
        try:
            project = Project.find(self.corpus.root)
            return load_tag_list(installed_lists(None if project is None else project.root))
        except UserError as error:
            self.problems.append(error)
            return TagList()
