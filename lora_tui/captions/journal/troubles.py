"""What keeps a journal from being read or written, in words."""

from __future__ import annotations

from pathlib import Path

from lora_tui.captions.journal.bodies import MOST_CONTENTS
from lora_tui.errors import UserError
from lora_tui.text import _, plain


def is_newer(path: Path, what: str) -> UserError:
    return UserError(
        _("The journal was written by a newer version of lora-tui ({what}).").format(what=plain(what)),
        place=plain(str(path)),
        remedy=_("No caption was changed. Use that version, or a newer one."),
        code="journal.newer",
    )


def too_much(path: Path) -> UserError:
    return UserError(
        _("This changes more text at once than the journal takes ({size} MB).").format(size=MOST_CONTENTS >> 20),
        place=plain(str(path)),
        remedy=_("No caption was changed. Change a part of them at a time."),
        code="journal.large",
    )


def cannot_read(path: Path, error: OSError) -> UserError:
    return UserError(
        _("The journal cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_("Check the file and its permissions."),
        code="journal.folder",
    )


def cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(
        _("The journal cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(folder)),
        remedy=_("No caption was changed. Make room, or make the folder writable."),
        code="journal.folder",
    )
