"""What the journal tells of tags, and taking back a part: one file, one tag, or a transaction that is not the last.

Where a file changed since, the change is taken back tag by tag, so that what came later stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.edits import with_inserted, without
from lora_tui.captions.journal import FileChange, Journal, Record
from lora_tui.captions.journal.writer import Transaction
from lora_tui.captions.profile import Profile
from lora_tui.captions.transaction import Session
from lora_tui.captions.view import caption_view, map_captions, tags_of
from lora_tui.errors import UserError
from lora_tui.text import _, plain


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tag of a caption comes from: a transaction, or none when it was there before the first of them."""

    tag: str
    record: Record | None


@dataclass(frozen=True, slots=True)
class Deed:
    """What a transaction did with a tag: in how many captions it came and from how many it went."""

    record: Record
    added: int
    removed: int


def blame(journal: Journal, name: str, text: str, profile: Profile) -> list[Origin]:
    """For each tag of a caption the transaction that brought it.

    Args:
        name: of the caption file, relative to the journal's home.
        text: the caption as it is now.
    """
    origins: dict[str, Record] = {}
    for record, change in changes_of(journal, name):
        before, after = _tags(change.before, profile), _tags(change.after, profile)
        for tag in after:
            if tag not in before:
                origins[tag] = record
        for tag in before:
            if tag not in after:
                origins.pop(tag, None)
    return [Origin(tag, origins.get(tag)) for tag in dict.fromkeys(tags_of(text, profile))]


def deeds(journal: Journal, tag: str, profile: Profile) -> list[Deed]:
    """The transactions that added or removed a tag anywhere, oldest first."""
    found = []
    wanted = tag.encode("utf-8", "surrogateescape")
    for record in journal.records():
        added = removed = 0
        for change in _loaded(journal, record):
            if wanted not in (change.before or b"") + b"\0" + (change.after or b""):
                continue
            before, after = tag in _tags(change.before, profile), tag in _tags(change.after, profile)
            added += after and not before
            removed += before and not after
        if added or removed:
            found.append(Deed(record, added, removed))
    return found


def changes_of(journal: Journal, name: str) -> Iterator[tuple[Record, FileChange]]:
    """The transactions that changed a file, oldest first."""
    for record in journal.records():
        for change in _loaded(journal, record):
            if change.name == name:
                yield record, change


def revert(session: Session, number: int, author: str) -> Transaction:
    """Take one transaction back, whatever came after it.

    Raises:
        UserError: ``captions.no_transaction``.
    """
    session.flush()
    record = next((one for one in session.journal.records() if one.number == number), None)
    if record is None:
        raise UserError(
            _("There is no transaction {number}.").format(number=number),
            remedy=_("See: {command}").format(command="lora-tui captions log"),
            code="captions.no_transaction",
        )
    head = {"kind": "part", "author": author, "operation": f"revert {number}", "of": number}
    return _taken_back(session, head, session.journal.load(record))


def revert_file(session: Session, name: str, author: str, steps: int = 1) -> Transaction:
    """Take back the last changes of one file, as often as it is asked for.

    Args:
        name: of the caption file, relative to the journal's home.

    Raises:
        UserError: ``captions.nothing_to_undo``.
    """
    session.flush()
    stack: list[tuple[Record, FileChange]] = []
    for record, change in changes_of(session.journal, name):
        undone = [one for one in stack if one[0].number == record.of]
        if record.kind in ("undo", "part") and undone:
            stack = [one for one in stack if one[0].number != record.of]
        else:
            stack.append((record, change))
    if not stack:
        raise UserError(_("There is nothing to undo."), place=plain(name), code="captions.nothing_to_undo")
    taken = stack[-steps:]
    head = {
        "kind": "part",
        "author": author,
        "operation": f"revert {taken[0][0].number} {name}",
        "scope": name,
        "of": taken[0][0].number,
    }
    return _taken_back(session, head, [FileChange(name, taken[0][1].before, taken[-1][1].after)])


def revert_tag(session: Session, tag: str, author: str, since: float = 0.0) -> Transaction:
    """Put one tag back as it was, in every caption in which transactions added or removed it since a moment.

    Args:
        since: unix seconds.

    Raises:
        UserError: ``captions.nothing_to_undo``.
    """
    session.flush()
    profile = session.corpus.profile
    first: dict[str, FileChange] = {}
    for record in session.journal.records():
        if record.time >= since:
            for change in _loaded(session.journal, record):
                if (tag in _tags(change.before, profile)) != (tag in _tags(change.after, profile)):
                    first.setdefault(change.name, change)
    changes = []
    for name, change in first.items():
        now = session.current(name)
        had, has = tag in _tags(change.before, profile), tag in _tags(now, profile)
        if now is None or had == has:
            continue
        base = [one for one in _tags(change.before, profile) if one != tag or has]
        new = merged(now, [*base, tag] if has else base, _tags(change.before, profile), profile, only=tag)
        if new is not None and new != now:
            changes.append(FileChange(name, now, new))
    if not changes:
        raise UserError(_("There is nothing to undo."), place=plain(tag), code="captions.nothing_to_undo")
    head = {"kind": "part", "author": author, "operation": f"revert tag {tag}"}
    return session.change_files(head, changes)


def merged(
    now: bytes, after: Iterable[str], before: Iterable[str], profile: Profile, *, only: str | None = None
) -> bytes | None:
    """A caption as it is now, with a change of tags from ``before`` to ``after`` taken back.

    Args:
        only: take back nothing but this tag.

    Returns:
        None when the change is none of tags that can be found again: another order, another spelling of blanks.
    """
    old, new = list(before), list(after)
    come, gone = Counter(new) - Counter(old), Counter(old) - Counter(new)
    if only is not None:
        come, gone = Counter({only: come[only]}), Counter({only: gone[only]})
    if not +come and not +gone:
        return None
    document = CaptionDocument.parse(now)

    def change(caption: str) -> str:
        seen = caption_view(caption, profile)
        surplus = Counter(come)
        indices = []
        for index in range(len(seen.items) - 1, -1, -1):
            if surplus[seen.items[index].text] > 0:
                surplus[seen.items[index].text] -= 1
                indices.append(index)
        caption = without(caption, seen, indices, profile)
        for place, tag in enumerate(old):
            if gone[tag] > 0 and tag not in tags_of(caption, profile):
                caption = _inserted(caption, tag, old[:place], profile)
        return caption

    try:
        return document.with_text(map_captions(document.text, profile, change)).raw
    except UnicodeError:
        return None


def _inserted(caption: str, tag: str, in_front: list[str], profile: Profile) -> str:
    """Put a tag back behind the nearest of those that stood in front of it."""
    seen = caption_view(caption, profile)
    names = [item.text for item in seen.items]
    place = next((names.index(one) + 1 for one in reversed(in_front) if one in names), 0)
    return with_inserted(caption, seen, place, tag, profile, side="after" if place else None)


def _taken_back(session: Session, head: dict[str, object], changes: Iterable[FileChange]) -> Transaction:
    profile = session.corpus.profile
    wanted, contested, conflicts = [], [], []
    for change in changes:
        try:
            now = session.current(change.name)
        except OSError:
            conflicts.append(change.name)
            continue
        if now == change.after:
            wanted.append(FileChange(change.name, now, change.before))
            continue
        new = None
        if now is not None and change.before is not None and change.after is not None:
            new = merged(now, _tags(change.after, profile), _tags(change.before, profile), profile)
        if new is None:
            contested.append(FileChange(change.name, change.after, change.before))
        elif new != now:
            wanted.append(FileChange(change.name, now, new))
    transaction = session.change_files(head, wanted, contested)
    transaction.conflicts += conflicts
    return transaction


def _tags(raw: bytes | None, profile: Profile) -> tuple[str, ...]:
    return () if raw is None else tags_of(CaptionDocument.parse(raw).text, profile)


def _loaded(journal: Journal, record: Record) -> list[FileChange]:
    """The files of a transaction; none where the journal is damaged, which hides nothing else."""
    try:
        return journal.load(record)
    except UserError:
        return []
