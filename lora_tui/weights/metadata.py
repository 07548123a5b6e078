"""Editing the metadata of a LoRA file: its tensors keep their bytes, the hashes of its kind are made again.

The file is copied piece by piece, whatever its size, and takes the place of the old one at the end; what was there
before the first edit stays beside it as ``NAME.safetensors.bak``. Knows no torch.

The hashes are those of sd-scripts (``sshs_model_hash``: sha256 of the tensors' bytes; ``sshs_legacy_hash``: the first 8
digits of the sha256 of 64 KiB at offset 1 MiB), both over a file with only ``ss_`` keys in its header, and ModelSpec's
``modelspec.hash_sha256``: ``0x`` and the sha256 of everything behind the header.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lora_tui.errors import UserError
from lora_tui.files import alone_in, open_file, sweep_temporaries, sync_folder, written_whole
from lora_tui.places import is_file
from lora_tui.text import _, bytes_text, plain
from lora_tui.weights.header.format import HEADER_LIMIT, Header, read_header
from lora_tui.weights.header.written import Entry, framed, header_text

BACKUP = ".bak"
PIECE = 1 << 22
"""Bytes that are copied at a time."""
MODEL_HASH, LEGACY_HASH, SPEC_HASH = "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"
HASHES = (MODEL_HASH, LEGACY_HASH, SPEC_HASH)
LEGACY_START, LEGACY_END = 0x100000, 0x110000
TRIGGER, NOTE = "modelspec.trigger_phrase", "ss_training_comment"
"""Where trigger words and a note stand, as readers look for them."""
SPEC, SPEC_VERSION = "modelspec.sai_model_spec", "1.0.1"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Edit:
    """What is to change: entries that are set, keys that are taken away."""

    entries: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def of(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """The metadata after it, hashes aside."""
        return {key: value for key, value in metadata.items() if key not in self.unset} | dict(self.entries)


@dataclass(frozen=True)
class Edited:
    """What was done: the entries before and after it, and the file that holds what was there first."""

    path: Path
    before: dict[str, str]
    after: dict[str, str]
    backup: Path | None

    @property
    def changed(self) -> dict[str, tuple[str | None, str | None]]:
        """Old and new value by key; none where there is none."""
        keys = sorted(self.before.keys() | self.after.keys())
        pairs = {key: (self.before.get(key), self.after.get(key)) for key in keys}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def edit_metadata(path: Path, edit: Edit, *, progress: Progress = lambda done, total: None) -> Edited:
    """Change the metadata of the LoRA file at ``path`` and make its hashes again.

    An edit that changes nothing leaves the file alone. The hashes that the file states, and those of sd-scripts in any
    case, are made again.

    Args:
        progress: told bytes that are done, and all.

    Raises:
        UserError: the file cannot be read or is damaged, a key is one of the hashes (``metadata.key``), the header
            would be too large (``metadata.size``), the file changed meanwhile (``metadata.changed``), or it cannot be
            written (``metadata.write``).
    """
    _check(edit)
    target = Path(os.path.realpath(path))
    read_header(target)
    try:
        with alone_in(target.parent):
            sweep_temporaries(target.parent)
            header = read_header(target)
            wanted = edit.of(header.metadata)
            if wanted == header.metadata:
                return Edited(path, header.metadata, header.metadata, None)
            backup = _rewrite(target, header, wanted, progress)
    except OSError as error:
        raise _unwritable(path, error) from None
    return Edited(path, header.metadata, read_header(target).metadata, backup)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        _("it cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_("Make its folder writable and leave room for another copy of the file."),
        code="metadata.write",
    )


def trigger_edit(words: str) -> dict[str, str]:
    """The entries that state trigger words."""
    return {TRIGGER: words.strip(), SPEC: SPEC_VERSION}


def _check(edit: Edit) -> None:
    for key in (*edit.entries, *edit.unset):
        if key in HASHES:
            raise UserError(
                _("the hashes are computed and not written by hand."),
                place=plain(key),
                remedy=_("They are made again with every edit."),
                code="metadata.key",
            )
        if not key or key == "__metadata__":
            raise UserError(_("No entry can be called so."), place=plain(key, limit=60), code="metadata.key")
    for key, value in edit.entries.items():
        try:
            f"{key}{value}".encode()
        except UnicodeEncodeError:
            raise UserError(
                _("it is no text in UTF-8, which all readers expect."), place=plain(key, limit=60), code="metadata.text"
            ) from None


def _rewrite(target: Path, header: Header, wanted: Mapping[str, str], progress: Progress) -> Path:
    """Write the file anew with ``wanted`` and true hashes, keeping one backup; raises as :func:`edit_metadata`."""
    with open_file(target) as source:
        about = os.fstat(source.fileno())
        start = 8 + int.from_bytes(source.read(8), "little")
        digests = _digests(source, start, header, wanted, progress)
        spec = any(key.startswith("modelspec.") for key in wanted)
        metadata = {key: value for key, value in wanted.items() if key not in HASHES} | {
            key: value for key, value in digests.items() if key != SPEC_HASH or spec
        }
        head = _head(header, metadata, start)
        if len(head) - 8 > HEADER_LIMIT:
            raise UserError(
                _("the header would be larger than the format allows, {limit}.").format(limit=bytes_text(HEADER_LIMIT)),
                place=plain(str(target)),
                code="metadata.size",
            )
        with written_whole(target) as new:
            _copy(source, start, header.size, new, head, progress)
            if (now := target.stat()).st_mtime_ns != about.st_mtime_ns or now.st_ino != about.st_ino:
                raise UserError(
                    _("another program has changed it meanwhile; it is left as it is."),
                    place=plain(str(target)),
                    remedy=_("Edit it again."),
                    code="metadata.changed",
                )
            backup = _keep(target, digests[MODEL_HASH])
    sync_folder(target.parent)
    return backup


def _copy(source: BinaryIO, start: int, end: int, new: Path, head: bytes, progress: Progress) -> None:
    with new.open("wb") as file:
        file.write(head)
        for piece, done in _pieces(source, start, end):
            file.write(piece)
            progress((end - start) + done, 2 * (end - start))
        file.flush()
        os.fsync(file.fileno())
    read_header(new)


def _keep(target: Path, digest: str) -> Path:
    """The file before its first edit, beside it; a backup that is there already is the older, and stays.

    One of other tensors is that of another file which had this name, and is replaced.
    """
    backup = target.with_name(target.name + BACKUP)
    if os.path.lexists(backup):
        if _holds(backup, digest):
            return backup
        backup.unlink()
    try:
        os.link(target, backup)  # the same bytes under a second name: the new file takes only the first
    except OSError:
        with written_whole(backup) as copy:
            shutil.copyfile(target, copy)
    return backup


def _holds(path: Path, digest: str) -> bool:
    """Whether the tensors of a file have this sha256."""
    try:
        header = read_header(path)
        with open_file(path) as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            whole = hashlib.sha256()
            for piece, _done in _pieces(file, start, header.size):
                whole.update(piece)
    except (UserError, OSError):
        return False
    return whole.hexdigest() == digest


def restore(path: Path) -> Path:
    """Bring back what was there before the first edit; returns the backup, which is gone then.

    Raises:
        UserError: there is no backup (``metadata.backup``), or it cannot be brought back.
    """
    target = Path(os.path.realpath(path))
    backup = target.with_name(target.name + BACKUP)
    try:
        with alone_in(target.parent):
            if not is_file(backup):
                raise UserError(
                    _("there is no backup of it."),
                    place=plain(str(path)),
                    remedy=_("One is kept at the first edit."),
                    code="metadata.backup",
                )
            read_header(backup)
            backup.replace(target)
    except OSError as error:
        raise _unwritable(path, error) from None
    sync_folder(target.parent)
    return backup


def _digests(
    source: BinaryIO, start: int, header: Header, metadata: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """The three hashes of a file with these tensors and ``metadata``."""
    kept = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    head = _head(header, kept, start)
    whole, legacy = hashlib.sha256(), hashlib.sha256(head[LEGACY_START:LEGACY_END])
    at = len(head)
    for piece, done in _pieces(source, start, header.size):
        whole.update(piece)
        low, high = max(LEGACY_START - at, 0), max(LEGACY_END - at, 0)
        legacy.update(piece[low:high])
        at += len(piece)
        progress(done, 2 * (header.size - start))
    digest = whole.hexdigest()
    return {MODEL_HASH: digest, LEGACY_HASH: legacy.hexdigest()[:8], SPEC_HASH: f"0x{digest}"}


def _pieces(source: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """The bytes from ``start`` to ``end``, and how many were given with each."""
    source.seek(start)
    done = 0
    while done < end - start:
        piece = source.read(min(PIECE, end - start - done))
        if not piece:
            raise OSError(0, _("the file became shorter"))
        done += len(piece)
        yield piece, done


def _head(header: Header, metadata: Mapping[str, str], start: int) -> bytes:
    """The header with other metadata: the tensors as they stand in the file, keys of the metadata in order."""
    entries: dict[str, Entry] = {}
    for name, tensor in header.tensors.items():
        places = [tensor.start - start, tensor.end - start]
        entries[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": places}
    return framed(header_text(entries, metadata))


def parsed_assignments(texts: Iterable[str]) -> dict[str, str]:
    """``key=value`` of a command line as entries.

    Raises:
        UserError: one is none (``metadata.assignment``).
    """
    found = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise UserError(
                _("{text} sets no entry.").format(text=plain(text, limit=80)),
                remedy=_("Write it like this: modelspec.title=hat girl"),
                code="metadata.assignment",
            )
        found[key.strip()] = value
    return found
