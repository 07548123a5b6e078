"""Filters with a name, kept with the dataset in ``.lora-tui/filters.toml``; a pinned one is a frozen list of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.captions.query.parser import parse
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import _, plain
from lora_tui.toml_files import read_toml

FILE = "filters.toml"


@dataclass(frozen=True)
class SavedFilter:
    """One saved filter.

    Attributes:
        name: as it stands after ``in:@``.
        query: the filter.
        pinned: whether it stands for ``images`` and not for what the filter finds now.
        images: names of entries, in their order.
    """

    name: str
    query: str
    pinned: bool = False
    images: tuple[str, ...] = ()


def load_filters(folder: Path) -> dict[str, SavedFilter]:
    """The saved filters of a dataset by name, in the order of their file; none when there is no file.

    Args:
        folder: the dataset's ``.lora-tui``.

    Raises:
        UserError: the file cannot be read or is not what it should be.
    """
    path = folder / FILE
    try:
        rows = read_toml(path).get("filter", [])
        return {row.name: row for row in map(_from_row, rows)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            _("The saved filters cannot be read: {reason}.").format(reason=plain(str(reason), limit=100)),
            place=plain(str(path)),
            remedy=_("Fix the file, or remove it."),
            code="filters.unreadable",
        ) from error


def save_filter(folder: Path, name: str, query: str, *, images: Iterable[str] | None = None) -> SavedFilter:
    """Keep a filter under a name, in place of another of that name.

    Args:
        images: the entries' names to pin it to; not pinned when none are given.

    Raises:
        QueryError: the filter is wrong.
        UserError: the name has blanks or brackets in it, or the file cannot be read or written.
    """
    check_filter_name(name)
    parse(query)
    saved = SavedFilter(name, query, images is not None, tuple(images or ()))
    _write(folder, {**load_filters(folder), name: saved})
    return saved


def check_filter_name(name: str) -> None:
    """Whether a filter can be kept under a name.

    Raises:
        UserError: the name is empty, or has blanks, quotes or brackets in it.
    """
    if not name or any(sign.isspace() or sign in "()\"'@" for sign in name):
        raise UserError(
            _("The name of a filter has no blanks, quotes or brackets."), place=plain(name), code="filters.name"
        )


def forget_filter(folder: Path, name: str) -> None:
    """Remove a saved filter.

    Raises:
        UserError: there is none of this name, or the file cannot be read or written.
    """
    filters = load_filters(folder)
    if name not in filters:
        raise UserError(_("There is no saved filter of this name."), place=plain(name), code="filters.unknown")
    del filters[name]
    _write(folder, filters)


def _from_row(row: Mapping[str, Any]) -> SavedFilter:
    images = row.get("images", [])
    if not all(isinstance(text, str) for text in (row["name"], row["query"], *images)):
        raise ValueError("text is wanted")
    return SavedFilter(row["name"], row["query"], bool(row.get("pinned", False)), tuple(images))


def _write(folder: Path, filters: Mapping[str, SavedFilter]) -> None:
    import tomli_w

    rows: list[dict[str, Any]] = []
    for saved in filters.values():
        row: dict[str, Any] = {"name": saved.name, "query": saved.query}
        if saved.pinned:
            row |= {"pinned": True, "images": list(saved.images)}
        rows.append(row)
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, tomli_w.dumps({"filter": rows}).encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise UserError(
            _("The saved filters cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the folder's permissions and free space."),
            code="filters.write",
        ) from error
