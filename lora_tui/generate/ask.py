"""From what a person asks for to the pictures that will be drawn, each with its file. Loads nothing; knows no torch."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import randbelow
from typing import Any

from lora_tui.config.prompt_lines import has_flags, is_told, prompts_of, values_of
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.generate.read import Told, read_picture
from lora_tui.grids import files
from lora_tui.grids.ask import Settled, Wanted, check_base, check_sampler, settled
from lora_tui.grids.axes import KINDS, Ground
from lora_tui.grids.cell import Cell, short
from lora_tui.grids.grid import Grid, check
from lora_tui.grids.outlook import Outlook, of_cells
from lora_tui.places import expand
from lora_tui.project import Project
from lora_tui.runs.folder import list_runs
from lora_tui.text import _, count, plain

FOLDER = "generated"
"""Of a project, where pictures go that were not told where."""
MOST = 10_000
"""Pictures of one order."""
MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Request:
    """What a person asks for.

    Attributes:
        wanted: base model, LoRA files and settings, as a grid takes them; the prompts may have flags behind them.
        prompt_file: further prompts, a line each.
        seeds: numbers, ranges, ``-1`` for one drawn now; empty is that of the picture or a line, else one drawn now.
        count: pictures of each seed: of it and those that follow it.
        picture: whose settings are taken where nothing else is said.
        out: the folder for the pictures; else the project's.
        name: what their names begin with; else the time.
    """

    wanted: Wanted
    prompt_file: Path | None = None
    seeds: str = ""
    count: int = 1
    picture: Path | None = None
    out: Path | None = None
    name: str = ""


@dataclass(frozen=True)
class Order:
    """What will be drawn: the cells in the order in which they were asked for, each different from the others."""

    cells: tuple[Cell, ...]
    config: Config
    project: Path
    folder: Path
    name: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        """A few words that tell which it is."""
        return plain(self.cells[0].prompt, limit=60) or short(self.cells[0].base)

    def outlook(self) -> Outlook:
        """What drawing it takes."""
        return of_cells(self.cells, self.config.model.family, self.config.model.vae, self.folder)


def ordered(request: Request) -> Order:
    """The order that is asked for; nothing is written.

    Raises:
        UserError: what is wrong with it, its place and what to do.
    """
    told = read_picture(request.picture) if request.picture is not None else None
    wanted = _with_target(request.wanted)
    prompts = _prompts_first(wanted, request.prompt_file, told)
    if told is not None:
        wanted = _with_picture(wanted, told)
    found = _settled(replace(wanted, prompts=prompts))
    check_base(found.config)
    check_sampler(request.wanted, found.config.model.family)
    settings = dict(found.settings)
    notes = []
    if told is not None:
        notes += _take_picture(settings, told, request, found)
    lines = list(_lines(wanted, request.prompt_file, found, told))
    seeds = _seeds(request.seeds)
    if not 1 <= request.count <= MOST:
        raise UserError(
            _("{count} pictures cannot be.").format(count=request.count),
            place="--count",
            remedy=_("Give a number from 1 to {most}.").format(most=count(MOST)),
            code="generate.count",
        )
    if len(lines) * max(len(seeds), 1) * request.count > MOST:
        raise UserError(
            _("{count} pictures are too many for one order; {most} are the most.").format(
                count=count(len(lines) * max(len(seeds), 1) * request.count), most=count(MOST)
            ),
            remedy=_("Give fewer prompts or seeds."),
            code="generate.too_many",
        )
    usual = told.settings.get("seed") if told is not None else None
    cells = _cells(found, settings, lines, seeds or [randbelow(2**32) if usual is None else int(usual)], request)
    folder = expand(request.out).absolute() if request.out is not None else found.project / FOLDER
    return Order(tuple(dict.fromkeys(cells)), found.config, found.project, folder, request.name, tuple(notes))


def _settled(wanted: Wanted) -> Settled:
    try:
        return settled(wanted)
    except UserError as error:
        if error.code != "run.not_found":
            raise
        raise UserError(
            error.message,
            place=error.place,
            remedy=_("Name a configuration, a run, or a base model's file, folder or hub name."),
            code="generate.target",
        ) from error


def _with_target(wanted: Wanted) -> Wanted:
    """Where nothing is named: the project's newest configuration, else its newest run."""
    if wanted.target:
        return wanted
    project = Project.find(wanted.here.absolute())
    configs = project.newest_configs() if project is not None else []
    return replace(wanted, target=str(configs[0])) if configs else wanted


def _prompts_first(wanted: Wanted, file: Path | None, told: Told | None) -> tuple[str, ...]:
    """Something to settle the rest with; the lines themselves are read when the family is known."""
    if wanted.prompts:
        return wanted.prompts[:1]
    if file is not None:
        return ("-",)
    return (told.prompt,) if told is not None else ()


def _lines(wanted: Wanted, file: Path | None, found: Settled, told: Told | None) -> Iterator[Mapping[str, Any]]:
    """What each prompt changes: its text, and what flags behind it say."""
    network = is_told(found.config)
    for text in wanted.prompts:
        yield values_of(text, told=network) if has_flags(text) else {"prompt": text}
    if file is not None:
        yield from prompts_of(expand(file), told=network)
    if not wanted.prompts and file is None:
        yield from ({"prompt": one} for one in ((told.prompt,) if told is not None else found.prompts))


def _cells(
    found: Settled, settings: Mapping[str, Any], lines: Iterable[Mapping[str, Any]], seeds: list[int], request: Request
) -> Iterator[Cell]:
    for line in lines:
        own = dict(line)
        said = own.pop("seed", None)
        first = seeds if said is None or request.seeds else [randbelow(2**32) if said == -1 else int(said)]
        for number, seed in enumerate(first):
            for further in range(request.count):
                value = (seed + further) % (MOST_SEED + 1)
                grid = Grid(
                    "", found.config.model.family, {**settings, **own, "seed": value}, (), folders=found.folders
                )
                if not number and not further:
                    _checked(grid, own)
                yield grid.cell((0, 0))


def _checked(grid: Grid, line: Mapping[str, Any]) -> None:
    try:
        check(grid)
    except UserError as error:
        place = plain(str(line.get("prompt", "")), limit=60)
        raise UserError(
            error.message, place=f"{error.place} ({place})" if error.place else place, remedy=error.remedy,
            code=error.code,
        ) from error  # fmt: skip


def _seeds(text: str) -> list[int]:
    if not text.strip():
        return []
    try:
        return [int(value.changes["seed"]) for value in KINDS["seed"].read(text, Ground(""))]
    except UserError as error:
        raise UserError(error.message, place="--seed", remedy=error.remedy, code=error.code) from error


# -- the settings of a picture ---------------------------------------------------------------------------------------


def _with_picture(wanted: Wanted, told: Told) -> Wanted:
    """``wanted`` with what the picture says where a person said nothing."""
    own = told.settings
    size = f"{own['width']}x{own['height']}" if {"width", "height"} <= own.keys() else None
    return replace(
        wanted,
        negative=told.negative if wanted.negative is None else wanted.negative,
        steps=own.get("steps") if wanted.steps is None else wanted.steps,
        guidance=own.get("guidance") if wanted.guidance is None else wanted.guidance,
        sampler=own.get("sampler") if wanted.sampler is None else wanted.sampler,
        schedule=own.get("spacing") if wanted.schedule is None else wanted.schedule,
        size=size if wanted.size is None else wanted.size,
        loras=wanted.loras or ("none",),
    )


def _take_picture(settings: dict[str, Any], told: Told, request: Request, found: Settled) -> list[str]:
    """Put the picture's LoRA files into ``settings``; what cannot be taken over is said."""
    notes = []
    if not request.wanted.loras:
        loras = []
        of_runs = [run.checkpoints_dir for run in reversed(list_runs(found.project / "runs"))]
        for one in told.loras:
            path = files.lora_called(str(one.path), [*found.folders, *of_runs])
            files.check_family(path, found.config.model.family)
            loras.append(replace(one, path=path).as_options())
        settings["more"] = loras
    skip = told.settings.get("clip_skip")
    if skip is not None and request.wanted.clip_skip is None and found.config.model.family == "sd15":
        settings["clip_skip"] = min(max(int(skip), 1), 12)
    base = short(found.config.model.base)
    if told.base and told.base != base:
        notes.append(
            _("The picture was drawn with {theirs}; it is drawn with {ours} now.").format(
                theirs=plain(told.base, limit=80), ours=plain(base, limit=80)
            )
        )
    if told.vae and request.wanted.vae is None:
        notes.append(_("The picture's VAE was {name}; name it with --vae.").format(name=plain(told.vae, limit=80)))
    return [*notes, *told.notes]


# -- files -----------------------------------------------------------------------------------------------------------


def file_names(order: Order, start: str) -> list[str]:
    """The file of each cell: ``start``, its number, its seed."""
    width = max(len(str(len(order.cells))), 4)
    return [f"{start}-{number:0{width}d}-{cell.seed}.png" for number, cell in enumerate(order.cells, start=1)]


def starts(stem: str) -> Iterator[str]:
    """Beginnings of names, the one that is asked for first."""
    return (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))


def begins_with(name: str, start: str) -> bool:
    """Whether a file's name is one that an order of this beginning has or had."""
    return re.match(rf"{re.escape(start)}-\d", name) is not None
