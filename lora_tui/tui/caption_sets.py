"""The captions of the project's datasets, opened beside its pictures: to filter, to count, to mend. Knows no widget.

Each is a look at one moment, opened anew when somebody asks again, so that it holds what was edited since.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lora_tui.captions.as_trained import rules_for
from lora_tui.captions.complete import Completer
from lora_tui.config.entries import settings_of
from lora_tui.tui.tags.editor import Editor

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Entry
    from lora_tui.config.schema import Config
    from lora_tui.project import Project

T = TypeVar("T")

LOOKED_SECONDS = 10.0
"""How long a look at every caption file holds: what writes a file beside it and renames it is seen at once."""


class CaptionSets:
    """The captions of every dataset folder; all methods may be called in a thread, one at a time."""

    def __init__(self, editors: tuple[Editor, ...]) -> None:
        self.editors = editors
        self._turn = threading.Lock()
        self._looked = time.monotonic()
        self._folders: tuple[str, ...] | None = None
        self._stamps: list[int] | None = None  # not known, of those that were not opened here

    @classmethod
    def open(cls, config: Config, project: Project | None) -> CaptionSets:
        """Read them.

        Raises:
            UserError: a folder or its journal cannot be read.
        """
        trigger = config.saving.trigger or (project.trigger if project else "")
        editors: list[Editor] = []
        try:
            first = {entry.path: number for number, entry in reversed([*enumerate(config.datasets)]) if entry.path}
            for root, number in reversed(first.items()):
                own = settings_of(config, number)
                editors.append(
                    Editor.open(
                        Path(root),
                        profile=rules_for(config, number).profile,
                        extensions=tuple(own.captions.extensions),
                        trigger=trigger,
                        shuffle=own.captions.shuffle,
                        data=own.data,
                    )
                )
        except BaseException:
            for editor in editors:
                editor.close()
            raise
        sets = cls(tuple(editors))
        sets._stamps = sets._stamps_now()
        return sets

    def are_current(self) -> bool:
        """Whether they still say what is on the disk; where they do not, they are opened anew.

        Journals and folders are looked at each time, every caption file now and then: a hundred thousand of them cost
        a third of a second.
        """
        with self._turn:
            if self._stamps_now() != self._stamps:
                return False
            if time.monotonic() - self._looked < LOOKED_SECONDS:
                return True
            looked = time.monotonic()
            if any(editor.foreign(range(len(editor.corpus.entries))) for editor in self.editors):
                return False
            self._looked = looked
            return True

    def _stamps_now(self) -> list[int]:
        """What another edit changes: the last transaction of each journal, and when each folder was changed."""
        if self._folders is None:
            names = ((str(one.corpus.root), entry.caption_name) for one in self.editors for entry in one.corpus.entries)
            self._folders = tuple(dict.fromkeys(f"{root}/{name.rpartition('/')[0]}" for root, name in names))
        return [*(editor.session.journal.last for editor in self.editors), *map(_changed, self._folders)]

    @property
    def completer(self) -> Completer | None:
        """Completes tags of the first dataset."""
        return self.editors[0].asking.completer if self.editors else None

    def select(self, text: str, should_stop: Callable[[], bool] = lambda: False) -> frozenset[str]:
        """The images that a filter finds, as texts of their paths; of no use once ``should_stop`` says yes.

        Raises:
            UserError: the filter is wrong.
        """
        found: set[str] = set()
        with self._turn:
            for editor in self.editors:
                entries, root = editor.corpus.entries, editor.corpus.root
                found.update(f"{root}/{entries[number].name}" for number in editor.select(text, should_stop) or ())
        return frozenset(found)

    def hint(self, text: str) -> str:
        """What may have been meant by a filter that finds nothing; empty when that cannot be said."""
        return next((said for editor in self.editors if (said := editor.hint_of_nothing(text))), "")

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many tags and how many tokens each caption has, by the text of its image's path."""
        tags: dict[str, int] = {}
        tokens: dict[str, int] = {}
        with self._turn:
            for editor in self.editors:
                for entry in editor.corpus.entries:
                    path = f"{editor.corpus.root}/{entry.name}"
                    tags[path] = len(entry.tags)
                    tokens[path] = editor.asking.most_tokens(entry.document.text) if entry.document else 0
        return tags, tokens

    def tag_counts(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, int]:
        """How many tags each caption has, by the text of its image's path; fewer captions once somebody stops it."""
        return self._each(lambda editor, entry: len(entry.tags), should_stop)

    def texts(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, str]:
        """The captions, by the text of the path of their image; fewer once somebody stops it."""
        return self._each(lambda editor, entry: editor.caption(entry.number), should_stop)

    def _each(self, said: Callable[[Editor, Entry], T], should_stop: Callable[[], bool]) -> dict[str, T]:
        with self._turn:
            return {
                f"{editor.corpus.root}/{entry.name}": said(editor, entry)
                for editor in self.editors
                for entry in takewhile(lambda _entry: not should_stop(), editor.corpus.entries)
            }

    def place_of(self, image: Path) -> tuple[Editor, int] | None:
        """The dataset that an image belongs to, and its number there."""
        for editor in self.editors:
            if image.is_relative_to(editor.corpus.root):
                number = editor.corpus.number_of(image.relative_to(editor.corpus.root).as_posix())
                if number is not None:
                    return editor, number
        return None

    def close(self) -> None:
        """Leave them; blocks until all is on disk."""
        for editor in self.editors:
            editor.close()


def _changed(folder: str) -> int:
    """When a file of a folder came, went or took another's place (ns); -1 where the folder is gone."""
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - there may be thousands
    except OSError:
        return -1
