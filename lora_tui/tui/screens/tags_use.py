"""Which files of the tag editor are images in use, as the dataset screen counts them, and which are not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lora_tui.text import _, count, ngettext
from lora_tui.tui.tags.editor import AT_ONCE
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.virtual_list import VirtualList

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor
    from lora_tui.tui.workspace import Images


class InUse:
    """The files that are left out or cannot be read; looked for once for each reading of the images."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._of: tuple[object, ...] = ()
        self._unused: frozenset[int] = frozenset()
        self._left_out = 0

    @property
    def unused(self) -> frozenset[int]:
        """Their numbers; none while nobody knows."""
        editor, images = self.screen.editor, self.screen.workspace.images
        if editor is None or images is None:
            return frozenset()
        now = id(images), id(editor), len(editor.corpus.entries)
        if self._of != now:
            self._of, self._unused, self._left_out = now, frozenset(), 0
            if len(editor.corpus.entries) > AT_ONCE:
                start_job(self.screen, partial(self._learn, editor, images), "in-use")
            else:
                self._unused, self._left_out = _unused(editor, images)
        return self._unused

    async def _learn(self, editor: Editor, images: Images) -> None:
        self._unused, self._left_out = await in_thread(_unused, editor, images)
        if (files := self.screen.query_one_optional("#files", VirtualList)) is not None:
            files.reload()
            self.screen.say()

    def words(self) -> str:
        """How many images there are, and how many of them are used, where that is not all."""
        editor, unused = self.screen.editor, len(self.unused)
        if editor is None or not unused:
            return ""
        total, out = len(editor.corpus.entries), self._left_out
        parts = [ngettext("{count} image", "{count} images", total).format(count=count(total))]
        parts.append(_("{count} used").format(count=count(total - unused)))
        if out:
            parts.append(ngettext("{count} left out", "{count} left out", out).format(count=count(out)))
        if unused > out:
            parts.append(_("{count} unreadable").format(count=count(unused - out)))
        return _(", ").join(parts)

    def remark(self, numbers: Iterable[int]) -> str:
        """How many of some files are not in use, as a sentence; empty where all are."""
        unused = len(self.unused.intersection(numbers))
        text = ngettext(
            "{count} of them is left out or cannot be read.", "{count} of them are left out or cannot be read.", unused
        )
        return text.format(count=count(unused)) if unused else ""


def _unused(editor: Editor, images: Images) -> tuple[frozenset[int], int]:
    """The numbers of the files that are not used, and how many of them a person left out."""
    entries, root = editor.corpus.entries, f"{editor.corpus.root}/"
    used = {path for image in images.scan.images if (path := str(image.path)).startswith(root)}
    if len(used) in (0, len(entries)):
        return frozenset(), 0
    left_out = {str(image.path) for image in images.scan.excluded}
    unused = {number: root + entry.name for number, entry in enumerate(entries) if root + entry.name not in used}
    return frozenset(unused), len(left_out.intersection(unused.values()))
