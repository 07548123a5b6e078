"""Which captions have which tag: counts and postings, kept up to date by each edit. Knows tags and numbers, no files.

Postings are packed arrays (four bytes a caption) until a tag is asked for or loses a caption; then they become a
set, which is quick to combine and to change. Sets cost twenty times as much, so they are packed again when there are
many of them and nobody is editing.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence, Set
from itertools import chain, compress, count
from operator import ne
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_tui.captions.vocabulary import Vocabulary

_LOOSE_LIMIT = 1_500_000
"""Postings that may lie in sets at once: about 100 MB."""
_FEW = 16
"""Tags among which looking at each is quicker than a set."""


class Index:
    """The inverted index of a dataset's captions.

    A tag counts once for each caption that has it, however often it stands there. Tags are told apart to the letter;
    :class:`~lora_tui.captions.vocabulary.Vocabulary` knows which differ in spelling alone.
    """

    def __init__(self) -> None:
        self._postings: dict[str, array[int] | set[int]] = {}
        self._tags: dict[int, tuple[str, ...]] = {}
        self._loose = 0
        self._vocabulary: Vocabulary | None = None
        #: Rises when a tag appears or vanishes, not when a count changes.
        self.revision = 0

    def add(self, number: int, tags: Iterable[str]) -> tuple[str, ...]:
        """Note the tags of a caption that has none in the index yet.

        Returns:
            The tags in their order, interned, so that equal tags of all captions are one string.
        """
        kept = tuple(map(sys.intern, tags))
        once = kept if len(set(kept)) == len(kept) else tuple(dict.fromkeys(kept))
        if once:
            self._tags[number] = once
        postings = self._postings
        for tag in once:
            posting = postings.get(tag)
            if posting is None:
                postings[tag] = array("I", (number,))
                self.revision += 1
            elif type(posting) is set:
                posting.add(number)
            elif posting[-1] < number:  # type: ignore[index]
                posting.append(number)  # type: ignore[union-attr]
            else:
                self._loosened(tag).add(number)
        return kept

    def add_many(self, first: int, captions: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
        """As :meth:`add` for captions that are numbered from ``first`` on, higher than all before."""
        if self._loose:
            self.compact()  # so that every posting is an array, and a number goes at its end
        postings, known, intern, make, new = self._postings, self._tags, sys.intern, array, 0
        added = []
        for number, tags in enumerate(captions, first):
            kept = tuple(map(intern, tags))
            added.append(kept)
            if not kept:
                continue
            once = kept if len(set(kept)) == len(kept) else tuple(dict.fromkeys(kept))
            known[number] = once
            for tag in once:
                posting = postings.get(tag)
                if posting is not None:
                    posting.append(number)  # type: ignore[union-attr]
                else:
                    postings[tag] = make("I", (number,))
                    new += 1
        self.revision += new
        return added

    def restore(self, tags: dict[int, tuple[str, ...]], postings: dict[str, array[int]]) -> None:
        """Take what an index like this one held: the tags of captions, each once, and the captions of tags, packed."""
        self._tags, self._postings = tags, dict(postings)
        self.revision += len(postings)

    def packed(self, tag: str) -> array[int]:
        """The captions that have ``tag``, ascending; to be read only."""
        posting = self._postings.get(tag, ())
        return posting if isinstance(posting, array) else array("I", sorted(posting))

    def remove(self, number: int, tags: Iterable[str]) -> None:
        """Forget that a caption has ``tags``; those that it does not have are passed over."""
        gone = set(tags)
        old = self._tags.get(number, ())
        left = tuple(tag for tag in old if tag not in gone)
        if left:
            self._tags[number] = left
        else:
            self._tags.pop(number, None)
        for tag in old:
            if tag in gone:
                self._drop(tag, (number,))

    def replace(self, number: int, old: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
        """Note that a caption's tags were ``old`` and are ``new``; only what differs is touched.

        Returns:
            The new tags in their order, interned as by :meth:`add`.
        """
        return self.replace_many(((number, tuple(new)),))[0]

    def replace_many(self, captions: Iterable[tuple[int, tuple[str, ...]]]) -> list[tuple[str, ...]]:
        """Note the new tags of captions, each once; what it costs is what differs.

        Returns:
            For each caption its tags in their order, interned as by :meth:`add`.
        """
        known, intern = self._tags, sys.intern
        lost: defaultdict[str, list[int]] = defaultdict(list)
        come: defaultdict[str, list[int]] = defaultdict(list)
        added = []
        for number, wanted in captions:
            before = known.get(number, ())
            head = next(compress(count(), map(ne, before, wanted)), -1)
            rest = head + 1
            if head >= 0 and before[rest:] == wanted[rest:] and wanted[head] not in before:
                new = intern(wanted[head])  # one tag has another name, as most edits of many captions leave it
                known[number] = kept = (*before[:head], new, *before[rest:])
                lost[before[head]].append(number)
                come[new].append(number)
            elif head < 0 and len(before) == len(wanted):
                kept = before
            else:
                kept = self._compared(number, before, wanted, lost, come)
            added.append(kept)
        for tag, numbers in lost.items():
            self._drop(tag, numbers)
        for tag, numbers in come.items():
            self._note(tag, numbers)
        return added

    def _compared(
        self,
        number: int,
        before: tuple[str, ...],
        wanted: tuple[str, ...],
        lost: defaultdict[str, list[int]],
        come: defaultdict[str, list[int]],
    ) -> tuple[str, ...]:
        """As one round of :meth:`replace_many`, whatever differs; what goes and what comes is put into the two."""
        head, tail = _shared(before, wanted)
        gone, middle = before[head : len(before) - tail], tuple(map(sys.intern, wanted[head : len(wanted) - tail]))
        kept = before[:head] + middle + before[len(before) - tail :]
        if len(gone) + len(middle) > _FEW:
            went, new = set(gone).difference(middle), set(middle).difference(before)
        else:
            went, new = {tag for tag in gone if tag not in middle}, {tag for tag in middle if tag not in before}
        for tag in went:
            lost[tag].append(number)
        for tag in new if len(new) < 2 else [tag for tag in dict.fromkeys(middle) if tag in new]:
            come[tag].append(number)
        once = kept if len(before) - len(went) + len(new) == len(kept) else tuple(dict.fromkeys(kept))
        if once:
            self._tags[number] = once
        else:
            self._tags.pop(number, None)
        return kept

    def count(self, tag: str) -> int:
        """How many captions have ``tag``."""
        return len(self._postings.get(tag, ()))

    def postings(self, tag: str) -> Set[int]:
        """The captions that have ``tag``; to be read only, and only until the next change."""
        posting = self._postings.get(tag)
        if posting is None:
            return frozenset()
        if isinstance(posting, set):
            return posting
        if self._loose > _LOOSE_LIMIT:
            self.compact()
        return self._loosened(tag)

    def union(self, tags: Iterable[str]) -> set[int]:
        """The captions that have at least one of ``tags``."""
        wanted = {tag for tag in tags if tag in self._postings}
        found = [self._postings[tag] for tag in wanted]
        if sum(map(len, found)) > 3 * len(self._tags):
            return {number for number, own in self._tags.items() if not wanted.isdisjoint(own)}
        union: set[int] = set()
        for posting in found:  # one by one: no other thread could do anything while all of them are united at once
            union.update(posting)
        return union

    def tags(self) -> Collection[str]:
        """Every tag that some caption has, in the order in which they were first seen."""
        return self._postings.keys()

    def counts(self) -> dict[str, int]:
        """How many captions have each tag."""
        return {tag: len(posting) for tag, posting in self._postings.items()}

    def counts_in(self, numbers: Collection[int]) -> dict[str, int]:
        """How many of the captions ``numbers`` have each tag; tags that none of them has are left out."""
        chosen = numbers if isinstance(numbers, Set) else set(numbers)
        if 2 * len(chosen) <= len(self._tags):
            return self._counted(chosen)
        left_out = self._counted(number for number in self._tags if number not in chosen)
        found = ((tag, len(posting) - left_out.get(tag, 0)) for tag, posting in self._postings.items())
        return {tag: count for tag, count in found if count}

    def tags_of(self, number: int) -> tuple[str, ...]:
        """The tags of a caption, each once, in their order."""
        return self._tags.get(number, ())

    @property
    def captions(self) -> int:
        """How many captions have a tag."""
        return len(self._tags)

    def compact(self) -> None:
        """Pack every posting again; worth its tenths of a second after an edit of very many captions."""
        for tag, posting in self._postings.items():
            if isinstance(posting, set):
                self._postings[tag] = array("I", sorted(posting))
        self._loose = 0

    @property
    def vocabulary(self) -> Vocabulary:
        """The tags by their spelling, for searching among them."""
        if self._vocabulary is None:
            from lora_tui.captions.vocabulary import Vocabulary

            self._vocabulary = Vocabulary(self)
        return self._vocabulary

    def __len__(self) -> int:
        """How many different tags there are."""
        return len(self._postings)

    def __contains__(self, tag: object) -> bool:
        return tag in self._postings

    def _counted(self, numbers: Iterable[int]) -> Counter[str]:
        get = self._tags.get
        return Counter(chain.from_iterable(get(number, ()) for number in numbers))

    def _drop(self, tag: str, numbers: Sequence[int]) -> None:
        """Forget that these captions have ``tag``."""
        posting = self._postings[tag]
        if isinstance(posting, set):
            posting.difference_update(numbers)
        elif len(numbers) == 1 and posting[-1] == numbers[0]:
            posting.pop()
        else:
            self._loosened(tag).difference_update(numbers)
        if not self._postings[tag]:
            del self._postings[tag]
            self.revision += 1

    def _note(self, tag: str, numbers: Sequence[int]) -> None:
        """Note that these captions have ``tag``."""
        posting = self._postings.get(tag)
        if posting is None:
            self._postings[tag] = set(numbers)
            self._loose += len(numbers)
            self.revision += 1
        else:
            (posting if isinstance(posting, set) else self._loosened(tag)).update(numbers)

    def _loosened(self, tag: str) -> set[int]:
        posting = set(self._postings[tag])
        self._postings[tag] = posting
        self._loose += len(posting)
        return posting


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[int, int]:
    """How many tags both have in front, and how many of the others at the end."""
    most = min(len(one), len(other))
    head = next(compress(range(most), map(ne, one, other)), most)
    most -= head
    return head, next(compress(range(most), map(ne, reversed(one), reversed(other))), most)
