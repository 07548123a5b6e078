"""What varies in a grid: an axis by its name, with values as a person writes them. Knows no torch.

``strength=0-1 [6]``, ``checkpoint=all``, ``seed=1, 2, 3``, ``sr="red, blue, a green one"``, ``prompt=@prompts.txt``:
values are separated by commas, one with a comma in it stands in quotes, ``@FILE`` takes them from a file, a line each.
Numbers have ranges, see :mod:`lora_tui.config.ranges`. What an axis needs to know (the run's files, the family) is
told by :class:`Ground`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbelow
from typing import Any

from lora_tui.config.lists import read_list
from lora_tui.config.ranges import NoRange, TooMany, numbers_in
from lora_tui.config.samplers import A1111, SPACINGS, sampler_called, samplers_of, spacing_called, spacings_of
from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.grids import files
from lora_tui.grids.cell import LORA, short
from lora_tui.places import expand
from lora_tui.text import N_, _, count, plain
from lora_tui.weights.blocks import block_weights

MOST_VALUES = 10_000
"""Values of one axis."""
MOST_BYTES = 4_000_000
"""Of a file with values."""
Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """One value of an axis: its label, and what it changes of a cell's settings (as JSON can hold it)."""

    label: str
    changes: Changes


@dataclass(frozen=True)
class Axis:
    """``kind`` is a name of :data:`KINDS`."""

    kind: str
    values: tuple[Value, ...]

    @property
    def title(self) -> str:
        return _(KINDS[self.kind].title)

    def as_options(self) -> dict[str, Any]:
        """As JSON can hold it; :func:`axis_of` reads it."""
        return {"kind": self.kind, "values": [[value.label, dict(value.changes)] for value in self.values]}


def axis_of(options: Mapping[str, Any]) -> Axis:
    """What :meth:`Axis.as_options` made."""
    return Axis(str(options["kind"]), tuple(Value(str(label), changes) for label, changes in options["values"]))


@dataclass(frozen=True)
class Ground:
    """What values are read against.

    Attributes:
        family: of the base model.
        checkpoints: the LoRA files of the run, oldest first; none where a configuration is asked.
        folders: where LoRA files are looked for by name.
        prompt, negative: what search and replace looks through.
        presets: block weights of a person's own, by name.
    """

    family: str
    checkpoints: tuple[files.RunFile, ...] = ()
    folders: tuple[Path, ...] = ()
    prompts: tuple[str, ...] = ()
    presets: Mapping[str, str] = field(default_factory=dict)


Reader = Callable[[str, Ground], list[Value]]


@dataclass(frozen=True)
class Kind:
    """A kind of axes: what a person reads above it, other names that it has, and how its values are read."""

    title: str
    names: tuple[str, ...]
    read: Reader


def read_axis(text: str, ground: Ground, place: str) -> Axis:
    """The axis that ``text`` (``NAME=VALUES``) asks for.

    Raises:
        UserError: the axis is unknown, has no value, or one that cannot be; ``place`` is told with it.
    """
    name, equals, values = text.partition("=")
    kind = _kind_called(name)
    if not equals or not kind:
        raise UserError(
            _("{text} names no axis.").format(text=plain(text, limit=60)),
            place=place,
            remedy=_("Give NAME=VALUES with one of: {names}.").format(names=", ".join(KINDS)),
            code="grid.axis",
        )
    where = f'{place} "{plain(kind)}"'
    try:
        found = KINDS[kind].read(values.strip(), ground)
    except UserError as error:
        inner = f"{where}: {error.place}" if error.place and error.place != kind else where
        raise UserError(error.message, place=inner, remedy=error.remedy, code=error.code) from error
    if not found:
        raise UserError(
            _("it has no value."), place=where, remedy=_("List at least one behind the ="), code="grid.empty"
        )
    if len(found) > MOST_VALUES:
        raise _too_many(len(found), where)
    return Axis(kind, unique(found))


def unique(values: Iterable[Value]) -> tuple[Value, ...]:
    """Each once, where first it was."""
    seen: dict[str, Value] = {}
    for value in values:
        seen.setdefault(repr(sorted(value.changes.items())), value)
    return tuple(seen.values())


def _kind_called(name: str) -> str:
    asked = name.strip().casefold().replace("_", " ").replace("-", " ")
    return next((kind for kind, known in KINDS.items() if asked == kind or asked in known.names), "")


# -- values ----------------------------------------------------------------------------------------------------------


def entries(text: str) -> list[str]:
    """The values in ``text``, or of the file that it names with ``@``.

    Raises:
        UserError: the file cannot be read.
    """
    return _lines(text[1:]) if text.startswith("@") else read_list(text)


def _lines(name: str) -> list[str]:
    path = expand(name.strip())
    try:
        with open_file(path) as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise OSError(0, _("it is too large"))
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(
            _("the file with values cannot be read: {reason}.").format(
                reason=plain(getattr(error, "strerror", None) or str(error), limit=200)
            ),
            place=plain(str(path)),
            remedy=_("Give a text file with a value a line."),
            code="grid.file",
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _numbers(key: str, least: float, most: float, *, whole: bool = False) -> Reader:
    def read(text: str, ground: Ground) -> list[Value]:
        found: list[float] = []
        for entry in entries(text):
            try:
                many = numbers_in(entry, whole=whole, most=MOST_VALUES)
            except NoRange:
                raise _wrong(
                    _("{text} is no range.").format(text=plain(entry, limit=60)),
                    _("Ranges are 0-1 [6], so many, 0-1 (+0.2), in such steps, and 1-5, in steps of one."),
                ) from None
            except TooMany as error:
                raise _too_many(error.count, key) from None
            found += [_number(entry, whole=whole)] if many is None else many
        for number in found:
            if not least <= number <= most:
                raise _wrong(
                    _("{number} is not between {least} and {most}.").format(
                        number=f"{number:g}", least=f"{least:g}", most=f"{most:.10g}"
                    ),
                    _("Give other values."),
                )
        return [Value(f"{one:.10g}", {key: int(one) if whole else float(one)}) for one in found]

    return read


def _number(word: str, *, whole: bool) -> float:
    try:
        return int(word) if whole else float(word)
    except ValueError:
        message = _("{text} is no whole number.") if whole else _("{text} is no number.")
        raise _wrong(
            message.format(text=plain(word, limit=60)), _("Give numbers such as 1, 2, 3, or a range: 0-1 [6].")
        ) from None


def _texts(key: str) -> Reader:
    return lambda text, _ground: [Value(entry, {key: entry}) for entry in entries(text)]


def _sampler(text: str, ground: Ground) -> list[Value]:
    known = samplers_of(ground.family)
    names = known if text.casefold() == "all" else tuple(sampler_called(entry) for entry in entries(text))
    for name in names:
        if name not in known:
            raise _wrong(
                _("{sampler} is no sampler of its own for this family.").format(sampler=A1111[name]),
                _("Use one of: {names}.").format(names=", ".join(A1111[one] for one in known)),
            )
    return [Value(A1111[name], {"sampler": name}) for name in names]


def _spacings(text: str, ground: Ground) -> list[Value]:
    """``all`` are those that any sampler takes that diffusers lets take any noise levels."""
    known = spacings_of("euler", ground.family)
    names = known if text.casefold() == "all" else tuple(spacing_called(entry) for entry in entries(text))
    return [Value(SPACINGS[name], {"spacing": name}) for name in names]


def _seeds(text: str, ground: Ground) -> list[Value]:
    """``-1`` is a seed drawn now, once for all cells of this value."""
    words = ", ".join(str(randbelow(2**32)) if word.strip() == "-1" else word for word in entries(text))
    return _numbers("seed", 0, 2**32 - 1, whole=True)(words, ground)


def _sizes(text: str, ground: Ground) -> list[Value]:
    found = []
    for entry in entries(text):
        sides = entry.casefold().replace("×", "x").split("x")
        numbers = [_number(side.strip(), whole=True) for side in (sides if len(sides) == 2 else sides * 2)]
        width, height = (int(number) for number in numbers[:2])
        if len(sides) > 2:
            raise _wrong(_("{text} is no size.").format(text=plain(entry, limit=60)), _("Give sizes such as 512x768."))
        found.append(Value(f"{width}x{height}", {"width": width, "height": height}))
    return found


def _replaced(text: str, ground: Ground) -> list[Value]:
    """Prompt S/R: the first value is looked for, each of them takes its place."""
    if text.startswith("@"):
        words = _lines(text[1:])
    else:
        words = [word.strip() for row in csv.reader([text], skipinitialspace=True) for word in row]
    if not words or not words[0]:
        return []
    if not any(words[0] in prompt for prompt in ground.prompts):
        raise _wrong(
            _("{text} stands in no prompt.").format(text=plain(words[0], limit=80)),
            _("The first value is looked for: name words of the prompt, as they are written there."),
        )
    shown = words[1:] if _stands_for_others(words[0], ground) else words
    return [Value(word or _("(nothing)"), {f"replace {words[0]}": word}) for word in shown]


def _stands_for_others(word: str, ground: Ground) -> bool:
    """Whether it only keeps the place of values, as ``NAME`` and ``WEIGHT`` in ``<lora:NAME:WEIGHT>``."""
    for found in (one for prompt in ground.prompts for one in LORA.finditer(prompt)):
        if found[1].strip() == word:
            try:
                files.lora_called(word, ground.folders)
            except UserError:
                return True
        if word in found[2].split(":")[1:]:
            try:
                float(word)
            except ValueError:
                return True
    return False


def _blocks(text: str, ground: Ground) -> list[Value]:
    found = []
    for entry in _block_entries(text):
        block_weights(entry, ground.family, ground.presets)
        found.append(Value(entry, {"blocks": ground.presets.get(entry, entry)}))
    return found


def _block_entries(text: str) -> list[str]:
    """Lists of numbers hold commas: they stand in quotes, or values are separated by semicolons."""
    return [one.strip() for one in text.split(";") if one.strip()] if ";" in text else entries(text)


def _checkpoints(text: str, ground: Ground) -> list[Value]:
    found = []
    for entry in entries(text):
        chosen = files.of_run(entry, ground.checkpoints)
        found += [Value(one.label, {"lora": str(one.path)}) for one in chosen]
    return found


def _loras(text: str, ground: Ground) -> list[Value]:
    return [_lora(entry, ground, "lora") for entry in entries(text)]


def _second(text: str, ground: Ground) -> list[Value]:
    found = []
    for entry in entries(text):
        if entry.casefold() == "none":
            found.append(Value(_("none"), {"second": None}))
            continue
        one = files.with_strengths(entry, ground.folders)
        files.check_family(one.path, ground.family)
        strength = "" if one.strength == 1.0 and one.text is None else f" {one.strength:g}"
        found.append(Value(f"{one.path.stem}{strength}", {"second": one.as_options()}))
    return found


def _lora(entry: str, ground: Ground, key: str) -> Value:
    if entry.casefold() == "none":
        return Value(_("none"), {key: None})
    path = files.lora_called(entry, ground.folders)
    files.check_family(path, ground.family)
    return Value(path.stem, {key: str(path)})


def _bases(text: str, ground: Ground) -> list[Value]:
    return [Value(short(one), {"base": one}) for one in (files.base_called(entry, ground.family)
                                                              for entry in entries(text))]  # fmt: skip


def _vaes(text: str, ground: Ground) -> list[Value]:
    found = []
    for entry in entries(text):
        own = entry.casefold() in ("own", "none", "automatic")
        place = "" if own else files.vae_called(entry, ground.family)
        found.append(Value(_("its own") if own else short(place), {"vae": place}))
    return found


def _wrong(message: str, remedy: str) -> UserError:
    return UserError(message, remedy=remedy, code="grid.value")


def _too_many(number: int, place: str) -> UserError:
    return UserError(
        _("{count} values are too many for one axis; {most} are the most.").format(
            count=count(number), most=count(MOST_VALUES)
        ),
        place=place,
        remedy=_("Give a shorter range."),
        code="grid.too_many",
    )


KINDS: dict[str, Kind] = {
    "checkpoint": Kind(N_("checkpoint"), ("checkpoints", "step", "epoch"), _checkpoints),
    "lora": Kind(N_("LoRA"), ("lora file", "file"), _loras),
    "strength": Kind(N_("strength"), ("weight", "lora strength"), _numbers("strength", -10, 10)),
    "unet": Kind(N_("strength of the network"), ("unet strength", "transformer", "model strength"),
                 _numbers("unet", -10, 10)),
    "text": Kind(N_("strength of the text encoder"), ("te", "text strength", "clip strength", "text encoder"),
                 _numbers("text", -10, 10)),
    "blocks": Kind(N_("block weights"), ("block weights", "lbw"), _blocks),
    "lora2": Kind(N_("second LoRA"), ("second", "second lora"), _second),
    "base": Kind(N_("base model"), ("model", "base model"), _bases),
    "vae": Kind("VAE", (), _vaes),
    "sampler": Kind(N_("sampler"), ("samplers",), _sampler),
    "schedule": Kind(N_("schedule type"), ("scheduler", "schedule type", "spacing"), _spacings),
    "steps": Kind(N_("steps"), (), _numbers("steps", 1, 1000, whole=True)),
    "guidance": Kind(N_("guidance"), ("cfg", "cfg scale"), _numbers("guidance", 0, 100)),
    "clip skip": Kind(N_("clip skip"), ("clipskip",), _numbers("clip_skip", 1, 12, whole=True)),
    "seed": Kind(N_("seed"), ("seeds",), _seeds),
    "size": Kind(N_("size"), ("sizes",), _sizes),
    "prompt": Kind(N_("prompt"), ("prompts",), _texts("prompt")),
    "negative": Kind(N_("negative prompt"), ("negative prompt",), _texts("negative")),
    "sr": Kind(N_("prompt S/R"), ("prompt s/r", "prompt sr", "s/r", "replace"), _replaced),
}  # fmt: skip
"""Name of each kind: what a person reads, its other names, and how its values are read."""


def prompt_texts(settings: Mapping[str, Any], axes: Sequence[Axis]) -> tuple[str, ...]:
    """All texts that search and replace may look through."""
    found = [str(settings.get("prompt", "")), str(settings.get("negative", ""))]
    for axis in axes:
        if axis.kind in ("prompt", "negative"):
            found += [value.label for value in axis.values]
    return tuple(found)
