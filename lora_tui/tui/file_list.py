"""The rows of the dataset screen, ready to be found among: a hundred thousand of them cost a key some milliseconds.

Made in a thread: whatever asks every row for something in Python is done here once. No widget.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import compress
from operator import and_, or_
from pathlib import Path

from lora_tui.background import courteous
from lora_tui.tui.file_orders import Measures, order_of
from lora_tui.tui.file_rows import FileRow


class FileList:
    """Some rows, by number.

    Attributes:
        rows: all of them, ordered by name.
    """

    def __init__(self, rows: Sequence[FileRow] = ()) -> None:
        self.rows = tuple(rows)
        self._keys = [row.key for row in courteous(self.rows)]
        self._texts = [str(row.path) for row in courteous(self.rows)]
        self._numbers = {row.path: number for number, row in enumerate(courteous(self.rows))}
        self._wrong = bytes(row.wrong for row in courteous(self.rows))
        self._counted = bytes(row.counted for row in courteous(self.rows))
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

    def first_image(self, shown: Sequence[int]) -> int:
        """Where the first image stands among the rows ``shown``, past folders that are only there for what is said of
        them; 0 where there is none."""
        return next((place for place, number in enumerate(shown) if self.rows[number].image is not None), 0)

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
            return self._in_order(self._named(wanted, found or ()), numbers, only_problems)
        if found is not None:
            return self._in_order(map(found.__contains__, self._texts), numbers, only_problems)
        return self._in_order(self._wrong, numbers, False) if only_problems else numbers

    def _named(self, words: Sequence[str], found: Collection[str]) -> Iterable[bool]:
        """Whether each row's name has every word, or ``found`` has it."""
        keys = self._keys
        named: list[bool] = [words[0] in key for key in keys]
        for word in words[1:]:
            named = [here and word in key for here, key in zip(named, keys, strict=True)]
        return map(or_, named, map(found.__contains__, self._texts)) if found else named

    def _in_order(self, fits: Iterable[int], numbers: list[int], only_problems: bool) -> list[int]:
        """Those of ``numbers`` that fit; ``fits`` says so in the order of the rows, which is quickest to go through."""
        if only_problems:
            fits = map(and_, fits, map(bool, self._wrong))
        if numbers is self._all:
            return list(compress(numbers, fits))
        flags = bytes(fits)
        return [number for number in numbers if flags[number]]
