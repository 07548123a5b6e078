"""The question that a server is asked about an image: a text with ``{tags}``, ``{name}`` and ``{trigger}`` in it."""

from __future__ import annotations

import re

from lora_tui.errors import UserError
from lora_tui.text import _, plain

WORDS = ("tags", "name", "trigger")
_LONGEST = 20_000
_MARK = re.compile(r"\{\{|\}\}|\{(\w*)\}")


def check(template: str) -> None:
    """Look whether a prompt can be filled in.

    Raises:
        UserError: ``tagger.prompt`` when it is empty, too long, or has a word in braces that means nothing.
    """
    if not template.strip() or len(template) > _LONGEST:
        raise _wrong(_("a text of at most {count} characters is wanted").format(count=_LONGEST))
    for found in _MARK.finditer(template):
        if found[1] is not None and found[1] not in WORDS:
            raise _wrong(_("{word} means nothing").format(word=plain(found[0], limit=60)))


def filled(template: str, *, tags: str, name: str, trigger: str) -> str:
    """The prompt for one image; doubled braces mean themselves."""
    words = {"tags": tags, "name": name, "trigger": trigger}

    def replaced(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else words[found[1]]

    return _MARK.sub(replaced, template)


def _wrong(reason: str) -> UserError:
    return UserError(
        _("This prompt cannot be used: {reason}.").format(reason=reason),
        place="--prompt",
        remedy=_("In braces can stand: {words}; write {{{{ and }}}} for braces themselves.").format(
            words=", ".join(f"{{{word}}}" for word in WORDS)
        ),
        code="tagger.prompt",
    )
