"""All captions of a folder of images in memory, with the index of their tags. Reads files, never writes one.

Every change goes through :meth:`Corpus.put`, which keeps tags, index and revision right. Two images with one stem
share a caption file: they change together. Of each file the bytes are kept; its text is read when somebody asks.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from lora_tui.background import uncollected
from lora_tui.captions.document import CaptionDocument, decoded
from lora_tui.captions.files import CAPTION_EXTENSIONS, IMAGE_SUFFIXES, with_dots
from lora_tui.captions.folders import Folder, look_of, natural, opened, read_bytes, trusted_look, walk
from lora_tui.captions.index import Index
from lora_tui.captions.masks import without_masks
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.snapshot import Snapshot, Stamps, is_worth, load, save, snapshot_path
from lora_tui.captions.view import tags_of
from lora_tui.errors import UserError
from lora_tui.text import _, plain

__all__ = ["CAPTION_EXTENSIONS", "IMAGE_SUFFIXES", "Corpus", "Entry", "natural", "read_bytes"]

_EVERY = 500
"""Images that are read at once, between two reports of progress."""


class _Reading:
    """What is known while a dataset is opened.

    Attributes:
        snapshot: what was read of it before; none when it is not known.
        stamps: what its files look like now.
        read: how many captions had to be read.
        matched: how many images are the same as in the snapshot, under the same numbers.
    """

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot
        self.stamps = Stamps()
        self.read = self.matched = 0


class Entry:
    """One image and its caption.

    Attributes:
        number: its place in the corpus.
        name: the image's path relative to the corpus, with ``/``.
        caption_name: the same for the caption file that is read, or that a new caption will get.
        document: what the caption file holds; none when there is no file, or none that can be read.
        tags: the names of its tags, as the trainer of the profile sees them.
        mtime_ns, size, look: the caption file's, as it was read; 0 without a file. For the last see
            :func:`lora_tui.captions.folders.look_of`; it is 0, too, where the file may have changed unseen.
        problem: why a caption file that is there cannot be read; such an entry is never changed.
    """

    __slots__ = (
        "_document",
        "_raw",
        "caption_name",
        "look",
        "mtime_ns",
        "name",
        "number",
        "problem",
        "root",
        "size",
        "tags",
    )

    def __init__(self, number: int, root: str, name: str, caption_name: str) -> None:
        self.number = number
        self.root = root
        self.name = name
        self.caption_name = caption_name
        self._document: CaptionDocument | None = None
        self._raw: bytes | None = None
        self.tags: tuple[str, ...] = ()
        self.mtime_ns = self.size = self.look = 0
        self.problem: UserError | None = None

    @property
    def caption(self) -> Path:
        """The caption file."""
        return Path(self.root, self.caption_name)

    @property
    def raw(self) -> bytes | None:
        """The bytes of the caption file, none when there is no file."""
        return self._raw

    @raw.setter
    def raw(self, raw: bytes | None) -> None:
        self._raw, self._document = raw, None

    @property
    def document(self) -> CaptionDocument | None:
        """What the file holds as text; made when it is first asked for."""
        if self._document is None and self._raw is not None:
            self._document = CaptionDocument.parse(self._raw)
        return self._document

    @document.setter
    def document(self, document: CaptionDocument | None) -> None:
        self._document, self._raw = document, None if document is None else document.raw


class Corpus:
    """The images below a folder, in natural order of their names, and their captions."""

    def __init__(self, root: Path, profile: Profile, extensions: Sequence[str], suffixes: Collection[str]) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - links stay as the person named them
        self.profile = profile
        self.extensions = with_dots(extensions)
        self.suffixes = frozenset(suffixes)
        self.entries: list[Entry] = []
        self.index = Index()
        #: Rises with every change of a caption.
        self.revision = 0
        #: False when opening was stopped before the end.
        self.complete = True
        #: How many caption files opening had to read, because nothing or another content was kept of them.
        self.files_read = 0
        self._by_name: dict[str, int] = {}
        self._stems: dict[str, int] = {}  # of names that no two images share
        self._stems_of = -1
        self._first: dict[str, int] = {}  # the first image of each caption file
        self._several: dict[str, list[int]] = {}  # all images of those that have more than one
        self._reading: _Reading | None = None  # while it is opened
        self._to_keep: tuple[Path, Stamps, int] | None = None  # where, and the revision that the stamps belong to

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        profile: Profile = OURS,
        extensions: Sequence[str] | None = None,
        suffixes: Collection[str] = IMAGE_SUFFIXES,
        on_progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Corpus:
        """Read the captions of all images below ``root``; hidden folders and those of runs are passed over.

        Where :meth:`keep` kept what was read before, only captions that changed since are read.

        Args:
            extensions: endings of caption files, the first that exists wins; by default those that the profile's
                trainer reads, then the usual ones, so that captions which it would not read are seen, too.
            on_progress: called with the number of images so far, now and then.
            should_stop: asked now and then; once it says yes, the corpus holds what was read until then.

        Raises:
            UserError: ``captions.folder`` when there is no such folder or it cannot be listed.
        """
        wanted = extensions or (*profile.extensions, *CAPTION_EXTENSIONS)
        corpus = cls(root, profile, tuple(dict.fromkeys(with_dots(wanted))), suffixes)
        path = snapshot_path(str(corpus.root), profile, corpus.extensions, sorted(corpus.suffixes))
        reading = corpus._reading = _Reading(None if path is None else load(path))
        corpus._open(on_progress, should_stop)
        corpus._reading = reading.snapshot = None
        corpus.files_read = reading.read
        if path is not None and corpus.complete and is_worth(reading.read, len(corpus.entries)):
            corpus._to_keep = path, reading.stamps, corpus.revision
        return corpus

    def keep(self) -> None:
        """Keep in the cache what was read, so that the next opening reads only what changed.

        To be called before any edit, when nobody waits; does nothing for datasets that are small or well known.
        """
        if self._to_keep is not None:
            path, stamps, revision = self._to_keep
            self._to_keep = None
            if revision == self.revision:
                save(path, self.entries, self.index, stamps)

    def _open(self, on_progress: Callable[[int], None] | None, should_stop: Callable[[], bool] | None) -> None:
        """Read everything; notes in the end the tags that a snapshot knew."""
        reading = self._reading
        assert reading is not None
        with uncollected():
            self._open_folders(on_progress, should_stop)
            if reading.snapshot is None:
                return
            if self.complete and reading.matched == len(self.entries) == len(reading.snapshot):
                reading.snapshot.fill(self.index, self.entries)
            else:
                self.index.add_many(0, (entry.tags for entry in self.entries))

    def _open_folders(self, on_progress: Callable[[int], None] | None, should_stop: Callable[[], bool] | None) -> None:
        for folder in self._walk():
            with opened(folder.path) as descriptor:
                for start in range(0, len(folder.files), _EVERY):
                    before = len(self.entries) // _EVERY
                    self._append(folder, folder.files[start : start + _EVERY], descriptor)
                    if len(self.entries) // _EVERY == before:
                        continue
                    if on_progress is not None:
                        on_progress(len(self.entries))
                    if should_stop is not None and should_stop():
                        self.complete = False
                        return

    @property
    def new_extension(self) -> str:
        """The ending of new captions: the profile's, unless only others are looked for."""
        wanted = self.profile.new_extension
        return wanted if wanted in self.extensions else self.extensions[0]

    def put(self, number: int, document: CaptionDocument | None) -> None:
        """Change a caption in memory; images that share the file change with it."""
        self.put_many(((number, document),))

    def put_many(
        self, changes: Iterable[tuple[int, CaptionDocument | None]], tags: Iterable[tuple[str, ...]] | None = None
    ) -> None:
        """The only way in which captions change in memory, each file once; images that share a file change with it.

        Args:
            tags: of the changes, where they are known.
        """
        entries, profile, several = self.entries, self.profile, self._several
        if tags is None:
            changes = list(changes)
            tags = (() if document is None else tags_of(document.text, profile) for _number, document in changes)
        changed: list[Entry] = []
        told: list[tuple[int, tuple[str, ...]]] = []
        for (number, document), own in zip(changes, tags, strict=True):
            for other in self.sharing(number) if several else (number,):
                entry = entries[other]
                entry._document, entry._raw = document, None if document is None else document.raw
                changed.append(entry)
                told.append((other, own))
        for entry, kept in zip(changed, self.index.replace_many(told), strict=True):
            entry.tags = kept
        self.revision += 1

    def stamp(self, number: int, mtime_ns: int, size: int, look: int) -> None:
        """Note what the caption file looks like on disk after it was written."""
        for other in self.sharing(number):
            entry = self.entries[other]
            entry.mtime_ns, entry.size, entry.look = mtime_ns, size, look

    def number_of(self, name: str) -> int | None:
        """The number of the image with this name (with its ending, or without when only one has it)."""
        if name in self._by_name:
            return self._by_name[name]
        if self._stems_of != len(self.entries):
            counted = Counter(other.rpartition(".")[0] for other in self._by_name)
            stems = ((other.rpartition(".")[0], number) for other, number in self._by_name.items())
            self._stems = {stem: number for stem, number in stems if counted[stem] == 1}
            self._stems_of = len(self.entries)
        return self._stems.get(name)

    def text_from(self, source: str, name: str) -> str | None:
        """The text of another caption: of the image ``source``, or of the image ``name`` by the ending ``source``.

        Returns:
            None when there is no such caption.

        Raises:
            UserError: ``captions.image``: there is no image of the name ``source``; ``caption.unreadable``.
        """
        if source.startswith(".") and "/" not in source:
            path = f"{self.root}/{name.rpartition('.')[0]}{source}"
            try:
                raw, _state = read_bytes(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                raise _unreadable(Path(path), error) from error
            return CaptionDocument.parse(raw).text
        number = self.number_of(source)
        if number is None:
            raise UserError(
                _("There is no such image in this folder."),
                place=plain(source),
                remedy=_("Name it as “captions list” does."),
                code="captions.image",
            )
        entry = self.entries[number]
        if entry.problem is not None:
            raise entry.problem
        return None if entry.document is None else entry.document.text

    @property
    def shares(self) -> bool:
        """Whether any two images have the same caption file."""
        return bool(self._several)

    def sharing(self, number: int) -> Sequence[int]:
        """The numbers of all images with the same caption file, this one included."""
        if not self._several:
            return (number,)
        return self._several.get(self.entries[number].caption_name, (number,))

    def refresh(self, numbers: Iterable[int] | None = None) -> list[int]:
        """See what other programs changed on disk.

        Args:
            numbers: look at these entries only; by default at all, and at images that are new, which come at the end.

        Returns:
            The numbers of entries whose caption is another than before, new ones included.
        """
        changed = []
        seen: set[str] = set()
        for number in range(len(self.entries)) if numbers is None else numbers:
            entry = self.entries[number]
            if entry.caption_name not in seen:
                seen.add(entry.caption_name)
                if self._refreshed(entry):
                    changed += list(self.sharing(number))
        if numbers is None:
            for folder in self._walk():
                new = [pair for pair in folder.files if folder.prefix + pair[0] not in self._by_name]
                changed += range(len(self.entries), len(self.entries) + len(new))
                self._append(folder, new)
        return changed

    def captions(self) -> dict[str, int]:
        """The number of an entry for the name of each caption file."""
        return dict(self._first)

    def _append(self, folder: Folder, files: Sequence[tuple[str, str]], descriptor: int | None = None) -> None:
        """Read the captions of these images of a folder, which come at the end, and note their tags.

        Args:
            descriptor: of the folder, to open its files from.
        """
        root, prefix, entries = str(self.root), folder.prefix, self.entries
        first = len(entries)
        for number, (name, caption) in enumerate(files, first):
            entry = Entry(number, root, prefix + name, prefix + caption)
            entries.append(entry)
            self._by_name[entry.name] = number
            if self._joins(entry):
                known = entries[self._first[entry.caption_name]]
                entry.raw, entry.problem = known.raw, known.problem
                entry.mtime_ns, entry.size, entry.look = known.mtime_ns, known.size, known.look
                if self._reading is not None:
                    self._reading.stamps.add(None, trusted=False)
            elif self._recalls(entry, caption, descriptor):
                continue
            elif descriptor is None:
                self.read(entry)
            else:
                self.read(entry, caption, descriptor)
        new = entries[first:]
        reading = self._reading
        if reading is None or reading.snapshot is None:
            found = [() if entry.raw is None else tags_of(decoded(entry.raw), self.profile) for entry in new]
            for entry, tags in zip(new, self.index.add_many(first, found), strict=True):
                entry.tags = tags
        else:  # the index is told when all is read
            for entry in new:
                if not entry.tags and entry.raw:
                    entry.tags = tuple(map(sys.intern, tags_of(decoded(entry.raw), self.profile)))
        self.revision += len(new)

    def _joins(self, entry: Entry) -> bool:
        """Note whose caption file it is; whether another image has the same one."""
        first = self._first.setdefault(entry.caption_name, entry.number)
        if first == entry.number:
            return False
        self._several.setdefault(entry.caption_name, [first]).append(entry.number)
        return True

    def _leaves(self, entry: Entry) -> None:
        """The entry's caption file is not its own any more."""
        left = [number for number in self.sharing(entry.number) if number != entry.number]
        self._several.pop(entry.caption_name, None)
        self._first.pop(entry.caption_name, None)
        for number in left:
            self._joins(self.entries[number])

    def read(self, entry: Entry, name: str = "", folder: int | None = None) -> None:
        """Fill in what the caption file holds, without touching the index; by its name in an open folder, if given."""
        entry.problem = None
        state, trusted = None, True
        try:
            entry.raw, state = read_bytes(name or entry.root + "/" + entry.caption_name, folder)
            entry.mtime_ns, entry.size, entry.look = state.st_mtime_ns, state.st_size, trusted_look(state)
            trusted = len(entry.raw) == state.st_size
        except FileNotFoundError:
            entry.raw, entry.mtime_ns, entry.size, entry.look = None, 0, 0, 0
        except OSError as error:
            entry.raw, entry.mtime_ns, entry.size, entry.look = None, 0, 0, 0
            entry.problem, trusted = _unreadable(entry.caption, error), False
        if self._reading is not None:
            self._reading.read += 1
            self._reading.stamps.add(state, trusted=trusted)

    def _recalls(self, entry: Entry, name: str, folder: int | None) -> bool:
        """Whether a snapshot knows what the file of an open folder holds; the entry is filled in then."""
        reading = self._reading
        if reading is None or reading.snapshot is None or folder is None:
            return False
        row = reading.snapshot.row(entry.number, entry.caption_name)
        if row is None:
            return False
        try:
            state = os.stat(name, dir_fd=folder)
        except FileNotFoundError:
            state = None
        except OSError:
            return False
        if not reading.snapshot.fits(row, state):
            return False
        reading.stamps.add(state)
        reading.matched += row == entry.number
        if state is not None:
            entry.raw, entry.tags = reading.snapshot.raw(row), reading.snapshot.tags(row)
            entry.mtime_ns, entry.size, entry.look = state.st_mtime_ns, state.st_size, trusted_look(state)
        return True

    def _refreshed(self, entry: Entry) -> bool:
        """Read an entry again if its file is another; whether it differs from what was known."""
        path = entry.root + "/" + entry.caption_name
        try:
            state = os.stat(path)  # noqa: PTH116 - 100,000 of them
        except OSError:
            state = None
        if state is None and entry.raw is None and not entry.problem:
            return self._found_other(entry)
        if (
            state is not None
            and not entry.problem
            and (state.st_mtime_ns, state.st_size, look_of(state)) == (entry.mtime_ns, entry.size, entry.look)
        ):
            return False
        before = entry.raw
        self.read(entry)
        after = entry.document
        if entry.raw == before:
            self.stamp(entry.number, entry.mtime_ns, entry.size, entry.look)
            return False
        self.put(entry.number, after)
        self.stamp(entry.number, entry.mtime_ns, entry.size, entry.look)
        return True

    def _found_other(self, entry: Entry) -> bool:
        """Whether an image without a caption has got one under another ending."""
        stem = entry.name.rpartition(".")[0]
        for ending in self.extensions:
            if os.path.isfile(f"{entry.root}/{stem}{ending}"):  # noqa: PTH113
                self._leaves(entry)
                entry.caption_name = stem + ending
                self._joins(entry)
                self.read(entry)
                self.put(entry.number, entry.document)
                return True
        return False

    def _walk(self) -> Iterable[Folder]:
        """The folders with the images that can have captions: masks are pictures, too, and none of them."""
        return without_masks(tuple(walk(str(self.root), self.suffixes, self.extensions, self.new_extension)))


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(
        _("The caption cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_remedy(error.errno or 0),
        code="caption.unreadable",
    )


def _remedy(number: int) -> str:
    """What to do about an error by its number; 0 is that of something that is no file."""
    if number == 0:
        return _("Rename it or move it away, and write the caption into a file of this name.")
    if number == errno.EFBIG:
        return _("Move it away, or shorten it to less than 1 MB.")
    return _("Check the file and its permissions.")
