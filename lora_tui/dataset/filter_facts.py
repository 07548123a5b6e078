"""What filters of captions ask of images: pixels, time of change, bucket, near-duplicates; each found out when asked.

The captions know no images; whoever filters them hands this in. Headers are read one by one; near-duplicates need the
pictures themselves, all of them, and are looked for once, when a filter first asks.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Size, buckets_for, fit_image
from lora_tui.dataset.facts import ImageFacts, read_facts
from lora_tui.dataset.notes import NotesBelow
from lora_tui.errors import UserError

if TYPE_CHECKING:
    from lora_tui.config.schema import DataSection


def _never() -> bool:
    return False


class FilterFact:
    """One image.

    Attributes:
        width, height: px, as shown.
        used: width and height of the part that is trained; the same unless a person chose a part.
        mtime: when the file was last changed, seconds since 1970.
    """

    def __init__(self, owner: FilterFacts, number: int, facts: ImageFacts) -> None:
        self._owner, self._number = owner, number
        self.width, self.height, self.mtime = facts.width, facts.height, facts.mtime_ns / 1e9
        self.used = owner.used(number, facts)

    @property
    def bucket(self) -> tuple[int, int]:
        """Width and height (px) that it is trained at."""
        return self._owner.bucket(*self.used)

    @property
    def duplicates(self) -> str:
        """The number of its group of near-duplicates, from 1, as text; empty when it has no like."""
        return self._owner.groups().get(self._number, "")


class FilterFacts:
    """The images of a folder by their numbers."""

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        data: DataSection,
        on_progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] = _never,
    ) -> None:
        """Looks at nothing yet.

        Args:
            names: relative to ``root``.
            data: says the buckets.
            on_progress: hears of pictures compared.
            should_stop: asked while pictures are compared; once it says yes, those not looked at yet stand alone, and
                the next who asks for the groups has them looked at.
        """
        self._root, self._names, self._data, self._on_progress = root, names, data, on_progress
        self._should_stop = should_stop
        self._buckets = buckets_for(data)
        self._notes = NotesBelow(root)
        self._headers: dict[int, ImageFacts | None] = {}
        self._groups: dict[int, str] | None = None

    def image(self, number: int) -> FilterFact | None:
        """The facts of an image; none when it cannot be read."""
        facts = self._facts(number)
        return None if facts is None else FilterFact(self, number, facts)

    def used(self, number: int, facts: ImageFacts) -> tuple[int, int]:
        """Width and height of the part of an image that is trained, px."""
        crop = self._notes.crop(self._names[number])
        if crop is None or crop.of != Size(facts.width, facts.height):
            return facts.width, facts.height
        return crop.box.width, crop.box.height

    def bucket(self, width: int, height: int) -> tuple[int, int]:
        """The bucket of an image of this size, px."""
        size = fit_image(width, height, self._data, self._buckets).bucket
        return size.width, size.height

    def noted(self) -> Callable[[int], Collection[str]]:
        """Gives what a person has noted of a picture, by what the notes say now: excluded, cropped, seen."""
        notes = NotesBelow(self._root)

        def of(number: int) -> list[str]:
            if number >= len(self._names):
                return []
            name = self._names[number]
            said = {"excluded": notes.excluded(name), "cropped": notes.crop(name), "seen": notes.reviewed(name)}
            return [word for word, holds in said.items() if holds]

        return of

    def groups(self) -> dict[int, str]:
        """The group of each image that has near-duplicates; decodes every image that was not decoded before."""
        if self._groups is None:
            found = self._grouped()
            if self._should_stop():
                return found
            self._groups = found
        return self._groups

    def _grouped(self) -> dict[int, str]:
        from lora_tui.dataset.scan import DatasetImage
        from lora_tui.dataset.similar import image_groups

        images = {
            number: DatasetImage(self._root / name, name, 0, 1, facts, None)
            for number, name in enumerate(self._names)
            if (facts := self._facts(number)) is not None
        }
        found = image_groups(list(images.values()), self._on_progress, self._should_stop)
        sizes = Counter(found.values())
        names: dict[int, str] = {}
        groups = {}
        for number, image in images.items():
            group = found[image.uid]
            if sizes[group] > 1:
                groups[number] = names.setdefault(group, str(len(names) + 1))
        return groups

    def _facts(self, number: int) -> ImageFacts | None:
        if number >= len(self._names):  # it has appeared since
            return None
        if number not in self._headers:
            try:
                self._headers[number] = read_facts(self._root / self._names[number])
            except UserError:
                self._headers[number] = None
        return self._headers[number]


class FactsWhenAsked:
    """The images of a folder for somebody who may never ask for them: nothing is made before that."""

    def __init__(self, make: Callable[[Callable[[], bool]], FilterFacts]) -> None:
        """``make`` is given what :class:`FilterFacts` takes as ``should_stop``."""
        self._make = make
        self._asking = threading.local()  # several may ask at once, each with a patience of its own
        self._made: FilterFacts | None = None

    def image(self, number: int) -> FilterFact | None:
        """The facts of an image; none when it cannot be read.

        Raises:
            UserError: what the facts are made of cannot be read.
        """
        return self._facts.image(number)

    def noted(self) -> Callable[[int], Collection[str]]:
        """Gives what a person has noted of a picture. Raises as :meth:`image`."""
        return self._facts.noted()

    @contextlib.contextmanager
    def until(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """What this thread asks within is of no use once ``should_stop`` says yes."""
        self._asking.should_stop = should_stop
        try:
            yield
        finally:
            self._asking.should_stop = _never

    def _should_stop(self) -> bool:
        return bool(getattr(self._asking, "should_stop", _never)())

    @property
    def _facts(self) -> FilterFacts:
        if self._made is None:
            self._made = self._make(self._should_stop)
        return self._made
