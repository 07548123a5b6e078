"""The settings that a picture tells: in our own words, or in those of A1111, which many programs write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.config.samplers import A1111, AUTOMATIC, SPACINGS, sampler_called, spacing_called
from lora_tui.errors import UserError
from lora_tui.grids.cell import LORA
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.ingredients import Ingredient, of_options

PARAMETERS, OWN = "parameters", "lora-tui"
MOST_CHARACTERS = 200_000
_NEGATIVE = "Negative prompt:"
_VALUE = re.compile(r'\s*([A-Za-z][\w \-/]*):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')


@dataclass(frozen=True)
class Told:
    """What a picture says of itself.

    Attributes:
        prompt: with ``<lora:…>`` in it where A1111's text tells it so.
        settings: of a cell, by its names; those that are told.
        loras: by the names of their files; of our own pictures alone.
        base, vae: names without folders; empty where nothing is told.
        notes: what cannot be taken over, in sentences.
    """

    prompt: str
    negative: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    loras: tuple[Ingredient, ...] = ()
    base: str = ""
    vae: str = ""
    notes: tuple[str, ...] = ()


def read_picture(path: Path) -> Told:
    """What the picture at ``path`` says.

    Raises:
        UserError: it cannot be read, or says nothing (``generate.picture``).
    """
    from PIL import Image, UnidentifiedImageError

    place = expand(path)
    try:
        with Image.open(place) as picture:
            texts = {name: str(value) for name, value in picture.info.items() if isinstance(value, str)}
            user = picture.getexif().get_ifd(0x8769).get(0x9286)  # where A1111 puts it in JPEG and WebP
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as error:
        raise UserError(
            _("the picture cannot be read: {reason}.").format(
                reason=plain(getattr(error, "strerror", None) or str(error), limit=200)
            ),
            place=plain(str(path)),
            code="generate.picture",
        ) from error
    if isinstance(user, bytes) and PARAMETERS not in texts:
        texts[PARAMETERS] = _comment(user)
    found = _own(texts.get(OWN, "")) or told_by(texts.get(PARAMETERS, ""))
    if found is None:
        raise UserError(
            _("the picture says nothing of how it was drawn."),
            place=plain(str(path)),
            remedy=_("Give a PNG as lora-tui or A1111 wrote it; messengers and editors take the text out."),
            code="generate.picture",
        )
    return found


def _comment(raw: bytes) -> str:
    """Exif's user comment: eight bytes name its letters."""
    kind, text = raw[:8], raw[8:]
    if not kind.startswith(b"UNICODE"):
        return text.decode("utf-8", "replace")
    little = text[1:2] == b"\0"
    return text.decode("utf-16-le" if little else "utf-16-be", "replace")


def _own(text: str) -> Told | None:
    """What :func:`lora_tui.grids.drawing.png_of` wrote; none where it is something else."""
    try:
        cell = json.loads(text[:MOST_CHARACTERS])["cell"]
        names = ("clip_skip", "width", "height", "steps", "guidance", "seed", "sampler")
        settings = {name: cell[name] for name in names}
        numbers = [name for name in names if name != "sampler"]
        if not all(isinstance(settings[name], int | float) for name in numbers):
            return None
        settings["spacing"] = spacing_called(str(cell.get("spacing", AUTOMATIC)))
        settings["sampler"] = sampler_called(str(cell["sampler"]))
        return Told(
            str(cell["prompt"]), str(cell["negative"]), settings,
            tuple(of_options(one) for one in cell["loras"]), str(cell["base"]), str(cell["vae"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, UserError, RecursionError):
        return None


def told_by(text: str) -> Told | None:
    """What A1111's text says; none where it is no such text."""
    lines = text[:MOST_CHARACTERS].strip().splitlines()
    values = {name.strip(): _unquoted(value) for name, value in _VALUE.findall(lines[-1])} if lines else {}
    if "Steps" not in values:
        return None
    prompt: list[str] = []
    negative: list[str] = []
    into = prompt
    for line in lines[:-1]:
        if line.strip().startswith(_NEGATIVE):
            into, line = negative, line.strip().removeprefix(_NEGATIVE)
        into.append(line.strip())
    settings: dict[str, Any] = {}
    notes: list[str] = []
    for name, (key, read) in _NUMBERS.items():
        if name in values:
            try:
                settings[key] = read(values[name])
            except ValueError:
                notes.append(_unread(name, values[name]))
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", values.get("Size", ""))
    if size:
        settings["width"], settings["height"] = int(size[1]), int(size[2])
    if "Sampler" in values:
        try:
            settings |= _way(values["Sampler"], values.get("Schedule type", ""))
        except UserError:
            notes.append(_unread("Sampler", " ".join((values["Sampler"], values.get("Schedule type", ""))).strip()))
    return Told(
        _rejoined("\n".join(prompt)), "\n".join(negative).strip(), settings, base=values.get("Model", ""),
        vae=values.get("VAE", ""), notes=tuple(notes),
    )  # fmt: skip


def _rejoined(prompt: str) -> str:
    """The prompt with its LoRA files behind it, one blank between."""
    names = "".join(f" {match[0]}" for match in LORA.finditer(prompt))
    return f"{LORA.sub('', prompt).strip()}{names}".strip() if names else prompt.strip()


def _way(name: str, schedule: str) -> dict[str, str]:
    """A sampler and its schedule: later versions of A1111 write them apart, earlier ones as one name."""
    found = {"spacing": spacing_called(schedule or SPACINGS[AUTOMATIC])}
    if not schedule:
        for spacing, told in SPACINGS.items():
            if name.endswith(f" {told}") and name not in A1111.values():
                return {"spacing": spacing, "sampler": sampler_called(name.removesuffix(told))}
    return {**found, "sampler": sampler_called(name)}


def _unread(name: str, value: str) -> str:
    return _("The picture's {name} is not taken over: {value}").format(name=name, value=plain(value, limit=80))


def _unquoted(value: str) -> str:
    value = value.strip()
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return value


_NUMBERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "Steps": ("steps", int),
    "CFG scale": ("guidance", float),
    "Distilled CFG Scale": ("guidance", float),
    "Seed": ("seed", int),
    "Clip skip": ("clip_skip", int),
}
"""A1111's name -> that of a cell, and what reads it; a later one replaces an earlier one."""
