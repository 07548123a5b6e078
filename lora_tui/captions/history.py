"""What the journal tells of tags, and taking back a part: one file, one tag, or a transaction that is not the last.

Where a file changed since, the change is taken back tag by tag, so that what came later stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.edits import with_inserted, without
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.stack import REVIEWS
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


def blame(
    journal: Journal, name: str, text: str, profile: Profile, records: Iterable[Record] | None = None
) -> list[Origin]:
    """For each tag of a caption the transaction that brought it, also where that was undone and redone since.

    Args:
        name: of the caption file, relative to the journal's home.
        text: the caption as it is now.
        records: the transactions that changed it, where they are known.
    """
    origins = _Origins()
    for record, change in journal.changes_of(name, records):
        origins.take(record, _tags(change.before, profile), _tags(change.after, profile))
    return [Origin(tag, origins.now.get(tag)) for tag in dict.fromkeys(tags_of(text, profile))]


class _Origins:
    """Where the tags of one caption come from, transaction after transaction.

    Attributes:
        now: the transaction that brought each tag; a tag that was there before the first of them is not in it.
    """

    def __init__(self) -> None:
        self.now: dict[str, Record] = {}
        self._came: dict[int, dict[str, Record | None]] = {}
        self._went: dict[int, dict[str, Record | None]] = {}
        self._gone: dict[str, Record | None] = {}

    def take(self, record: Record, before: Collection[str], after: Collection[str]) -> None:
        """Another transaction, from the tags before it to those after it."""
        came = {tag: self._origin(record, tag) for tag in after if tag not in before}
        went = {tag: self.now.pop(tag, None) for tag in before if tag not in after}
        self._came[record.number], self._went[record.number] = came, went
        self._gone.update(went)
        self.now.update({tag: origin for tag, origin in came.items() if origin is not None})

    def _origin(self, record: Record, tag: str) -> Record | None:
        """What brought a tag that comes: what is taken back or brought back says from where it is known."""
        known: Mapping[str, Record | None] = {}
        if record.kind in ("undo", "part"):
            known = self._went.get(record.of, {}) if record.of else self._gone
        elif record.kind == "redo":
            known = self._came.get(record.of, {})
        return known.get(tag, self._gone.get(tag, record) if record.kind == "part" else record)


def deeds(journal: Journal, tag: str, profile: Profile) -> list[Deed]:
    """The transactions that added or removed a tag anywhere, oldest first."""
    found = []
    for record in journal.records():
        added = removed = 0
        for _change, had, has in _turning(journal, record, tag, profile):
            added += has and not had
            removed += had and not has
        if added or removed:
            found.append(Deed(record, added, removed))
    return found


def last_deed(journal: Journal, tag: str, profile: Profile) -> Record | None:
    """The last transaction that added or removed a tag anywhere and still counts; none when there is none."""
    standing: dict[int, Record] = {}
    known: dict[int, Record] = {}
    for deed in deeds(journal, tag, profile):
        record = deed.record
        known[record.number] = record
        if record.kind == "undo":
            standing.pop(record.of, None)
        elif record.kind == "redo" and record.of in known:
            standing[record.of] = known[record.of]
        else:
            standing[record.number] = record
    return standing[max(standing)] if standing else None


def story(journal: Journal, record: Record) -> str:
    """What a transaction did, as it was written; of undo, redo and revert also of what."""
    other = journal.record(record.of) if record.of else None
    return record.operation if other is None else f"{record.operation}: {other.operation}"


def _turning(journal: Journal, record: Record, tag: str, profile: Profile) -> Iterator[tuple[FileChange, bool, bool]]:
    """The files of a transaction that gained or lost a tag, whether they had it, and whether they have it then."""
    wanted = tag.encode("utf-8", "surrogateescape")
    for change in _loaded(journal, record):
        had, has = (_may_hold(raw, wanted) and tag in _tags(raw, profile) for raw in (change.before, change.after))
        if had != has:
            yield change, had, has


def _may_hold(raw: bytes | None, wanted: bytes) -> bool:
    """Whether a caption may have a tag: a quick look that is never wrong when it says no."""
    return raw is not None and (wanted in raw or raw[:1] in (b"\xff", b"\xfe", b"\0"))


def revert(session: Session, number: int, author: str) -> Transaction:
    """Take one transaction back, whatever came after it.

    Raises:
        UserError: ``captions.no_transaction``.
    """
    session.flush()
    session.journal.records(number)  # up to now
    record = session.journal.record(number)
    if record is None:
        raise UserError(
            _("There is no transaction {number}.").format(number=number),
            remedy=_("See: {command}").format(command="lora-tui captions log"),
            code="captions.no_transaction",
        )
    head = {"kind": "part", "author": author, "operation": f"revert {number}", "of": number}
    return _taken_back(session, head, session.journal.load(record))


def take_back(session: Session, transaction: Transaction, author: str) -> Transaction:
    """Take back what a transaction of this session did that is finished, whatever came after it."""
    number = 0 if transaction.record is None else transaction.record.number
    head = {"kind": "part", "author": author, "operation": f"revert {number}", "of": number}
    lost = set(transaction.lost)
    return _taken_back(session, head, [change for change in transaction.changes if change.name not in lost])


def revert_file(session: Session, name: str, author: str, steps: int = 1) -> Transaction:
    """Take back the last changes of one file, as often as it is asked for.

    Args:
        name: of the caption file, relative to the journal's home.

    Raises:
        UserError: ``captions.nothing_to_undo``, ``journal.damaged``.
    """
    session.flush()
    stack: dict[int, Record] = {}
    for record, _change in session.journal.changes_of(name):
        if record.kind in REVIEWS:
            continue
        if record.kind not in ("undo", "part") or stack.pop(record.of, None) is None:
            stack[record.of if record.kind == "redo" else record.number] = record
    if not stack:
        raise UserError(_("There is nothing to undo."), place=plain(name), code="captions.nothing_to_undo")
    taken = list(stack.values())[-steps:]
    whole = [change for record in taken for change in session.journal.load(record) if change.name == name]
    head = {
        "kind": "part",
        "author": author,
        "operation": f"revert {taken[0].number} {name}",
        "scope": name,
        "of": taken[0].number,
    }
    return _taken_back(session, head, [replace(whole[-1], before=whole[0].before)])


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
            for change, _had, _has in _turning(session.journal, record, tag, profile):
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
            wanted.append(change.back)
            continue
        new = None
        if now is not None and change.before is not None and change.after is not None:
            new = merged(now, _tags(change.after, profile), _tags(change.before, profile), profile)
        if new is None:
            contested.append(change.back)
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
