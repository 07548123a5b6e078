"""Parts that a configuration chooses by name, imported when they are used.

A room that offers a choice keeps one table from the schema's name to ``module:attribute``. To add a part is to write
its module and its row; nothing that is there changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text import _, plain


def chosen(places: Mapping[str, str], name: str) -> Any:
    """What ``name`` stands for in ``places``, as :func:`part_at` finds it.

    Raises:
        KeyError: the table has no such name; the schema and the table disagree.
    """
    return part_at(places[name], name)


def part_at(place: str, name: str) -> Any:
    """The attribute of ``place`` (``module:attribute``), which people know as ``name``.

    Raises:
        UserError: the module needs a library that is not installed (``library.missing``).
    """
    module, _colon, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == __name__.partition(".")[0]:
            raise  # a wrong place, no library
        raise UserError(
            _("{name} needs the library {library}, which is not installed.").format(
                name=plain(name), library=plain(library)
            ),
            remedy=_("Install it: pip install {library}").format(library=plain(library)),
            code="library.missing",
        ) from error
