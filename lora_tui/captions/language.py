"""The language of operations: ``add "hatgirl" front``, ``rename grin to smile; sort alpha first 1``.

A tag with commas, or with a word of the language in it, stands in quotes; a regular expression between slashes. Bare
names take ``*`` and ``?`` as wildcards where tags are sought. Several operations stand one after the other with ``;``.
"""

from __future__ import annotations

from pathlib import Path

from lora_tui.captions.arguments import Arguments
from lora_tui.captions.operations.base import Operation, Steps
from lora_tui.captions.verbs import VERBS
from lora_tui.captions.words import NoSuchVerb, OperationError, Word, near, words
from lora_tui.errors import UserError
from lora_tui.text import _


def parse_operation(text: str, *, folder: Path = Path()) -> Operation:
    """The operation that ``text`` says; several with ``;`` are one.

    Args:
        folder: where the files of rules and pairs that it names are looked for. They are read now.

    Raises:
        OperationError: with the column of the mistake.
        UserError: a file that it names cannot be read, a regular expression is wrong.
    """
    steps: list[Operation] = []
    group: list[Word] = []
    for word in words(text):
        group.append(word)
        if word.kind != "end":
            continue
        if len(group) > 1:
            steps.append(_one(group, folder))
        group = []
    if not steps:
        raise OperationError(_("An operation is expected here."), 0, remedy=_('For example: add "hatgirl" front'))
    return steps[0] if len(steps) == 1 else Steps(tuple(steps))


def _one(group: list[Word], folder: Path) -> Operation:
    verb = group[0]
    if verb.kind != "bare" or verb.text not in VERBS:
        meant = near(verb.text, list(VERBS))
        remedy = _("Did you mean “{word}”?").format(word=meant) if meant else ""
        remedy = remedy or _("See: {command}").format(command="captions edit --help")
        raise NoSuchVerb(verb.text, verb.column, remedy=remedy)
    arguments = Arguments(group[1:], folder)
    try:
        operation: Operation = VERBS[verb.text][0](arguments)
    except OperationError:
        raise
    except UserError as error:
        if error.code.startswith("captions.regex"):
            place = _("column {number}").format(number=verb.column + 1)
            raise UserError(
                error.message, place=f"{place}, {error.place}", remedy=error.remedy, code=error.code
            ) from None
        raise
    arguments.end()
    return operation
