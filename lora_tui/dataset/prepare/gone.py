"""What earlier runs made and the source has no more goes into the trash of the destination, from where it comes back.

That is: images whose originals were deleted or left out since, captions and masks that were deleted, pieces where a
crop was chosen. What somebody has changed in the destination stays. An image that was trashed goes with all that
belongs to it, so that both come back together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.dataset.companions import is_image_name
from lora_tui.dataset.moves import moves, set_aside, trash
from lora_tui.dataset.prepare.plan import Plan
from lora_tui.dataset.prepare.work import Work, is_lost, is_ours, rows_of


def tidy(plan: Plan, work: Work) -> tuple[list[str], list[str]]:
    """Put away what the plan has no more, and note what somebody else has put away; what was changed and stays.

    Nothing is gone for certain where the source was not read to its end.

    Returns:
        the files that were changed and stay, and those that were put away, below the destination.

    Raises:
        UserError: nothing can be moved there.
        OSError: the work file cannot be written.
    """
    wanted = {item.key: frozenset(item.names) for item in plan.items}
    unclear = {os.fspath(problem.path) for problem in plan.refused}
    away = _put_away(work.destination)
    images: list[Path] = []
    others: list[Path] = []
    kept: list[str] = []
    records: list[Mapping[str, Any]] = []
    for key in work.keys:
        if key not in wanted and (not plan.complete or not _is_gone(plan.source / key, unclear)):
            continue
        record = work.record(key)
        assert record is not None
        names = wanted.get(key, frozenset())
        stale = [row for row in rows_of(record) if row["name"] not in names]
        changed = [row for row in stale if not is_lost(row, work.destination) and not is_ours(row, work.destination)]
        if key not in wanted and not any(_is_picture(row) for row in changed):
            changed = []  # a caption goes with its image
        kept += [row["name"] for row in changed]
        for row in stale:
            if row not in changed and not is_lost(row, work.destination):
                (images if _is_main(row, record) else others).append(work.destination / row["name"])
        left = {row["name"]: row for row in rows_of(record) if row["name"] in names or row in changed}
        for name, row in left.items():
            lost = is_lost(row, work.destination)
            if lost and name in away:
                left[name] = {**row, "away": True}
            elif not lost and "away" in row:  # it was brought back
                left[name] = {part: value for part, value in row.items() if part != "away"}
        now = {part: [left[row["name"]] for row in record[part] if row["name"] in left] for part in ("files", "copies")}
        if any(now[part] != record[part] for part in now):
            records.append({**record, **now, **({"source": None} if stale else {})})
    if images:
        trash(work.destination, images)
    others = [path for path in others if path.exists()]
    if others:
        set_aside(work.destination, others)
    for one in records:
        work.note(one)
    return kept, [path.relative_to(work.destination).as_posix() for path in (*images, *others)]


def _is_gone(original: Path, unclear: set[str]) -> bool:
    """Whether an original is not wanted or not there; one that cannot be read just now is neither."""
    if os.fspath(original) in unclear:
        return False
    try:
        original.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def _put_away(destination: Path) -> frozenset[str]:
    """The files that were moved out of their places in the destination, into the trash or elsewhere."""
    return frozenset(old for one in moves(destination) if not one.back for old, _new in one.pairs)


def _is_main(row: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    return any(row["name"] == other["name"] for other in record["files"])


def _is_picture(row: Mapping[str, Any]) -> bool:
    return is_image_name(row["name"].rpartition("/")[2])
