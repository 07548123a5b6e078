"""All captions of a folder of images in memory, with the index of their tags. Reads files, never writes one.

Every change goes through :meth:`Corpus.put`, which keeps tags, index and revision right. Two images with one stem
share a caption file: they change together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.files import MAX_BYTES, pick_sidecar, with_dots
from lora_tui.captions.index import Index
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.view import tags_of
from lora_tui.errors import UserError
from lora_tui.files import kind_of
from lora_tui.text import _, plain

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
CAPTION_EXTENSIONS = (".txt", ".caption")

_SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
_RUN_FILES = frozenset({"config.toml", "record.json"})
_DIGITS = re.compile(r"(\d+)")
_EVERY = 500
"""Images between two reports of progress."""


class Entry:
    """One image and its caption.

    Attributes:
        number: its place in the corpus.
        name: the image's path relative to the corpus, with ``/``.
        caption_name: the same for the caption file that is read, or that a new caption will get.
        document: what the caption file holds; none when there is no file, or none that can be read.
        tags: the names of its tags, as the trainer of the profile sees them.
        mtime_ns, size: the caption file's, as it was read; 0 without a file.
        problem: why a caption file that is there cannot be read; such an entry is never changed.
    """

    __slots__ = ("caption_name", "document", "mtime_ns", "name", "number", "problem", "root", "size", "tags")

    def __init__(self, number: int, root: str, name: str, caption_name: str) -> None:
        self.number = number
        self.root = root
        self.name = name
        self.caption_name = caption_name
        self.document: CaptionDocument | None = None
        self.tags: tuple[str, ...] = ()
        self.mtime_ns = 0
        self.size = 0
        self.problem: UserError | None = None

    @property
    def caption(self) -> Path:
        """The caption file."""
        return Path(self.root, self.caption_name)

    @property
    def raw(self) -> bytes | None:
        """The bytes of the caption file, none when there is no file."""
        return None if self.document is None else self.document.raw


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
        self._by_name: dict[str, int] = {}
        self._sharing: dict[str, list[int]] = {}

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
        for name, caption in corpus._walk():
            if len(corpus.entries) % _EVERY == _EVERY - 1:
                if on_progress is not None:
                    on_progress(len(corpus.entries))
                if should_stop is not None and should_stop():
                    corpus.complete = False
                    break
            corpus._append(name, caption)
        return corpus

    @property
    def new_extension(self) -> str:
        """The ending of new captions: the profile's, unless only others are looked for."""
        wanted = self.profile.new_extension
        return wanted if wanted in self.extensions else self.extensions[0]

    def put(self, number: int, document: CaptionDocument | None) -> None:
        """The only way in which a caption changes in memory; images that share the file change with it."""
        entry = self.entries[number]
        tags = () if document is None else tags_of(document.text, self.profile)
        for other in self._sharing.get(entry.caption_name, (number,)):
            one = self.entries[other]
            one.document = document
            one.tags = self.index.replace(other, one.tags, tags)
        self.revision += 1

    def stamp(self, number: int, mtime_ns: int, size: int) -> None:
        """Note what the caption file looks like on disk after it was written."""
        for other in self._sharing.get(self.entries[number].caption_name, (number,)):
            self.entries[other].mtime_ns, self.entries[other].size = mtime_ns, size

    def number_of(self, name: str) -> int | None:
        """The number of the image with this name (with its ending, or without when only one has it)."""
        if name in self._by_name:
            return self._by_name[name]
        found = [number for other, number in self._by_name.items() if other.rpartition(".")[0] == name]
        return found[0] if len(found) == 1 else None

    def text_from(self, source: str, name: str) -> str | None:
        """The text of another caption: of the image ``source``, or of the image ``name`` by the ending ``source``."""
        if source.startswith(".") and "/" not in source:
            try:
                raw = read_bytes(f"{self.root}/{name.rpartition('.')[0]}{source}")[0]
            except OSError:
                return None
            return CaptionDocument.parse(raw).text
        number = self.number_of(source)
        document = None if number is None else self.entries[number].document
        return None if document is None else document.text

    def sharing(self, number: int) -> Sequence[int]:
        """The numbers of all images with the same caption file, this one included."""
        return self._sharing.get(self.entries[number].caption_name, (number,))

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
            for name, caption in self._walk():
                if name not in self._by_name:
                    changed.append(len(self.entries))
                    self._append(name, caption)
        return changed

    def reload(self, numbers: Iterable[int]) -> list[int]:
        """Read these entries again whatever is known of their files; the numbers of those that hold something else."""
        changed = []
        for number in numbers:
            entry = self.entries[number]
            before = entry.raw
            self._read(entry)
            if entry.raw != before:
                changed += list(self.sharing(number))
            self.put(number, entry.document)
            self.stamp(number, entry.mtime_ns, entry.size)
        return changed

    def captions(self) -> dict[str, int]:
        """The number of an entry for the name of each caption file."""
        return {caption: numbers[0] for caption, numbers in self._sharing.items() if numbers}

    def _append(self, name: str, caption: str) -> None:
        entry = Entry(len(self.entries), str(self.root), name, caption)
        self.entries.append(entry)
        self._by_name[name] = entry.number
        sharing = self._sharing.setdefault(caption, [])
        sharing.append(entry.number)
        if len(sharing) > 1:
            first = self.entries[sharing[0]]
            entry.document, entry.mtime_ns, entry.size = first.document, first.mtime_ns, first.size
            entry.problem = first.problem
        else:
            self._read(entry)
        if entry.document is not None:
            entry.tags = self.index.add(entry.number, tags_of(entry.document.text, self.profile))
        self.revision += 1

    def _read(self, entry: Entry) -> None:
        """Fill in what the caption file holds, without touching the index."""
        entry.problem = None
        try:
            raw, entry.mtime_ns, entry.size = read_bytes(entry.root + "/" + entry.caption_name)
            entry.document = CaptionDocument.parse(raw)
        except FileNotFoundError:
            entry.document, entry.mtime_ns, entry.size = None, 0, 0
        except OSError as error:
            entry.document, entry.mtime_ns, entry.size = None, 0, 0
            entry.problem = _unreadable(entry.caption, error)

    def _refreshed(self, entry: Entry) -> bool:
        """Read an entry again if its file is another; whether it differs from what was known."""
        path = entry.root + "/" + entry.caption_name
        try:
            state = os.stat(path)  # noqa: PTH116 - 100,000 of them
        except OSError:
            state = None
        if state is None and entry.document is None and not entry.problem:
            return self._found_other(entry)
        if (
            state is not None
            and not entry.problem
            and (state.st_mtime_ns, state.st_size) == (entry.mtime_ns, entry.size)
        ):
            return False
        before = entry.raw
        self._read(entry)
        after = entry.document
        if entry.raw == before:
            self.stamp(entry.number, entry.mtime_ns, entry.size)
            return False
        self.put(entry.number, after)
        self.stamp(entry.number, entry.mtime_ns, entry.size)
        return True

    def _found_other(self, entry: Entry) -> bool:
        """Whether an image without a caption has got one under another ending."""
        stem = entry.name.rpartition(".")[0]
        for ending in self.extensions:
            if os.path.isfile(f"{entry.root}/{stem}{ending}"):  # noqa: PTH113
                self._sharing[entry.caption_name].remove(entry.number)
                entry.caption_name = stem + ending
                self._sharing.setdefault(entry.caption_name, []).append(entry.number)
                self._read(entry)
                self.put(entry.number, entry.document)
                return True
        return False

    def _walk(self) -> Iterable[tuple[str, str]]:
        """Name and caption name of every image, folder after folder."""
        waiting, seen = [""], set()
        while waiting:
            relative = waiting.pop()
            folder = os.path.join(self.root, relative)  # noqa: PTH118
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            try:
                folders, files = _listed(folder)
            except OSError as error:
                if relative:
                    continue
                raise UserError(
                    _("The folder cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
                    place=plain(folder),
                    remedy=_("Check the path and its permissions."),
                    code="captions.folder",
                ) from error
            if files >= _RUN_FILES:
                continue
            prefix = relative + "/" if relative else ""
            images = [name for name in files if name[name.rfind(".") :].lower() in self.suffixes]
            for name in natural(images):
                stem = name[: name.rfind(".")]
                caption = pick_sidecar(stem, files, self.extensions) or stem + self.new_extension
                yield prefix + name, prefix + caption
            waiting += [prefix + name for name in reversed(natural(folders))]


def read_bytes(path: str) -> tuple[bytes, int, int]:
    """The content of a caption file, its time of change in nanoseconds and its size.

    Raises:
        OSError: it cannot be read, or is too large for a caption.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        state = os.fstat(descriptor)
        if kind := kind_of(state.st_mode):  # a pipe would be waited for, or read as nothing
            raise OSError(0, _("it is {kind}, not a file").format(kind=kind))
        if state.st_size > MAX_BYTES:
            raise OSError(0, _("it is too large to be a caption"))
        raw = os.read(descriptor, state.st_size + 1)  # a larger buffer would be made and freed each time
        if len(raw) > state.st_size:
            raw += os.read(descriptor, MAX_BYTES)
        return raw, state.st_mtime_ns, state.st_size
    finally:
        os.close(descriptor)


def natural(names: Collection[str]) -> list[str]:
    """Names so that ``img2`` comes before ``img10``; those of one length need no second look."""
    if len({len(name) for name in names}) <= 1:
        return sorted(names, key=lambda name: (name.casefold(), name))
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    parts = _DIGITS.split(name.casefold())
    return tuple((0, int(part)) if part.isdecimal() and len(part) < 100 else (1, part) for part in parts), name


def _listed(folder: str) -> tuple[list[str], set[str]]:
    """The folders and the files of a folder that are not hidden; links count as what they lead to."""
    folders, files = [], set()
    with os.scandir(folder) as found:
        for one in found:
            if one.name.startswith("."):
                continue
            try:
                is_folder = one.is_dir()
            except OSError:
                continue
            if not is_folder:
                files.add(one.name)
            elif one.name not in _SKIPPED_FOLDERS:
                folders.append(one.name)
    return folders, files


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(
        _("The caption cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_("Check the file and its permissions."),
        code="caption.unreadable",
    )
