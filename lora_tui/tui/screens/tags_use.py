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

    @property
    def unused(self) -> frozenset[int]:
        """Their numbers; none while nobody knows."""
        editor, images = self.screen.editor, self.screen.workspace.images
        if editor is None or images is None:
            return frozenset()
        now = id(images), id(editor), len(editor.corpus.entries)
        if self._of != now:
            self._of, self._unused = now, frozenset()
            if len(editor.corpus.entries) > AT_ONCE:
                start_job(self.screen, partial(self._learn, editor, images), "in-use")
            else:
                self._unused = _unused(editor, images)
        return self._unused

    async def _learn(self, editor: Editor, images: Images) -> None:
        self._unused = await in_thread(_unused, editor, images)
        if (files := self.screen.query_one_optional("#files", VirtualList)) is not None:
            files.reload()
            self.screen.panes.show_titles()

    def title(self) -> str:
        """How many are in use, where that is not all."""
        editor, unused = self.screen.editor, len(self.unused)
        if editor is None or not unused:
            return ""
        return _(", ") + _("{count} in use").format(count=count(len(editor.corpus.entries) - unused))

    def remark(self, numbers: Iterable[int]) -> str:
        """How many of some files are not in use, as a sentence; empty where all are."""
        unused = len(self.unused.intersection(numbers))
        text = ngettext(
            "{count} of them is left out or cannot be read.", "{count} of them are left out or cannot be read.", unused
        )
        return text.format(count=count(unused)) if unused else ""


def _unused(editor: Editor, images: Images) -> frozenset[int]:
    entries, root = editor.corpus.entries, f"{editor.corpus.root}/"
    used = {path for image in images.scan.images if (path := str(image.path)).startswith(root)}
    if len(used) in (0, len(entries)):
        return frozenset()
    return frozenset(number for number, entry in enumerate(entries) if root + entry.name not in used)
