"""What is done with images on the dataset screen: left out, reviewed, moved, thrown away, brought back. One key undoes.

The library does it all (``dataset.notes``, ``dataset.moves``); nothing here touches a file.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, bytes_text, count, ngettext, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskPath, Choice, Choose, Confirm

if TYPE_CHECKING:
    from lora_tui.dataset.moves import Move
    from lora_tui.dataset.notes import Notes
    from lora_tui.tui.screens.dataset import DatasetScreen

Back = Callable[[], str]
"""Takes an act back, in a thread; gives the words for it."""

Done = tuple[str, Back]
"""The words for what was done, and the way back."""

GONE = frozenset({"moves.unknown", "captions.no_transaction"})
"""Why an act can never be taken back; all other reasons may pass, so the key works again."""

EMPTY = ("", -1)
"""The choice in the list of the trash that empties it."""


class Acts:
    """The acts of a screen, and those that can be taken back, the last one first.

    Attributes:
        doing: how many are under way; what takes the last one back waits for them.
    """

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen
        self.backs: list[Back] = []
        self.doing = 0

    # -- doing

    def do(self, act: Callable[[], Done]) -> None:
        """Do something in a thread, remember the way back, and read the images again."""
        self.doing += 1

        async def job() -> None:
            try:
                await self.do_now(act)
            finally:
                self.doing -= 1
                self.screen.resume_keys()

        start_job(self.screen, job, "act", alone=False)

    async def do_now(self, act: Callable[[], Done]) -> None:
        """The same, and wait for it."""
        try:
            words, back = await in_thread(act)
        except Exception as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        self.backs.append(back)
        key = self.screen.shell.keymap.shown("dataset.undo")
        self.screen.tell(f"{words}   " + _("{key} undo").format(key=key), "success")
        self.screen.shell.rescan()

    def action_undo(self) -> None:
        if self.backs:  # taken from the list at once: the key may be pressed again before the first is done
            place = len(self.backs) - 1
            start_job(self.screen, partial(self._undo, self.backs.pop(), place), "act", alone=False)

    async def _undo(self, back: Back, place: int = -1) -> None:
        """Take an act back; one that could not be is kept at its place in the list, if it has one."""
        try:
            self.screen.tell(await in_thread(back), "success")
        except Exception as error:
            lasting = isinstance(error, UserError) and error.code in GONE
            if place >= 0 and isinstance(error, UserError | OSError) and not lasting:
                self.backs.insert(min(place, len(self.backs)), back)
            self.screen.tell(failure_words(self.screen.shell, error), "error")
        self.screen.shell.rescan()

    # -- notes

    def action_exclude(self) -> None:
        rows = self.screen.targets()
        out = not all(row.excluded for row in rows)
        paths = [row.path for row in rows if row.excluded is not out]
        if out:
            words = ngettext("{count} image left out", "{count} images left out", len(paths))
        else:
            words = ngettext("{count} image taken in again", "{count} images taken in again", len(paths))
        self.leave_out(paths, out=out, words=words.format(count=count(len(paths))))

    def leave_out(self, paths: Sequence[Path], *, out: bool, words: str) -> None:
        """Leave images out of training and export, or take them in again."""

        def change(notes: Notes, names: Sequence[str], there: bool) -> Notes:
            return notes.excluding(*names) if there else notes.including(*names)

        self.do(partial(self._noted, list(paths), out, change, words))

    def action_reviewed(self) -> None:
        rows = self.screen.targets()
        right = not all(row.reviewed for row in rows)
        paths = [row.path for row in rows if row.reviewed is not right]
        words = ngettext("{count} picture reviewed", "{count} pictures reviewed", len(paths))
        if not right:
            words = ngettext(
                "{count} picture to be reviewed again", "{count} pictures to be reviewed again", len(paths)
            )

        def change(notes: Notes, names: Sequence[str], there: bool) -> Notes:
            return notes.reviewing(*names, reviewed=there)

        self.do(partial(self._noted, paths, right, change, words.format(count=count(len(paths)))))

    def _noted(
        self, paths: list[Path], there: bool, change: Callable[[Notes, Sequence[str], bool], Notes], words: str
    ) -> Done:
        from lora_tui.dataset.noted import homes_for
        from lora_tui.dataset.notes import change_notes

        groups = list(homes_for(paths, self.home, away=not there).items())
        for home, names in groups:
            change_notes(home, lambda notes, names=names: change(notes, names, there))  # type: ignore[misc]

        def back() -> str:
            for home, names in groups:
                change_notes(home, lambda notes, names=names: change(notes, names, not there))  # type: ignore[misc]
            return _("undone: {act}").format(act=words)

        return words, back

    def keep_alike(self, paths: Sequence[Path]) -> None:
        """Note that these images are alike on purpose; the checks are silent then."""
        from lora_tui.dataset.notes import change_notes, name_in_notes

        home = self.home(paths[0])
        names = [name_in_notes(home, path) for path in paths]
        words = ngettext("{count} image may be alike", "{count} images may be alike", len(names))
        words = words.format(count=count(len(names)))

        def act() -> Done:
            change_notes(home, lambda notes: notes.keeping_alike(*names))
            return words, back

        def back() -> str:
            change_notes(home, lambda notes: notes.keeping_alike(*names, kept=False))
            return _("undone: {act}").format(act=words)

        self.do(act)

    # -- the review of duplicates

    def action_alike(self) -> None:
        self.screen.guide(self._review_alike)

    async def _review_alike(self) -> None:
        from lora_tui.tui.screens.dataset_alike import AlikeReview, groups_of

        images = self.screen.images  # as they were when the rows were made: meanwhile they may be compared
        groups = await in_thread(groups_of, list(self.screen.rows))
        if groups:
            self.screen.app.push_screen(AlikeReview(self, groups))
            return
        if images is not None and not images.decodable:
            self.screen.tell(_("So many images are compared by: lora-tui dataset duplicates"), "warning")
        elif images is None or not images.decoded:
            self.screen.tell(_("The images are still being compared."), "muted")
        else:
            self.screen.tell(_("No two images are the same or nearly the same."), "success")

    # -- moves

    def action_trash(self) -> None:
        stray = self._stray
        if stray is None:
            self.screen.guide(partial(self.ask_trash, [row.path for row in self.screen.targets()]))
        elif _is_named_as_image(stray):  # one that cannot be read goes with what belongs to it
            self.screen.guide(partial(self.ask_trash, [stray]))
        else:
            self._ask_stray(stray)

    @property
    def _stray(self) -> Path | None:
        """The file under the cursor where that is no image that can be read, and no image is marked."""
        here = self.screen.here
        if self.screen.has_targets or here is None or here.image is not None or not here.path.is_file():
            return None
        return here.path

    def _ask_stray(self, path: Path) -> None:
        """Ask, then put this very file into the trash."""
        from lora_tui.dataset import moves

        name = plain(path.name, limit=40)

        def answered(yes: bool | None) -> None:
            if yes:
                words = _("{name} is in the trash").format(name=name)
                self.do(partial(self._moved, [path], moves.set_aside, lambda _images: words))

        question = _("Put {name} into the trash?").format(name=name)
        detail = _("It belongs to no image; it can be brought back.")
        self.screen.app.push_screen(Confirm(question, detail, yes=_("into the trash")), answered)

    async def ask_trash(self, paths: Sequence[Path], then: Callable[[], object] = lambda: None) -> None:
        """Ask once, with the number of files, then put images and what belongs to them into the trash."""
        from lora_tui.dataset import moves

        def look() -> int:
            return sum(len(moves.files_with(home, some)) for home, some in self.by_home(paths))

        try:
            files = await in_thread(look)
        except UserError as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        question = ngettext("Put {count} image into the trash?", "Put {count} images into the trash?", len(paths))
        detail = ngettext(
            "{count} file with its caption and what else belongs to it; it can be brought back.",
            "{count} files with captions and what else belongs to the images; they can be brought back.",
            files,
        )
        if len(paths) == 1:
            detail = plain(paths[0].name, limit=60) + "\n" + detail

        def words(number: int) -> str:
            text = ngettext("{count} image in the trash", "{count} images in the trash", number)
            return text.format(count=count(number))

        def answered(yes: bool | None) -> None:
            if yes:
                self.do(partial(self._moved, list(paths), moves.trash, words))
                then()

        dialog = Confirm(
            question.format(count=count(len(paths))), detail.format(count=count(files)), yes=_("into the trash")
        )
        self.screen.app.push_screen(dialog, answered)

    def action_move(self) -> None:
        paths = [row.path for row in self.screen.targets()]
        title = ngettext("Move {count} image to which folder?", "Move {count} images to which folder?", len(paths))
        detail = _("Captions and what else belongs to the images go along. A folder that is missing is made.")

        def answered(target: Path | None) -> None:
            if target is not None:
                from lora_tui.dataset import moves

                def words(number: int) -> str:
                    text = ngettext("{count} image moved to {folder}", "{count} images moved to {folder}", number)
                    return text.format(count=count(number), folder=plain(target.name, limit=30))

                self.do(partial(self._moved, paths, lambda home, some: moves.move(home, some, target), words))

        dialog = AskPath(
            title.format(count=count(len(paths))),
            self.roots()[0],
            detail=detail,
            folders_only=True,
            must_exist=False,
            accept=_("move"),
        )
        self.screen.app.push_screen(dialog, answered)

    def _moved(
        self, paths: list[Path], move: Callable[[Path, Sequence[Path]], Move], words: Callable[[int], str]
    ) -> Done:
        from lora_tui.dataset import moves

        done: list[tuple[Path, int]] = []
        images = 0

        def back() -> str:
            while done:  # one that fails stays, and can be taken back later
                home, number = done[-1]
                _require_whole(moves.take_back(home, number))
                done.pop()
            return _("undone: {act}").format(act=words(images))

        failed: list[tuple[str, str]] = []
        try:
            for home, some in self.by_home(paths):
                one = move(home, some)
                if one.pairs:
                    done.append((home, one.number))
                images += one.images
                failed += one.failed
        except UserError:
            with contextlib.suppress(UserError):
                back()  # all or none of the datasets
            raise
        if not done:
            place, reason = failed[0] if failed else ("", "")
            message = _("Nothing is moved: {reason}.").format(reason=plain(reason))
            if not failed:
                message = _("The images lie there already; nothing is moved.")
            raise UserError(message, place=plain(place), code="moves.nothing")
        return _told(words(images), failed), back

    # -- the trash

    def action_trash_list(self) -> None:
        self.screen.guide(self._list_trash)

    async def _list_trash(self) -> None:
        from lora_tui.dataset import moves

        homes = self.homes()

        def look() -> list[tuple[Path, Move]]:
            found = [(home, one) for home in homes for one in moves.in_trash(home)]
            return sorted(found, key=lambda pair: -pair[1].created)

        lying = await in_thread(look)
        if not lying:
            self.screen.tell(_("The trash is empty."), "muted")
            return
        choices = [Choice((str(home), one.number), _named(one), _remark(one)) for home, one in lying]
        choices.append(Choice(EMPTY, _("Empty the trash"), _("deletes all of it for good")))

        def answered(value: tuple[str, int] | None) -> None:
            if value == EMPTY:
                self._ask_empty(homes, lying)
            elif value is not None:
                self._restore(Path(value[0]), value[1])

        self.screen.app.push_screen(Choose(_("Trash"), choices, accept=_("bring back")), answered)

    def _restore(self, home: Path, number: int) -> None:
        start_job(self.screen, partial(self._undo, partial(_restored, home, number)), "act", alone=False)

    def _ask_empty(self, homes: Sequence[Path], lying: Sequence[tuple[Path, Move]]) -> None:
        from lora_tui.dataset import moves

        files = sum(len(one.pairs) for _home, one in lying)
        question = ngettext("Delete {count} file for good?", "Delete {count} files for good?", files)

        def empty() -> str:
            freed = sum(moves.empty_trash(home) for home in homes)
            return _("The trash is empty: {size} are free again.").format(size=bytes_text(freed))

        def answered(yes: bool | None) -> None:
            if yes:
                self.backs.clear()  # some of them may have led to what is gone now
                start_job(self.screen, partial(self._undo, empty), "act", alone=False)

        detail = _("Nothing brings them back.")
        self.screen.app.push_screen(Confirm(question.format(count=count(files)), detail, yes=_("delete")), answered)

    # -- which dataset

    def roots(self) -> list[Path]:
        """The folders of the datasets."""
        config = self.screen.workspace.config
        found = [Path(entry.path) for entry in config.datasets if entry.path] if config is not None else []
        return found or [self.screen.workspace.root]

    def home(self, path: Path) -> Path:
        """Whose notes and trash an image has: the nearest folder with some, else its dataset's own."""
        from lora_tui.captions.journal.log import home_of

        found = home_of(path.parent)
        if found != path.parent:
            return found
        roots = [root for root in self.roots() if path.is_relative_to(root)]
        return home_of(max(roots, key=lambda root: len(root.parts))) if roots and not _has_home(found) else found

    def homes(self) -> list[Path]:
        """All of them."""
        from lora_tui.captions.journal.log import home_of

        folders = {row.path.parent for row in self.screen.rows if row.image is not None}
        found = [home_of(root) for root in self.roots()] + [self.home(folder / "x") for folder in sorted(folders)]
        return list(dict.fromkeys(found))

    def by_home(self, paths: Iterable[Path]) -> Iterator[tuple[Path, list[Path]]]:
        """Images by the dataset that they belong to."""
        groups: dict[Path, list[Path]] = {}
        for path in paths:
            groups.setdefault(self.home(path), []).append(path)
        yield from groups.items()

    def refusal(self, name: str) -> str:
        """Why something cannot be done now."""
        if name == "undo" and not self.backs:
            key = self.screen.shell.keymap.shown("dataset.trash-list")
            return _("Nothing was done since the start. {key} opens the trash of before.").format(key=key)
        if name == "trash" and self._stray is not None:
            return ""
        if name in ("exclude", "reviewed", "trash", "move", "fix", "crop") and not self.screen.has_targets:
            return _("There is no picture here.")
        return ""


def _is_named_as_image(path: Path) -> bool:
    from lora_tui.dataset.scan import IMAGE_SUFFIXES, OTHER_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES | OTHER_SUFFIXES


def _has_home(folder: Path) -> bool:
    from lora_tui.captions.journal.log import HOME

    return (folder / HOME).is_dir()


def _restored(home: Path, number: int) -> str:
    from lora_tui.dataset import moves

    done = moves.take_back(home, number)
    _require_whole(done)
    words = ngettext("{count} image brought back", "{count} images brought back", done.images)
    return words.format(count=count(done.images))


def _require_whole(done: Move) -> None:
    """Say what could not be brought back.

    Raises:
        UserError: there is such; the rest is back where it was.
    """
    from lora_tui.dataset.moves import brought_back

    if not done.failed:
        return
    name, reason = next((one for one in done.failed if one[0].rpartition("/")[2] not in one[1]), done.failed[0])
    number = brought_back(done)
    text = ngettext(
        "{name} is not back: {reason}. {count} image is.", "{name} is not back: {reason}. {count} images are.", number
    )
    raise UserError(
        text.format(name=plain(name.rpartition("/")[2], limit=40), reason=plain(reason), count=count(number)),
        remedy=_("Move away what is in its place, then undo again."),
        code="moves.stuck",
    )


def _told(words: str, failed: Sequence[tuple[str, str]]) -> str:
    if not failed:
        return words
    name, reason = failed[0]
    text = ngettext(
        "{name} stayed where it was: {reason}",
        "{name} and others, {count} in all, stayed where they were: {reason}",
        len(failed),
    )
    return words + ". " + text.format(name=plain(name, limit=40), count=count(len(failed)), reason=plain(reason))


def _named(one: Move) -> str:
    name = plain(one.pairs[0][0].rpartition("/")[2], limit=40) if one.pairs else ""
    if one.images <= 1:
        return name
    return _("{name} and {number} more").format(name=name, number=one.images - 1)


def _remark(one: Move) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created))
    files = ngettext("{count} file", "{count} files", len(one.pairs)).format(count=count(len(one.pairs)))
    return f"{when}  {files}"
