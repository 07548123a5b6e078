"""What is wrong with captions before a training, each with the operation that mends it where one can.

A caption is looked at again only when it has changed. Tags that look like misspellings of others depend on the whole
vocabulary: where tags have appeared or vanished, they are sought anew, in a large vocabulary by :meth:`Linter.seek` and
:meth:`Linter.all`; what is no longer so is never said.
Files beside the captions are looked at only by :meth:`Linter.everything`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lora_tui.captions.lint_rules import RULES, Found, Look, orphaned_caption
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.query.corpus import CorpusLike, EntryLike
from lora_tui.captions.tables import Tables

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Corpus

Severity = Literal["error", "warning"]

CUTTING = frozenset({"caption.tokens"})
"""Problems whose fix throws away tags that say something: it is for a person to ask for."""

QUICKLY = 2000
"""Tags of a vocabulary in which misspelled ones are sought in some 15 ms."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one caption.

    Attributes:
        number: of the entry; behind the last one for a file that belongs to none.
        code: a short stable name, such as ``trigger.missing``.
        message: what is wrong, one sentence.
        fix: the operation that mends it, none where only a person can.
        remedy: what to do, one sentence; empty when the fix says it all.
        file: the name of a file that belongs to no entry; empty else.
        severity: ``error`` when a trainer stops or reads something else than what was meant.
    """

    number: int
    code: str
    message: str
    fix: str | None = None
    remedy: str = ""
    severity: Severity = "warning"
    file: str = ""

    @property
    def mend(self) -> str:
        """The fix, unless it cuts away what only a person may give up; empty for none."""
        return self.fix or "" if self.code not in CUTTING else ""


@dataclass(frozen=True)
class LintOptions:
    """What captions are checked for.

    Attributes:
        profile: how the trainer reads them.
        trigger: the word that each should have in front; empty for none.
        shuffle: whether the trainer shuffles tags; none when that is not known.
        tokens: counts the tokens of a caption; none to leave that check out.
        token_limit: how many tokens the text encoder sees.
        tables: what the dataset says of its tags.
        ignored: codes that are not reported.
    """

    profile: Profile = OURS
    trigger: str = ""
    shuffle: bool | None = None
    tokens: Callable[[str], int] | None = None
    token_limit: int = 75
    tables: Tables = field(default_factory=Tables)
    ignored: frozenset[str] = frozenset()


class Linter:
    """The problems of a corpus, kept up to date at the cost of what has changed."""

    def __init__(self, corpus: CorpusLike, options: LintOptions | None = None) -> None:
        self.corpus = corpus
        self.options = options or LintOptions()
        self._known: dict[int, tuple[object, tuple[str, ...], tuple[Problem, ...]]] = {}
        self._revision = -1
        self._misspelled: dict[str, str] = {}
        self._names: tuple[int, dict[str, list[int]]] = (-1, {})

    def use(self, options: LintOptions) -> None:
        """Check for other things from now on."""
        self.options = options
        self._known.clear()

    def problems(self, number: int) -> tuple[Problem, ...]:
        """The problems of one caption, of the caption alone and of its tags among the others."""
        entry = self.corpus.entries[number]
        known = self._known.get(number)
        if known is None or known[0] is not entry.document or known[1] is not entry.tags:
            own = tuple(self._wanted(number, self._look(entry)))
            known = self._known[number] = (entry.document, entry.tags, own)
        among = tuple(self._wanted(number, self._among_others(entry)))
        return known[2] + among if among else known[2]

    def codes(self, number: int) -> Collection[str]:
        """The codes of :meth:`problems`, for the filter's ``is:lint`` and ``lint:CODE``."""
        return {problem.code for problem in self.problems(number)}

    def all(self, numbers: Iterable[int] | None = None) -> list[Problem]:
        """The problems of some captions, or of all, in the order of the captions."""
        chosen = range(len(self.corpus.entries)) if numbers is None else numbers
        self.seek()
        return [problem for number in chosen for problem in self.problems(number)]

    def everything(self, corpus: Corpus) -> list[Problem]:
        """The problems of all captions and of the files beside them, which are looked for on disk now."""
        from lora_tui.captions.beside import orphans, stale_caches

        beside = [Problem(number, *found) for number, found in stale_caches(corpus)]
        beside += [Problem(len(corpus.entries), *orphaned_caption(), file=name) for name in orphans(corpus)]
        wanted = [problem for problem in beside if problem.code not in self.options.ignored]
        return sorted([*self.all(), *wanted], key=lambda problem: problem.number)

    def _look(self, entry: EntryLike) -> Iterator[Found]:
        look = Look(entry, self.options)
        for rule in RULES:
            yield from rule(look)

    def _among_others(self, entry: EntryLike) -> Iterator[Found]:
        from lora_tui.captions.lint_rules import misspelled_tag, shared_caption
        from lora_tui.captions.misspelled import still_means

        index = self.corpus.index
        if self._revision < 0 or (self.is_behind and len(index) <= QUICKLY):
            self.seek()
        meant = self._misspelled
        if meant and not meant.keys().isdisjoint(entry.tags):
            for tag in dict.fromkeys(entry.tags):
                if tag in meant and still_means(index, tag, meant[tag]):
                    yield misspelled_tag(tag, meant[tag], index)
        if len(others := self._sharing().get(entry.caption_name, ())) > 1:
            yield shared_caption([self.corpus.entries[other].name for other in others if other != entry.number])

    def _wanted(self, number: int, found: Iterable[Found]) -> Iterator[Problem]:
        ignored = self.options.ignored
        return (Problem(number, *one) for one in found if one.code not in ignored)

    @property
    def is_behind(self) -> bool:
        """Whether tags have appeared or vanished since misspelled ones were sought."""
        return self._revision != self.corpus.index.revision

    def seek(self) -> None:
        """Seek misspelled tags anew where the vocabulary is another: a tenth of a second in 10,000 tags."""
        from lora_tui.captions.misspelled import misspelled

        if self.is_behind:
            revision = self.corpus.index.revision
            self._misspelled, self._revision = misspelled(self.corpus.index), revision

    def _sharing(self) -> dict[str, list[int]]:
        entries: Sequence[EntryLike] = self.corpus.entries
        if self._names[0] != len(entries):
            sharing: dict[str, list[int]] = {}
            for entry in entries:
                sharing.setdefault(entry.caption_name, []).append(entry.number)
            self._names = len(entries), {name: numbers for name, numbers in sharing.items() if len(numbers) > 1}
        return self._names[1]


def lint(
    corpus: CorpusLike, profile: Profile = OURS, *, trigger: str = "", options: LintOptions | None = None
) -> list[Problem]:
    """The problems of all captions once; :class:`Linter` keeps them up to date."""
    return Linter(corpus, options or LintOptions(profile=profile, trigger=trigger)).all()
