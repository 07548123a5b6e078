"""The report of a preparation: for each image what was done, or why not. ``report.json`` and ``report.csv``.

Written again after every run, from the plan and the work file, so that a preparation that was interrupted and went on
ends with the report of one that was not.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_tui.dataset.prepare.plan import Item, Plan
from lora_tui.dataset.prepare.trouble import WRITER
from lora_tui.dataset.prepare.work import Work
from lora_tui.dataset.problems import Problem
from lora_tui.files import default_mode
from lora_tui.text import _

JSON, CSV = "report.json", "report.csv"
VERSION = 1
_COLUMNS = (
    "image", "status", "width", "height", "file", "new_width", "new_height", "bytes", "left", "top", "right", "bottom",
    "scale", "padded", "flipped", "notes", "reason", "remedy",
)  # fmt: skip


def write_reports(plan: Plan, work: Work, failed: Sequence[Problem], *, complete: bool) -> Path:
    """Write both reports; the path of the JSON one.

    Raises:
        OSError: the disk is full or cannot be written; what was there before stays.
    """
    failures = {os.fspath(problem.path): problem for problem in failed}
    with _replacing(work.folder / JSON) as told, _replacing(work.folder / CSV) as table:
        head = {
            "version": VERSION,
            "source": str(plan.source),
            "destination": str(work.destination),
            "complete": complete,
            "options": plan.options.as_dict(),
        }
        told.write(json.dumps(head, indent=1).removesuffix("\n}") + ',\n "images": [')
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        comma = "\n"
        for row in _rows(plan, work, failures):
            told.write(comma + "  " + json.dumps(row))
            comma = ",\n"
            writer.writerows(_lines(row))
        told.write("\n ]\n}\n")
    return work.folder / JSON


def _rows(plan: Plan, work: Work, failures: Mapping[str, Problem]) -> Iterator[dict[str, Any]]:
    """One for each image, as JSON can hold it."""
    for item in plan.items:
        facts = item.image.facts
        row: dict[str, Any] = {"image": item.key, "width": facts.width, "height": facts.height}
        problem = failures.get(os.fspath(item.image.path))
        record = work.record(item.key)
        if problem is not None:
            row |= {"status": "failed", **_reason(problem)}
        elif record is None or record["source"] is None:
            row |= {"status": "waiting"}
        elif all(file.get("away") for file in record["files"]):
            message = _("Somebody has put it away in the new folder.")
            row |= {"status": "left out", "code": "prepare.away", "message": message, "remedy": ""}
        else:
            row |= {"status": "done", "notes": list(item.notes), "cut": round(item.cut, 4)}
            row["files"] = list(_files(item, record))
            row["copies"] = [{"name": copy["name"], "kept": copy.get("kept", False)} for copy in record["copies"]]
        yield row
    for status, problems in (("refused", plan.refused), ("left out", plan.left_out)):
        for problem in problems:
            yield {"image": _name(plan.source, problem.path), "status": status, **_reason(problem)}


def _files(item: Item, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is known of each file of an item. A record of before may have other names than the plan has now."""
    for piece, row in zip(item.pieces, record["files"], strict=False):
        size = piece.fitted.size
        yield {
            "name": row["name"],
            "width": size.width,
            "height": size.height,
            "bytes": row["bytes"],
            "digest": row["digest"],
            "box": row["box"],
            "scale": round(piece.fitted.scale, 4),
            "padded": round(piece.fitted.padded, 4),
            "flipped": piece.flipped,
            **({"ground": row["ground"]} if "ground" in row else {}),
            **({"kept": True} if row.get("kept") else {}),
            **({"away": True} if row.get("away") else {}),
        }


def _lines(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of the table for an image: one for each file, or one that says why there is none."""
    first = {"image": row["image"], "status": row["status"], "notes": " ".join(row.get("notes", ()))}
    first |= {"width": row.get("width", ""), "height": row.get("height", "")}
    if "files" not in row:
        yield _writable({**first, "reason": row.get("message", ""), "remedy": row.get("remedy", "")})
    for file in row.get("files", ()):
        left, top, right, bottom = file["box"]
        corners = {"left": left, "top": top, "right": right, "bottom": bottom}
        sizes = {"new_width": file["width"], "new_height": file["height"], "bytes": file["bytes"]}
        rest = {name: file[name] for name in ("scale", "padded", "flipped")}
        yield _writable({**first, "file": file["name"], **sizes, **corners, **rest})


def _writable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Texts without lone surrogates; none that a spreadsheet would take for a formula."""
    found = {}
    for key, value in row.items():
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            value = f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
        found[key] = value
    return found


def _reason(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "message": problem.message, "remedy": problem.remedy}


def _name(source: Path, path: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else str(path)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[io.TextIOWrapper]:
    """A file that takes the place of ``path`` when all is written."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.{WRITER}.", suffix=".lora-tui.tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), default_mode())
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise
