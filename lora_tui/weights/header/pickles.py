"""What is said of a pickled file, wherever one turns up: what is wrong with it, and the safe way around it."""

from __future__ import annotations

import shlex
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text import _, plain


def pickle_error(path: Path, place: str, *, code: str, setting: str = "") -> UserError:
    """The error for the pickled file ``path``.

    Args:
        setting: the setting that lets its tensors be read as it is; empty where there is none.
    """
    new = path.with_suffix(".safetensors")
    command = shlex.join(python_command("-m", "lora_tui.families.unpickle", str(path), str(new)))
    remedy = _("Use a .safetensors version of it. This makes one, reading tensors only and running nothing: {command}")
    told = remedy.format(command=plain(command))
    if setting:
        told += " " + _("Or set {setting} = true, to have it read in that way each time.").format(setting=setting)
    return UserError(
        _("{name} is a pickle, and opening a pickle can run code that is hidden in it.").format(name=plain(path.name)),
        place=place,
        remedy=told,
        code=code,
    )
