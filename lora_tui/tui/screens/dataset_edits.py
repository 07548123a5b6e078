"""One edit of the captions of several datasets: written in all of them or in none, and taken back as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, count, plain
from lora_tui.tui.caption_sets import CaptionSets

if TYPE_CHECKING:
    from lora_tui.captions.transaction import Preview, Session
    from lora_tui.tui.screens.dataset_acts import Back
    from lora_tui.tui.tags.editor import Editor
    from lora_tui.tui.workspace import Workspace


@dataclass(frozen=True)
class Written:
    """What came of an edit.

    Attributes:
        done: the transactions, each by its dataset's folder and its number in the journal there.
        images: of which the caption was written; ``files`` counts each caption once.
        lost: how many captions are not as the edit wanted them.
        why: the reason for one of these.
    """

    done: tuple[tuple[str, int], ...] = ()
    images: int = 0
    files: int = 0
    lost: int = 0
    why: UserError | None = None

    @property
    def remark(self) -> str:
        """What is to be said behind the words for what was done; empty when all was."""
        return _(", ") + _("{count} could not be changed").format(count=count(self.lost)) if self.lost else ""

    def way_back(self, work: Workspace, words: str) -> Back:
        """What takes it back in a thread, and gives the words for that."""
        return partial(_taken_back, work, self.done, words)


def write_edits(work: Workspace, edits: Iterable[tuple[Editor, Preview]], author: str = "") -> Written:
    """Bring previews to disk; in a thread.

    Args:
        author: by whom the journal says it was; else the editor's.

    Raises:
        UserError: the journal of a dataset refused; then the others are taken back.
    """
    done: list[tuple[str, int]] = []
    images = files = lost = 0
    why: UserError | None = None
    try:
        for editor, found in edits:
            transaction = editor.session.apply(found, author or editor.author)
            editor.session.flush()
            if transaction.error is not None:
                raise transaction.error
            if transaction.record is not None:
                done.append((str(editor.corpus.root), transaction.record.number))
            images += found.images - len(transaction.lost)
            files += len(found.changes) - len(transaction.lost)
            lost += len(transaction.lost) + len(found.refused)
            for name in transaction.conflicts:
                why = _conflict(name)
            for name, reason in transaction.failures.items():
                why = _failure(name, reason)
    except BaseException:
        if done:
            _taken_back(work, done, "")
        raise
    return Written(tuple(done), images, files, lost, why)


def _taken_back(work: Workspace, done: Sequence[tuple[str, int]], words: str) -> str:
    """Take transactions back, whatever came after them; what was done last is undone, so that redo knows it.

    Raises:
        UserError: the captions cannot be read, or a journal refuses.
    """
    from lora_tui.captions.history import revert

    lost = 0
    if work.config is not None:
        sets = CaptionSets.open(work.config, work.project)
        try:
            for editor in sets.editors:
                for root, number in done:
                    if root == str(editor.corpus.root):
                        if _is_newest(editor.session, number):
                            (transaction,) = editor.session.undo(1, editor.author)
                        else:
                            transaction = revert(editor.session, number, editor.author)
                        editor.session.flush()
                        if transaction.error is not None:
                            raise transaction.error
                        lost += len(transaction.lost)
        finally:
            sets.close()
    return _("undone: {act}").format(act=words) + Written(lost=lost).remark


def _is_newest(session: Session, number: int) -> bool:
    """Whether undo would take back exactly this transaction, and all of it."""
    session.flush()
    back, _forward = session.journal.undo_and_redo()
    if not back or back[-1].number != number:
        return False
    changes = session.journal.load(back[-1])
    return bool(changes) and all(session.current(change.name) == change.after for change in changes)


def _conflict(name: str) -> UserError:
    message = _("another program changed it meanwhile; it was left as it is.")
    return UserError(message, place=plain(name), code="captions.conflict")


def _failure(name: str, reason: str) -> UserError:
    message = _("it cannot be written: {reason}.").format(reason=reason)
    return UserError(message, place=plain(name), code="captions.write")
