"""A grid: settings that all cells share, axes, and the cell at each place of it. Knows no torch, and no file but two.

The first axis is across, the second down; every combination of the values of the others is a page.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from lora_tui.config.samplers import AUTOMATIC, check_spacing
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.grids import files
from lora_tui.grids.axes import KINDS, Axis, Value, axis_of
from lora_tui.grids.cell import LORA, Cell
from lora_tui.text import N_, _, plain
from lora_tui.weights.blocks import block_weights
from lora_tui.weights.ingredients import MOST, Ingredient, of_options

REPLACE = "replace "
BARE = "bare"
BASE_LABEL = N_("base")
Place = tuple[int, ...]
"""Which value of each axis, the axes in order."""
_MUST: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("base", "vae", "prompt", "negative", "sampler"), (str,)),
    **dict.fromkeys(("clip_skip", "width", "height", "steps", "guidance", "seed"), (int, float)),
}
_TYPES: dict[str, tuple[type, ...]] = {
    **_MUST, "spacing": (str,), "strength": (int, float), "lora": (str, NoneType), "blocks": (str, NoneType),
    **dict.fromkeys(("unet", "text"), (int, float, NoneType)), "second": (Mapping, NoneType), "more": (list, NoneType),
}  # fmt: skip
"""What settings and changes of a grid that is read may be; those of ``_MUST`` are in every grid."""


@dataclass(frozen=True)
class Grid:
    """What was asked for.

    Attributes:
        family: of the base models.
        settings: of all cells, by the names that the axes change: ``base``, ``vae``, ``clip_skip``, ``lora`` (a path or
            none), ``strength``, ``unet``, ``text`` (none: as ``strength``), ``blocks``, ``second``, ``more`` (further
            LoRA files), ``prompt`` and the others of a sample.
        axes: across, down, and those of pages.
        baseline: a first column without any LoRA.
        folders: where prompts' LoRA names are looked for.
        run: the run whose files are compared; empty where there is none.
    """

    title: str
    family: str
    settings: Mapping[str, Any]
    axes: tuple[Axis, ...]
    baseline: bool = False
    folders: tuple[Path, ...] = ()
    run: str = ""
    named: Mapping[str, Path] = field(default_factory=dict, compare=False)

    def as_options(self) -> dict[str, Any]:
        """As JSON can hold it; :func:`grid_of` reads it."""
        return {
            "title": self.title,
            "family": self.family,
            "settings": dict(self.settings),
            "axes": [axis.as_options() for axis in self.axes],
            "baseline": self.baseline,
            "folders": [str(folder) for folder in self.folders],
            "run": self.run,
        }

    @cached_property
    def shown(self) -> tuple[Axis, ...]:
        """The axes with the column of the baseline; at least one across and one down."""
        axes = list(self.axes)
        if not axes:
            axes = [Axis("seed", (Value(str(self.settings["seed"]), {}),))]
        if self.baseline and not _has_baseline(axes[0]):
            bare = Value(_(BASE_LABEL), {BARE: True})
            axes[0] = Axis(axes[0].kind, (bare, *axes[0].values))
        if len(axes) == 1:
            axes.append(Axis("seed", (Value("", {}),)))
        return tuple(axes)

    @property
    def count(self) -> int:
        """Cells, whether or not some are the same picture."""
        return math.prod(len(axis.values) for axis in self.shown)

    def places(self) -> Iterator[Place]:
        """All cells: page by page, row by row."""
        across, down, *pages = (range(len(axis.values)) for axis in self.shown)
        for page in itertools.product(*pages):
            for row, column in itertools.product(down, across):
                yield (column, row, *page)

    def pages(self) -> Iterator[tuple[int, ...]]:
        """The values of the third axis and those behind it, combined."""
        return itertools.product(*(range(len(axis.values)) for axis in self.shown[2:]))

    def values(self, place: Place) -> list[Value]:
        return [axis.values[at] for axis, at in zip(self.shown, place, strict=True)]

    def cell(self, place: Place) -> Cell:
        """The picture at ``place``.

        Raises:
            UserError: it cannot be drawn so.
        """
        settings = dict(self.settings)
        replaced: dict[str, str] = {}
        for value in self.values(place):
            for name, change in value.changes.items():
                if name.startswith(REPLACE):
                    replaced[name.removeprefix(REPLACE)] = str(change)
                else:
                    settings[name] = change
        prompt, negative = (replace_all(str(settings[name]), replaced) for name in ("prompt", "negative"))
        prompt, written = self._without_loras(prompt)
        loras = [] if settings.get(BARE) else [*_of_settings(settings), *written]
        names = ("base", "vae", "clip_skip", "width", "height", "steps", "guidance", "seed", "sampler", "spacing")
        settings.setdefault("spacing", AUTOMATIC)  # grids of an earlier version know no other
        cell = Cell(prompt=prompt, negative=negative, **{name: settings[name] for name in names})
        return replace(cell, loras=tuple(loras)).simplest(files.changes_text)

    def _without_loras(self, prompt: str) -> tuple[str, list[Ingredient]]:
        """The prompt without ``<lora:…>``, and what they ask for: ``<lora:name:text:unet:lbw=…>`` as A1111 reads it."""
        found = [self._written(match) for match in LORA.finditer(prompt)]
        if not found:
            return prompt, []
        rest = re.sub(r"\s{2,}", " ", LORA.sub("", prompt)).strip()
        return re.sub(r"(?:,\s*)+(,|$)", r"\1", rest).strip(), found

    def _written(self, match: re.Match[str]) -> Ingredient:
        name = match[1].strip()
        path = self.named.get(name) or files.lora_called(name, self.folders)
        numbers, named = [], {}
        for part in match[2].split(":")[1:]:
            key, equals, value = part.partition("=")
            if equals:
                named[key.strip().casefold()] = value.strip()
            elif part.strip():
                numbers.append(_strength(part, match[0]))
        first = numbers[0] if numbers else 1.0
        text = _strength(named["te"], match[0]) if "te" in named else (first if len(numbers) > 1 else None)
        network = _strength(named["unet"], match[0]) if "unet" in named else (numbers[1] if len(numbers) > 1 else first)
        if "unet" in named and text is None:
            text = first
        blocks = named.get("lbw", "")
        if blocks:
            block_weights(blocks, self.family)
        return Ingredient(path, network, text, blocks)


def grid_of(options: Mapping[str, Any]) -> Grid:
    """What :meth:`Grid.as_options` made.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    found = Grid(
        title=str(options["title"]),
        family=str(options["family"]),
        settings=dict(options["settings"]),
        axes=tuple(axis_of(one) for one in options["axes"]),
        baseline=bool(options["baseline"]),
        folders=tuple(Path(one) for one in options["folders"]),
        run=str(options.get("run", "")),
    )
    for axis in found.axes:
        if axis.kind not in KINDS or not axis.values:
            raise ValueError(f"an axis {axis.kind!r} of {len(axis.values)} values")
    missing = [name for name in _MUST if name not in found.settings]
    if missing:
        raise KeyError(missing[0])
    for changes in (found.settings, *(value.changes for axis in found.axes for value in axis.values)):
        for name, value in changes.items():
            if not isinstance(value, _TYPES.get(name, object)):
                raise TypeError(f"{name} is {value!r}")
    return found


def replace_all(text: str, replaced: Mapping[str, str]) -> str:
    """``text`` with each of the words replaced at once: what one puts in is not looked through by another."""
    if not replaced:
        return text
    words = sorted(replaced, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, words)), lambda found: replaced[found[0]], text)


def check(grid: Grid) -> None:
    """Refuse what no cell could be drawn from, before anything is loaded.

    Raises:
        UserError: two axes change the same, a size cannot be drawn, a value is out of range, a LoRA file is missing.
    """
    seen: dict[str, str] = {}
    for axis in grid.axes:
        for name in {name for value in axis.values for name in value.changes}:
            if name in seen:
                raise UserError(
                    _("two axes change the same: {first} and {second}.").format(first=seen[name], second=axis.title),
                    place=axis.title,
                    remedy=_("Leave one of them out."),
                    code="grid.twice",
                )
            seen[name] = axis.title
    if grid.family != "sd15" and "clip_skip" in seen:
        raise no_clip_skip(seen["clip_skip"])
    _check_ways(grid)
    _check_lora_axes(grid, seen)
    for place in _samples(grid):
        _check_cell(grid, grid.cell(place))


def no_clip_skip(place: str) -> UserError:
    """What is said where a family is asked for what it has not got."""
    return UserError(
        _("only Stable Diffusion 1.5 has a clip skip."), place=place, remedy=_("Leave it out."), code="grid.clip_skip"
    )


def _check_ways(grid: Grid) -> None:
    """Refuse a schedule type that a sampler of the grid does not take."""
    for sampler, spacing in itertools.product(_all_of(grid, "sampler"), _all_of(grid, "spacing")):
        check_spacing(sampler, spacing, grid.family)


def _all_of(grid: Grid, name: str) -> list[str]:
    """What a setting is anywhere in the grid."""
    found = [str(value.changes[name]) for axis in grid.axes for value in axis.values if name in value.changes]
    return found or [str(grid.settings.get(name, AUTOMATIC))]


def _samples(grid: Grid) -> Iterator[Place]:
    """Places that show each value of each axis once."""
    first = (0,) * len(grid.shown)
    yield first
    for number, axis in enumerate(grid.shown):
        for at in range(1, len(axis.values)):
            yield (*first[:number], at, *first[number + 1 :])


def _check_cell(grid: Grid, cell: Cell) -> None:
    multiple = facts_for(grid.family).size_multiple
    for side in (cell.width, cell.height):
        if side % multiple or not 64 <= side <= 4096:
            raise UserError(
                _("{side} px cannot be drawn: sides are multiples of {multiple} from 64 to 4096.").format(
                    side=side, multiple=multiple
                ),
                place=_("size"),
                remedy=_("Use {size}.").format(size=min(max(side - side % multiple, 64), 4096)),
                code="grid.size",
            )
    try:
        cell.sample()
    except ValueError as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(map(str, first["loc"])) or _("grid")
        raise UserError(
            plain(str(first["msg"]), limit=300), place=place, remedy=_("Give other values."), code="grid.value"
        ) from error


def _check_lora_axes(grid: Grid, seen: Mapping[str, str]) -> None:
    """Strengths and block weights of a LoRA that is not there change nothing."""
    has = grid.settings.get("lora") or "lora" in seen or grid.settings.get("more")
    for name in ("strength", "unet", "text", "blocks"):
        if name in seen and not has:
            raise UserError(
                _("there is no LoRA whose strength could vary."),
                place=seen[name],
                remedy=_("Name one with --lora FILE, or compare a run's: --y checkpoint=all"),
                code="grid.no_lora",
            )


def _of_settings(settings: Mapping[str, Any]) -> Iterator[Ingredient]:
    if settings.get("lora"):
        strength = float(settings["strength"])
        network = strength if settings.get("unet") is None else float(settings["unet"])
        text = strength if settings.get("text") is None else float(settings["text"])
        yield Ingredient(
            Path(settings["lora"]), network, None if text == network else text, str(settings.get("blocks") or "")
        )
    for one in (settings.get("second"), *(settings.get("more") or ())):
        if one:
            yield of_options(one)


def _has_baseline(axis: Axis) -> bool:
    return any(
        value.changes.get("strength") == 0 or ("lora" in value.changes and value.changes["lora"] is None)
        for value in axis.values
    )


def _strength(word: str, place: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not abs(value) <= MOST:
        raise UserError(
            _("{text} is no strength.").format(text=plain(word, limit=40)),
            place=plain(place, limit=120),
            remedy=_("Write it as <lora:name:0.8>, or <lora:name:TEXT:NETWORK>."),
            code="lora.strength",
        )
    return value


def grown(grid: Grid, axes: Sequence[Axis]) -> Grid:
    """``grid`` with the values of ``axes`` added to its own; new axes stand behind its own.

    Numbers are put in order; else new values stand behind those that were there.
    """
    found = list(grid.axes)
    for axis in axes:
        at = next((number for number, one in enumerate(found) if one.kind == axis.kind), None)
        if at is None:
            found.append(axis)
            continue
        merged = [*found[at].values, *axis.values]
        from lora_tui.grids.axes import unique

        found[at] = Axis(axis.kind, _in_order(unique(merged)))
    return replace(grid, axes=tuple(found))


def _in_order(values: tuple[Value, ...]) -> tuple[Value, ...]:
    try:
        return tuple(sorted(values, key=lambda value: float(value.label)))
    except ValueError:
        return values
