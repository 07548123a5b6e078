"""Review marks in the tag editor: which captions were found right, how many are left, and going on to the next.

The marks are told from the journal, in a thread: by what is reviewed here, and by what taggers and others change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext
from lora_tui.tui.tags.editor import AT_ONCE, Stretch
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

NONE: frozenset[int] = frozenset()


class Reviews:
    """Who was looked at.

    Attributes:
        marks: the images whose captions were found right, and that nobody else has changed since.
    """

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.marks = NONE
        self._looking = False
        self._counted: tuple[object, ...] = ()
        self._left = 0

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    @property
    def left(self) -> int:
        """How many captions of the list are not reviewed yet."""
        editor = self.screen.editor
        if editor is None:
            return 0
        key = (self.marks, editor.visible)  # both are replaced, never changed
        if not self._counted or any(one is not other for one, other in zip(key, self._counted, strict=True)):
            self._counted = key
            shown = editor.shown
            self._left = len(editor.visible) - len(self.marks if shown is None else self.marks & shown)
        return self._left

    def title(self) -> str:
        """What the title of the files says of reviews: nothing while nobody reviews."""
        return "  " + _("{count} to review").format(count=count(self.left)) if self.marks else ""

    def learn(self) -> None:
        """Another folder was opened: its marks are read, those of the old one are void."""
        self._take(NONE)
        self.follow()

    def follow(self) -> None:
        """See what the journal says since; nothing is read while it has not grown."""
        editor = self.screen.editor
        if editor is not None and not self._looking and editor.session.ledger.is_behind:
            self._looking = True
            start_job(self.screen, self._follow, "reviews", alone=False)

    async def _follow(self) -> None:
        try:
            await self._look(self.screen.editor)
        finally:
            self._looking = False

    async def _look(self, editor: Editor | None) -> None:
        if editor is None:
            return
        try:
            await in_thread(editor.session.ledger.follow_reviews)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        if editor is self.screen.editor:
            self._take(editor.session.ledger.reviewed)

    def _take(self, marks: frozenset[int]) -> None:
        if marks is self.marks:
            return
        first = bool(marks) != bool(self.marks)
        self.marks = marks
        self.screen.panes.show_reviews(columns=first)

    # -- actions

    def action_reviewed(self) -> None:
        """The captions of the scope are right; where all of them are marked so, the marks go."""
        stretch = self._editor.stretch(self.screen.panes.number)
        if stretch.numbers:
            start_job(self.screen, partial(self._review, stretch), "review", alone=False)

    async def _review(self, stretch: Stretch) -> None:
        editor, numbers = self._editor, stretch.numbers
        await self._look(editor)
        right = not self.marks.issuperset(numbers)
        work: Callable[[], Transaction] = partial(editor.session.review, numbers, editor.author, right=right)
        done = await in_thread(work) if len(numbers) > AT_ONCE else work()
        editor.under_way.append(done)
        await in_thread(done.finished.wait)
        await self._look(editor)
        if right:
            text = ngettext("{count} caption reviewed", "{count} captions reviewed", len(numbers))
        else:
            text = ngettext(
                "{count} caption not reviewed any more", "{count} captions not reviewed any more", len(numbers)
            )
        self._tell(text.format(count=count(len(numbers))))

    def action_next_unreviewed(self) -> None:
        self.screen.guide(self._next)

    async def _next(self) -> None:
        await self._look(self._editor)
        marks = self.marks
        self.screen.finding.go(1, lambda number: number not in marks, _("Every caption of the list was reviewed."))

    def _tell(self, done: str) -> None:
        left = _("{count} to review").format(count=count(self.left))
        self.screen.tell(f"{done}   {left}", "success")
