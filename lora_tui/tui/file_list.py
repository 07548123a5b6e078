"""The rows of the dataset screen, ready to be found among: a hundred thousand of them cost a key some milliseconds.

Made in a thread: whatever asks every row for something in Python is done here once. No widget.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from lora_tui.tui.file_orders import Measures, order_of
from lora_tui.tui.file_rows import FileRow


class FileList:
    """Some rows, by number.

    Attributes:
        rows: all of them, ordered by name.
    """

    def __init__(self, rows: Sequence[FileRow] = ()) -> None:
        self.rows = tuple(rows)
        self._keys = [row.key for row in self.rows]
        self._texts = [str(row.path) for row in self.rows]
        self._numbers = {row.path: number for number, row in enumerate(self.rows)}
        self._wrong = bytes(row.wrong for row in self.rows)
        self._counted = bytes(row.counted for row in self.rows)
        self._all = list(range(len(self.rows)))
        self._totals = sum(self._counted), sum(self._wrong)
        self._arranged: dict[tuple[str, bool], list[int]] = {("name", False): self._all}

    def number(self, path: Path | None) -> int | None:
        """The number of a file's row, none where there is none."""
        return self._numbers.get(path) if path is not None else None

    def has_image(self, path: Path) -> bool:
        """Whether a row shows the image at ``path``."""
        number = self._numbers.get(path)
        return number is not None and self.rows[number].image is not None

    def images_of(self, numbers: Iterable[int]) -> set[Path]:
        """The paths of those rows that show an image."""
        rows = self.rows
        return {rows[number].path for number in numbers if rows[number].image is not None}

    def of(self, paths: Iterable[Path]) -> list[FileRow]:
        """The rows of files, in the order of their names."""
        numbers = [number for path in paths if (number := self._numbers.get(path)) is not None]
        return [self.rows[number] for number in sorted(numbers)]

    def place(self, path: Path | None, shown: Sequence[int], other: int) -> int:
        """Where a file stands among the rows ``shown``; ``other`` where it does not."""
        number = self.number(path)
        if number is None:
            return other
        try:
            return shown.index(number)
        except ValueError:
            return other

    def tally(self, shown: Sequence[int]) -> tuple[int, int]:
        """How many of the rows ``shown`` are images that are trained, and how many should be looked at."""
        if len(shown) == len(self.rows):
            return self._totals
        return sum(map(self._counted.__getitem__, shown)), sum(map(self._wrong.__getitem__, shown))

    def arrange(self, order: str, backwards: bool, measures: Measures) -> list[int]:
        """All numbers in an order, by what is measured now; :meth:`select` uses it from then on.

        For many rows this takes long: call it in a thread before.
        """
        if order == "name":
            found = self._all[::-1] if backwards else self._all
        else:
            key = order_of(order).key
            values = [key(row, measures) for row in self.rows]
            found = [number for number in self._all if values[number] is not None]
            found.sort(key=values.__getitem__, reverse=backwards)  # type: ignore[arg-type]
            found += [number for number in self._all if values[number] is None]
        self._arranged[order, backwards] = found
        return found

    def select(
        self,
        *,
        words: str = "",
        found: Collection[str] | None = None,
        only_problems: bool = False,
        order: str = "name",
        backwards: bool = False,
        measures: Measures | None = None,
    ) -> list[int]:
        """The numbers of some rows in an order; not to be changed.

        Args:
            words: rows whose name has every one of them are shown, beside those of ``found``.
            found: paths as texts; without words, and where there are none, all rows are shown.
            only_problems: of those, the ones that a person should look at.
        """
        numbers = self._arranged.get((order, backwards))
        if numbers is None:
            numbers = self.arrange(order, backwards, measures or Measures())
        if wanted := words.casefold().split():
            numbers = self._named(wanted, found or (), numbers)
        elif found is not None:
            texts = self._texts
            numbers = [number for number in numbers if texts[number] in found]
        if only_problems:
            wrong = self._wrong
            numbers = [number for number in numbers if wrong[number]]
        return numbers

    def _named(self, words: Sequence[str], found: Collection[str], numbers: list[int]) -> list[int]:
        """Those of ``numbers`` whose name has every word, and those of ``found``."""
        keys, named = self._keys, numbers
        for word in words:
            named = [number for number in named if word in keys[number]]
        if not found or len(named) == len(numbers):
            return named
        hits, texts = set(named), self._texts
        return [number for number in numbers if number in hits or texts[number] in found]
