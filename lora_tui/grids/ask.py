"""From what a person asks for to a grid: a run, a configuration or a grid that is there, with axes and settings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import randbelow
from typing import Any

from lora_tui.config.family import family_by_name, family_of, usual_sample, with_family
from lora_tui.config.load import load_config, set_value
from lora_tui.config.paths import is_hub_name
from lora_tui.config.samplers import AUTOMATIC, sampler_called, spacing_called
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.files import alone_in
from lora_tui.grids import files
from lora_tui.grids.axes import Axis, Ground, Value, prompt_texts, read_axis, unique
from lora_tui.grids.folder import GridFolder, create, list_grids
from lora_tui.grids.grid import Grid, check, grown, no_clip_skip
from lora_tui.places import exists, expand, is_file
from lora_tui.project import Project
from lora_tui.runs.choose import runs_dir_for
from lora_tui.runs.folder import RunFolder, find_run
from lora_tui.text import _, plain
from lora_tui.weights.blocks import block_weights, read_presets
from lora_tui.weights.ingredients import Ingredient

USUAL = ("strength=0-1 (+0.2)", "checkpoint=all")
"""Across and down where nothing is said of a run."""


@dataclass(frozen=True)
class Wanted:
    """What a person asks for; what is none or empty is as the run, the configuration or the grid has it.

    Attributes:
        target: a run, a configuration, or a grid.
        here: where runs and grids are looked for by name.
        axes: where each was written (for errors), and ``NAME=VALUES``.
        loras: FILE=STRENGTH…, the first of them is the one whose strength varies.
        changes: settings of the configuration, KEY=VALUE.
    """

    target: str
    here: Path = Path()
    axes: tuple[tuple[str, str], ...] = ()
    prompts: tuple[str, ...] = ()
    negative: str | None = None
    steps: int | None = None
    seed: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    size: str | None = None
    loras: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    presets: Path | None = None
    baseline: bool = False
    changes: tuple[str, ...] = ()
    vae: str | None = None
    clip_skip: int | None = None
    schedule: str | None = None

    @property
    def changes_cells(self) -> bool:
        """Whether anything is asked for that all pictures of a grid would have to be drawn anew for."""
        told = (
            self.negative, self.steps, self.seed, self.guidance, self.sampler, self.schedule, self.size, self.vae,
            self.clip_skip,
        )  # fmt: skip
        return any(one is not None for one in told) or bool(self.loras or self.changes)


@dataclass(frozen=True)
class Asked:
    """A grid that can be drawn; ``folder`` where it is one that is there, ``project`` where a new one belongs."""

    grid: Grid
    config: Config
    project: Path
    folder: GridFolder | None = None


def asked(wanted: Wanted) -> Asked:
    """The grid that is asked for; nothing is loaded, and nothing written.

    Raises:
        UserError: what is wrong with it, its place and what to do.
    """
    there = _grid_at(wanted)
    found = _more(wanted, there) if there is not None else _new(wanted)
    check(found.grid)
    return found


def made(found: Asked, *, name: str = "", parent: Path | None = None) -> GridFolder:
    """The folder of the grid, with what was asked for in it.

    Raises:
        UserError: it cannot be written.
    """
    if found.folder is not None:
        try:
            with alone_in(found.folder.root):
                found.folder.write(_with_what_came(found.folder.read(), found.grid))
        except OSError as error:
            raise UserError(
                _("the grid cannot be written: {reason}.").format(reason=error.strerror or error),
                place=plain(str(found.folder.root)),
                remedy=_("Make the folder writable and leave room on the disk."),
                code="grid.create",
            ) from error
        return found.folder
    grid = replace(found.grid, title=name) if name else found.grid
    return create(expand(parent).absolute() if parent is not None else found.project / "grids", grid, found.config)


def _with_what_came(there: Grid, wanted: Grid) -> Grid:
    """``wanted`` with the values that somebody else added since it was read."""
    return replace(grown(there, wanted.axes), baseline=there.baseline or wanted.baseline)


def grid_called(text: str, here: Path) -> GridFolder:
    """The grid at a path or of that name in the project; the newest without a name.

    Raises:
        UserError: there is none, or several could be meant.
    """
    direct = GridFolder(expand(text).absolute()) if text else GridFolder(here.absolute())
    if direct.exists():
        return direct
    project = Project.find(here.absolute())
    parent = Path(project.root) / "grids" if project is not None else here.absolute() / "grids"
    there = list_grids(parent) or list_grids(here.absolute())
    found = [one for one in there if text in one.root.name] if text else there[-1:]
    exact = [one for one in found if one.root.name == text]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    said = _("{text} could be several grids.") if found else _("there is no grid {text}.")
    raise UserError(
        said.format(text=plain(text, limit=80)),
        place=plain(str(parent)),
        remedy=_("There are: {names}.").format(names=", ".join(plain(one.root.name) for one in there[-8:]) or "-"),
        code="grid.not_found",
    )


def _grid_at(wanted: Wanted) -> GridFolder | None:
    if GridFolder(expand(wanted.target).absolute()).exists():
        return GridFolder(expand(wanted.target).absolute())
    with contextlib.suppress(UserError):
        found = grid_called(wanted.target, wanted.here) if wanted.target else None
        if found is not None and found.root.name == wanted.target:
            return found
    return None


def _more(wanted: Wanted, folder: GridFolder) -> Asked:
    """A grid that is there, with the values of further axes."""
    grid = folder.read()
    config = folder.config()
    if wanted.changes_cells:
        raise UserError(
            _("a grid that is there keeps its settings."),
            place=plain(folder.root.name),
            remedy=_("Add values as an axis, such as --page steps=20,30, or make another grid."),
            code="grid.settings",
        )
    run = RunFolder(Path(grid.run)) if grid.run else None
    ground = _ground(wanted, grid.family, run, grid.settings, grid.axes, grid.folders)
    axes = [read_axis(text, ground, place) for place, text in wanted.axes]
    axes += _prompt_axis(wanted.prompts)
    return Asked(
        replace(grown(grid, axes), baseline=grid.baseline or wanted.baseline), config, folder.root.parent, folder
    )


def _new(wanted: Wanted) -> Asked:
    found = settled(wanted)
    settings, config, run = found.settings, found.config, found.run
    family = config.model.family
    check_sampler(wanted, family)
    axes: list[Axis] = []
    ground = _ground(wanted, family, run, settings, (), found.folders, found.prompts)
    told = wanted.axes or (tuple(zip(("--x", "--y"), USUAL, strict=True)) if run is not None else ())
    for place, text in told:
        axis = read_axis(text, ground, place)
        if axis.kind in ("lora", "checkpoint"):
            settings["lora"] = None
        axes.append(axis)
    if not any(axis.kind == "prompt" for axis in axes):
        axes += _prompt_axis(found.prompts) if wanted.prompts or wanted.negative is not None else _sample_axis(config)
    if not any(axis.kind == "base" for axis in axes):
        check_base(config)
    grid = Grid(
        title=run.name.partition("-")[2].partition("-")[2] or run.name if run is not None else config.saving.name,
        family=family, settings=settings, axes=tuple(axes), baseline=wanted.baseline, folders=found.folders,
        run=str(run.root) if run is not None else "",
    )  # fmt: skip
    return Asked(grid, config, found.project)


@dataclass(frozen=True)
class Settled:
    """Where pictures come from, and what all of them share.

    Attributes:
        run: whose files are meant; none for a configuration or a model.
        config: names the base model and where it computes.
        project: the folder that ``grids`` belongs into.
        folders: where LoRA files are looked for by name.
        settings: of a :class:`Grid`.
        prompts: those that were asked for, else the samples'.
    """

    run: RunFolder | None
    config: Config
    project: Path
    folders: tuple[Path, ...]
    settings: dict[str, Any]
    prompts: tuple[str, ...]


def settled(wanted: Wanted) -> Settled:
    """What ``wanted`` comes to, axes aside.

    Raises:
        UserError: there is no such run, configuration or model, or a setting cannot be.
    """
    run, config, project = _source(wanted)
    for text in wanted.changes:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(
                _("{text} is no KEY=VALUE.").format(text=plain(text, limit=60)), place="--set", code="usage"
            )
        config = set_value(config, key, value)
    folders = _folders(wanted, run, project)
    settings, prompts = _settings(wanted, config, run, folders)
    return Settled(run, config, project, folders, settings, prompts)


def check_sampler(wanted: Wanted, family: str) -> None:
    """Refuse a sampler that was asked for by name and is another one where ``family`` is drawn.

    Raises:
        UserError: as the axis of samplers says it.
    """
    if wanted.sampler is not None:
        read_axis(f"sampler={wanted.sampler}", Ground(family), "--sampler")


def check_base(config: Config) -> None:
    """Refuse a base model that could not be loaded; reads headers alone.

    Raises:
        UserError: what is wrong with it, as ``config check`` says it.
    """
    for finding in check_config(config):
        if finding.severity == "error" and finding.field.startswith("model."):
            raise UserError(finding.message, place=finding.field, remedy=finding.remedy, code=finding.code)


def _source(wanted: Wanted) -> tuple[RunFolder | None, Config, Path]:
    """The run (if it is one), its configuration, and the folder that ``grids`` belongs into."""
    path = expand(wanted.target)
    if is_file(path) and wanted.target.endswith(".toml"):
        config = load_config(path.absolute())
        return None, config, runs_dir_for(path).parent
    of_model = exists(path) and not RunFolder(path.absolute()).exists()
    if of_model and (family := family_of(wanted.target)):
        return None, _of_model(files.base_called(wanted.target, family), family), _project(wanted.here)
    if exists(path) or not wanted.target.endswith(".toml"):
        try:
            run = find_run(wanted.target, wanted.here.absolute())
        except UserError:
            family = family_by_name(wanted.target) if is_hub_name(wanted.target) and not exists(path) else ""
            if not family:
                raise
            return None, _of_model(files.base_called(wanted.target, family), family), _project(wanted.here)
        return run, load_config(run.config_path), run.root.parent.parent
    raise UserError(
        _("there is no run, configuration or grid {name}.").format(name=plain(wanted.target, limit=120)),
        remedy=_("Name a run (lora-tui runs list), a configuration file, or a grid's folder."),
        code="grid.target",
    )


def _of_model(base: str, family: str) -> Config:
    """A configuration for pictures of a model that no training here used."""
    config = with_family(Config(), family)
    config.model.base, config.model.clip_skip = base, 1
    return config


def _project(here: Path) -> Path:
    project = Project.find(here.absolute())
    return Path(project.root) if project is not None else here.absolute()


def _settings(
    wanted: Wanted, config: Config, run: RunFolder | None, folders: tuple[Path, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What all cells share, and the prompts."""
    sample = config.samples[0].model_dump() if config.samples else usual_sample(config)
    names = ("negative", "width", "height", "steps", "guidance", "seed", "sampler", "spacing")
    usual = {"negative": "", "steps": 20, "seed": 42, "spacing": AUTOMATIC}
    settings: dict[str, Any] = {name: sample.get(name, usual.get(name)) for name in names}
    settings |= {"vae": "", "clip_skip": config.model.clip_skip}
    for name in ("negative", "seed"):
        if getattr(wanted, name) is not None:
            settings[name] = getattr(wanted, name)
    for name in ("steps", "guidance", "size", "vae", "clip skip"):
        value = getattr(wanted, name.replace(" ", "_"))
        if value is not None:
            settings |= _of_axis(name, str(value), config.model.family)
    if settings["seed"] == -1:
        settings["seed"] = randbelow(2**32)
    if wanted.sampler is not None:
        settings["sampler"] = sampler_called(wanted.sampler)
    if wanted.schedule is not None:
        settings["spacing"] = spacing_called(wanted.schedule)
    loras = _loras(wanted, config.model.family, folders)
    first = loras[0] if loras else None
    lora: Path | None = first.path if first is not None else None
    if not wanted.loras and run is not None:
        there = files.files_of_run(run)
        lora = next((one.path for one in there if one.best), there[-1].path if there else None)
    settings |= {
        "base": config.model.base,
        "lora": str(lora) if lora is not None else None, "strength": first.strength if first else 1.0, "unet": None,
        "text": first.text if first else None, "blocks": first.blocks if first else "", "second": None,
        "more": [one.as_options() for one in loras[1:]],
    }  # fmt: skip
    prompts = wanted.prompts or tuple(dict.fromkeys(one.prompt for one in config.samples if one.prompt))
    if not prompts and not any(text.startswith("prompt") for _place, text in wanted.axes):
        raise UserError(
            _("there is no prompt."), place="--prompt", remedy=_('Say what to draw: --prompt "…"'), code="grid.prompt"
        )
    settings["prompt"] = prompts[0] if prompts else ""
    return settings, prompts


def _loras(wanted: Wanted, family: str, folders: tuple[Path, ...]) -> list[Ingredient]:
    """The LoRA files that are named; ``none`` is none of them."""
    presets = read_presets(wanted.presets) if wanted.presets is not None else {}
    found = [files.with_strengths(text, folders) for text in wanted.loras if text.strip().casefold() != "none"]
    for number, one in enumerate(found):
        files.check_family(one.path, family)
        if one.blocks:
            block_weights(one.blocks, family, presets)
            found[number] = replace(one, blocks=presets.get(one.blocks, one.blocks))
    return found


def _of_axis(kind: str, text: str, family: str) -> Mapping[str, Any]:
    """What the one value of an option changes, read as an axis reads it."""
    place = f"--{kind.replace(' ', '-')}"
    if kind == "clip skip" and family != "sd15":
        raise no_clip_skip(place)
    found = read_axis(f"{kind}={text}", Ground(family), place).values
    return found[0].changes


def _prompt_axis(prompts: tuple[str, ...]) -> list[Axis]:
    return [Axis("prompt", tuple(Value(one, {"prompt": one}) for one in prompts))] if len(prompts) > 1 else []


def _sample_axis(config: Config) -> list[Axis]:
    """The samples' prompts, each with its own negative prompt where these differ."""
    samples = [one for one in config.samples if one.prompt]
    if len({one.negative for one in samples}) < 2:
        return _prompt_axis(tuple(dict.fromkeys(one.prompt for one in samples)))
    changes = [{"prompt": one.prompt, "negative": one.negative} for one in samples]
    return [Axis("prompt", unique(Value(one["prompt"], one) for one in changes))]


def _folders(wanted: Wanted, run: RunFolder | None, project: Path) -> tuple[Path, ...]:
    found = [expand(folder).absolute() for folder in wanted.folders]
    found += [run.checkpoints_dir] if run is not None else []
    return tuple(dict.fromkeys([*found, project / "loras", project]))


def _ground(
    wanted: Wanted,
    family: str,
    run: RunFolder | None,
    settings: Mapping[str, Any],
    axes: tuple[Axis, ...],
    folders: tuple[Path, ...],
    prompts: tuple[str, ...] = (),
) -> Ground:
    told = [
        text.partition("=")[2] for _place, text in wanted.axes if text.split("=")[0].strip() in ("prompt", "negative")
    ]
    return Ground(
        family=family,
        checkpoints=files.files_of_run(run) if run is not None else (),
        folders=folders,
        prompts=(*prompts, *wanted.prompts, *told, *prompt_texts(settings, axes)),
        presets=read_presets(wanted.presets) if wanted.presets is not None else {},
    )
