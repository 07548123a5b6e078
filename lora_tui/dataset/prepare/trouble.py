"""What may go wrong with a destination, in a person's words."""

from __future__ import annotations

import errno
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.text import _, plain

WRITER = "prepare"
"""Marks what the processes of a preparation have not written whole: only theirs is removed before it goes on."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk says that takes nothing more."""


def cannot_write(place: Path, error: OSError) -> UserError:
    """The error of a place that takes nothing."""
    if error.errno in FULL:
        return UserError(
            _("The disk is full."),
            place=plain(str(place)),
            remedy=_("Make room and give the same command again: it goes on where it was."),
            code="prepare.disk",
        )
    return UserError(
        _("Nothing can be written there: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(place)),
        remedy=_("Check the permissions of its folder, and give the same command again: it goes on where it was."),
        code="prepare.write",
    )


def taken(place: Path) -> UserError:
    """The error of a name that another file has."""
    return UserError(
        _("Another file of this name is there already, and is left as it is."),
        place=plain(str(place)),
        remedy=_("Move it away, or choose other names."),
        code="prepare.taken",
    )
