"""Model families. ``facts`` are light and serve plan, form and tools; ``model`` needs torch and serves the trainer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from lora_tui.errors import UserError
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.families.protocol import Facts

FAMILIES = ("sd15",)


def load_family(name: str) -> Any:
    """The ``model`` module of family ``name``, which imports torch; its ``open_model`` is the door.

    Raises:
        UserError: there is no such family.
    """
    facts_for(name)
    return import_module(f"lora_tui.families.{name}.model")


def facts_for(name: str) -> Facts:
    """The facts of family ``name``; imports no torch.

    Raises:
        UserError: there is no such family.
    """
    if name not in FAMILIES:
        raise UserError(
            _("there is no model family {name}.").format(name=plain(name)),
            place="model.family",
            remedy=_("Use one of: {names}.").format(names=", ".join(FAMILIES)),
            code="model.family",
        )
    return cast("Facts", import_module(f"lora_tui.families.{name}.facts").FACTS)
