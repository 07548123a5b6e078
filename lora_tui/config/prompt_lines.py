"""Prompts as sd-scripts writes them, a line each with flags behind: ``a cat --n blurry --w 512 --h 768 --d 1 --s 28``.

The flags are those of its prompt files: n negative prompt, w width, h height, d seed, s steps, l guidance (CFG),
g guidance that the network is told (FLUX), ss sampler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_tui.config.schema import TOLD_GUIDANCE, Config
from lora_tui.errors import UserError
from lora_tui.text import _, plain

FLAG = re.compile(r"(?:^|\s)--([A-Za-z]{1,4})(?=\s|$)")
#: Samplers of sd-scripts under the names that they have here.
SAMPLERS: Mapping[str, str] = {
    "ddim": "ddim", "euler": "euler", "k_euler": "euler", "euler_a": "euler_a", "k_euler_a": "euler_a", "heun": "heun",
    "dpmsolver++": "dpmpp_2m", "dpmsolver": "dpmpp_2m", "dpmpp_2m": "dpmpp_2m", "dpmpp_2m_karras": "dpmpp_2m_karras",
    "unipc": "unipc", "pndm": "plms", "dpm_2": "dpm2", "k_dpm_2": "dpm2", "dpm_2_a": "dpm2_a", "k_dpm_2_a": "dpm2_a",
}  # fmt: skip
MOST_BYTES = 4_000_000
_STEP = 8  # sides are rounded down to this, as sd-scripts does


def has_flags(text: str) -> bool:
    """Whether a prompt has flags behind it."""
    return any(found[1].lower() in _READERS for found in FLAG.finditer(text))


def values_of(line: str, *, told: bool = False) -> dict[str, Any]:
    """What a line says of a sample: ``prompt``, and a value for each flag, by the names of the schema.

    ``told``: the guidance is one that the network is told (``--g``), not one of two predictions (``--l``).

    Raises:
        UserError: a flag is unknown, its value cannot be read, or the only guidance is of the other kind.
    """
    flags = list(FLAG.finditer(line))
    ends = [*(found.start() for found in flags[1:]), len(line)]
    found: dict[str, Any] = {"prompt": line[: flags[0].start() if flags else None].strip()}
    for flag, end in zip(flags, ends, strict=False):
        letters, text = flag[1].lower(), line[flag.end() : end].strip()
        name, read = _READERS.get(letters, ("", str))
        try:
            if not name:
                raise KeyError(letters)
            value = read(text)
        except (KeyError, ValueError) as error:
            raise UserError(
                _("--{flag} {value} cannot be read.").format(flag=plain(letters), value=plain(text, limit=40)),
                place=plain(line, limit=60),
                remedy=_("Known are --n, --w, --h, --d (seed), --s (steps), --l and --g (guidance), --ss (sampler)."),
                code="samples.flags",
            ) from error
        if letters not in ("l", "g") or (letters == "g") == told:
            found[name] = value
    other = {flag[1].lower() for flag in flags} & {"l", "g"}
    if other == {"l" if told else "g"}:
        raise UserError(
            _("--l is the guidance of two predictions, which the family does without.")
            if told
            else _("--g is a guidance that the network is told, which the family does not take."),
            place=plain(line, limit=60),
            remedy=_("Write --g and its guidance, such as --g 3.5.")
            if told
            else _("Write --l and its guidance, such as --l 7."),
            code="samples.flags",
        )
    return found


def prompts_of(path: Path, *, told: bool = False) -> list[dict[str, Any]]:
    """What a file of prompts says, a line each; blank lines and those that begin with ``#`` are passed over.

    Raises:
        UserError: it cannot be read, or a line has a flag that is unknown.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise OSError(_("it is too large"))
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise UserError(
            _("The file cannot be read: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            code="samples.unreadable",
        ) from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(values_of(line, told=told))
            except UserError as error:
                place = f"{plain(str(path))}:{number}"
                raise UserError(error.message, place=place, remedy=error.remedy, code=error.code) from error
    if not found:
        raise UserError(
            _("There is no prompt in the file."), place=plain(str(path)), remedy=_("Write one a line."),
            code="samples.none",
        )  # fmt: skip
    return found


def with_prompts(config: Config, path: Path, *, instead: bool = False) -> Config:
    """``config`` with the prompts of a file behind or ``instead`` of its own, each like the last of them where it does
    not say otherwise.

    Raises:
        UserError: see :func:`prompts_of`, or a value is not allowed.
    """
    from lora_tui.config.family import usual_sample
    from lora_tui.config.load import parse_config
    from lora_tui.config.schema import as_plain

    data = as_plain(config)
    like = {**data["samples"][-1], "negative": ""} if data["samples"] else usual_sample(config)
    found = [{**like, **values} for values in prompts_of(path, told=is_told(config))]
    data["samples"] = found if instead else [*data["samples"], *found]
    return parse_config(data, place=plain(str(path)))


def is_told(config: Config) -> bool:
    """Whether the strength of guidance is told to the network, as FLUX.1 dev takes it."""
    return config.model.family in TOLD_GUIDANCE


def _side(text: str) -> int:
    return int(text) // _STEP * _STEP


#: flag -> name in the schema, and what reads its value
_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "n": ("negative", str),
    "w": ("width", _side),
    "h": ("height", _side),
    "d": ("seed", int),
    "s": ("steps", int),
    "l": ("guidance", float),
    "g": ("guidance", float),
    "ss": ("sampler", lambda text: SAMPLERS[text.lower()]),
}
