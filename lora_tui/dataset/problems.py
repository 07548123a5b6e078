"""What a person should know about files of a dataset: each finding with its place and remedy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """Something about a file that a person should know.

    Attributes:
        code: a stable identifier such as ``image.invalid``.
        severity: ``error`` for what cannot be trained as it is, ``warning`` for what a person should look at,
            ``note`` for what is usual and good to know.
        others: all further files that it is about; the message may name the first ones only.
    """

    path: Path
    code: str
    message: str
    remedy: str
    severity: Severity = "error"
    others: tuple[Path, ...] = ()


def problem(path: Path, code: str, message: str, remedy: str, severity: Severity = "error") -> Problem:
    """One whose texts are marked with ``N_``; they are translated here."""
    return Problem(path, code, _(message), _(remedy), severity)


def problem_of(path: Path, error: UserError) -> Problem:
    """What an error says of a file."""
    return Problem(path, error.code, error.message, error.remedy)


def unsupported(path: Path) -> Problem:
    """A picture of a format that is not read."""
    return problem(
        path,
        "image.unsupported",
        N_("Images of this format are not read, so it is left out."),
        N_("Convert it to PNG, JPEG or WebP."),
        "warning",
    )


def no_file(path: Path, *, broken: bool) -> Problem:
    """Something with an image's name that is no file, perhaps a broken link."""
    if broken:
        message, remedy = N_("The link leads nowhere."), N_("Restore what it points to, or remove the link.")
        return problem(path, "image.broken_link", message, remedy)
    return problem(path, "image.no_file", N_("This is not a file that can be read."), N_("Remove it."))


def leads_up(link: Path) -> Problem:
    """A link to a folder around the dataset."""
    return problem(
        link,
        "folder.leads_up",
        N_("The link leads to a folder around the dataset and is not followed."),
        N_("Link to the images' own folder."),
        "warning",
    )


def no_listing(folder: Path, error: OSError) -> Problem:
    """A folder below the dataset that cannot be listed."""
    reason = plain(error.strerror or str(error))
    message = _("The folder cannot be read: {reason}.").format(reason=reason)
    return Problem(folder, "folder.unreadable", message, _("Check its permissions."))
