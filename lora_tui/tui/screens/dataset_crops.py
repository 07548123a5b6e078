"""Parts of images chosen by hand: which images, what was chosen since somebody began, its writing and its way back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Box, Size
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.threads import in_thread, start_job

if TYPE_CHECKING:
    from lora_tui.dataset.notes import Crop
    from lora_tui.tui.file_rows import FileRow
    from lora_tui.tui.screens.dataset import DatasetScreen


class Crops:
    """What is chosen, by image. ``choose`` is called on the loop, ``write`` in a thread; both may be at once."""

    def __init__(self, home: Callable[[Path], Path]) -> None:
        """``home`` says in whose notes an image is."""
        self._home = home
        self._guard = threading.Lock()
        self._turn = threading.Lock()  # one writes after the other, else an older part may be written last
        self._before: dict[Path, Box | None] = {}
        self._now: dict[Path, Box | None] = {}
        self._sizes: dict[Path, Size] = {}
        self._unwritten: set[Path] = set()
        self._refused: frozenset[Path] = frozenset()

    # -- on the loop

    def of(self, row: FileRow) -> Box | None:
        """The part of an image that is chosen; none for the whole."""
        return self._now[row.path] if row.path in self._now else self.before(row)

    def before(self, row: FileRow) -> Box | None:
        """What was chosen of it before."""
        return row.image.crop if row.image is not None else None

    def choose(self, row: FileRow, box: Box | None) -> None:
        """Use another part of an image, or all of it; written by :meth:`write`."""
        if row.image is None:
            return
        facts = row.image.facts
        with self._guard:
            self._before.setdefault(row.path, row.image.crop)
            self._sizes[row.path] = Size(facts.width, facts.height)
            self._now[row.path] = box
            self._unwritten.add(row.path)

    @property
    def chosen(self) -> int:
        """How many images have another part than before."""
        return sum(box != self._before[path] for path, box in self._now.items())

    @property
    def waiting(self) -> int:
        """How many parts are not written, though that was tried."""
        return len(self._refused)

    # -- in a thread

    def write(self) -> None:
        """Write what is not written yet.

        Raises:
            UserError: the notes of a dataset cannot be written; what they should say is tried again next time. Or an
                image is another one by now, or gone: its part is forgotten (``image.changed``).
        """
        with self._turn:
            with self._guard:
                wanted = {path: self._now[path] for path in self._unwritten}
                self._unwritten = set()
            others = [path for path, box in wanted.items() if box is not None and not self._is_there(path)]
            for path in others:
                del wanted[path]
            try:
                self._note(wanted)
                self._refused = frozenset()
            except BaseException:
                with self._guard:
                    self._unwritten |= set(wanted)
                self._refused = frozenset(wanted)
                raise
            if others:
                with self._guard:
                    for path in others:
                        self._now[path] = self._before[path]
                raise UserError(
                    _("The image was changed or moved away, so its part is not noted."),
                    place=plain(others[0].name),
                    remedy=_("Go back and read the images again."),
                    code="image.changed",
                )

    def _is_there(self, path: Path) -> bool:
        """Whether the image still has the size that its part was chosen in."""
        from lora_tui.dataset.facts import read_facts

        try:
            facts = read_facts(path)
        except UserError:
            return False
        return Size(facts.width, facts.height) == self._sizes[path]

    def finish(self) -> tuple[str, Callable[[], str]]:
        """Write the rest; the words for all that was done, and the way back.

        Raises:
            UserError: as :meth:`write`.
        """
        problem: UserError | None = None
        try:
            self.write()
        except UserError as error:
            if error.code != "image.changed":
                raise
            problem = error
        changed = {path: box for path, box in self._before.items() if self._now[path] != box}
        if problem is not None and not changed:
            raise problem
        whole = sum(self._now[path] is None for path in changed)
        cropped = len(changed) - whole
        parts = []
        if cropped:
            parts.append(ngettext("{count} image cropped", "{count} images cropped", cropped))
        if whole:
            parts.append(ngettext("{count} image used whole again", "{count} images used whole again", whole))
        numbers = [number for number in (cropped, whole) if number]
        words = _(", ").join(part.format(count=count(number)) for part, number in zip(parts, numbers, strict=True))

        def back() -> str:
            with self._turn:
                self._note(changed)
            return _("undone: {act}").format(act=words)

        return words, back

    def _note(self, wanted: dict[Path, Box | None]) -> None:
        from lora_tui.dataset.notes import change_notes, name_in_notes

        homes: dict[Path, dict[str, Crop | None]] = {}
        for path, box in wanted.items():
            home = self._home(path)
            homes.setdefault(home, {})[name_in_notes(home, path)] = self._crop(path, box)
        for home, crops in homes.items():
            change_notes(home, lambda notes, crops=crops: notes.with_crops(crops))  # type: ignore[misc]

    def _crop(self, path: Path, box: Box | None) -> Crop | None:
        from lora_tui.dataset.notes import Crop

        return Crop(box, self._sizes[path]) if box is not None else None


def size_of(row: FileRow) -> Size:
    """The size of an image, px as it is shown."""
    facts = row.image.facts if row.image is not None else None
    return Size(facts.width, facts.height) if facts is not None else Size(1, 1)


class Cropping:
    """The door from the dataset screen."""

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen

    def action_crop(self) -> None:
        """The marked images one after the other, else all that the list shows from the one under the cursor on."""
        from lora_tui.tui.screens.dataset_crop import CropScreen

        screen, marks = self.screen, self.screen.finding.marks
        shown = [screen.rows[number] for number in screen.shown]
        rows = [row for row in shown if row.image is not None and (not marks or row.path in marks)]
        if not rows:  # those that are marked are not shown
            rows = screen.targets()
        here = screen.here.path if screen.here is not None else None
        start = next((at for at, row in enumerate(rows) if row.path == here), 0)
        crops = Crops(screen.acts.home)

        def left(last: Path | None) -> None:
            if crops.chosen:
                screen.acts.do(crops.finish)
            else:  # what was chosen and taken back again may not be written yet
                start_job(screen, partial(self._write, crops), "act", alone=False)
            if last is not None:
                screen.select(last)

        data = screen.workspace.config.data if screen.workspace.config is not None else None
        screen.app.push_screen(CropScreen(rows, start, crops, data), left)

    async def _write(self, crops: Crops) -> None:
        try:
            await in_thread(crops.write)
        except UserError as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
