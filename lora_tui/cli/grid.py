"""``grid plan|run|score|show``: pictures of all combinations of values, such as a run's checkpoints and strengths."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.grids.folder import GridFolder

FAILED, PROBLEMS = 1, 3


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.cli import grid_score

    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    plan = commands.add_parser("plan", help=_("what a grid would take: pictures, loads, time, disk"))
    _add_grid(plan)
    run = commands.add_parser("run", help=_("draw a grid, go on with one, or add values to it"))
    _add_grid(run)
    run.add_argument("--name", default="", metavar="NAME", help=_("what its folder is called"))
    run.add_argument("--out", type=Path, metavar="DIR", help=_("where its folder is made; else the project's grids"))
    run.add_argument("--detach", action="store_true", help=_("draw in the background, and return at once"))
    run.add_argument("--yes", action="store_true", help=_("do not ask, however large it is"))
    run.add_argument("--batch", type=int, default=0, metavar="N", help=_("pictures at once; 0 chooses"))
    run.add_argument("--score", action="store_true", help=_("score the pictures at the end, as grid score does"))
    grid_score.add_options(run)
    grid_score.build(commands)
    show = commands.add_parser("show", help=_("what became of a grid, and where its sheets are"))
    show.add_argument("target", nargs="?", default="", metavar="GRID", help=_("its folder or name; else the newest"))
    show.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help=_("the project to look in"))
    show.add_argument("--cells", action="store_true", help=_("list every cell"))
    show.add_argument("--json", action="store_true", help=_("print one JSON document"))
    plan.set_defaults(action=_plan)
    run.set_defaults(action=_run)
    show.set_defaults(action=_show)


def _add_grid(parser: argparse.ArgumentParser) -> None:
    from lora_tui.cli import picture_options

    parser.add_argument(
        "target", metavar="RUN|CONFIG|GRID", help=_("a run, a configuration, or a grid to go on with or to add to")
    )
    axis = _("an axis: strength=0-1 [6], checkpoint=all, seed=1,2,3, sampler=all …")
    for name in ("x", "y", "z"):
        parser.add_argument(f"--{name}", default="", metavar="AXIS=VALUES", help=axis if name == "x" else _("another"))
    parser.add_argument("--page", action="append", default=[], metavar="AXIS=VALUES", help=_("further axes: pages"))
    parser.add_argument("--prompt", action="append", default=[], help=_("what to draw; several are pages"))
    parser.add_argument("--seed", type=int, default=None, metavar="N", help=_("the seed"))
    picture_options.add(parser)
    parser.add_argument("--baseline", action="store_true", help=_("a first column without any LoRA"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return int(args.action(args))


def _wanted(args: argparse.Namespace) -> Any:
    from lora_tui.cli.picture_options import wanted_of
    from lora_tui.grids.ask import Wanted

    axes = [(f"--{name}", getattr(args, name)) for name in ("x", "y", "z") if getattr(args, name)]
    return Wanted(
        axes=(*axes, *(("--page", text) for text in args.page)), seed=args.seed, baseline=args.baseline,
        **wanted_of(args),
    )  # fmt: skip


def _plan(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.grids.ask import asked
    from lora_tui.grids.outlook import lines, outlook

    found = asked(_wanted(args))
    seen = outlook(found)
    if args.json:
        print_json(seen.as_dict())
    else:
        for line in lines(seen):
            say(line)
    return 0


def _run(args: argparse.Namespace) -> int:
    from lora_tui.cli.grid_score import scoring_of
    from lora_tui.cli.output import note
    from lora_tui.cli.picture_options import agreed
    from lora_tui.cli.tasks import follow, start_detached
    from lora_tui.grids.ask import asked, made
    from lora_tui.grids.outlook import lines, outlook
    from lora_tui.tasks.start import start_task

    found = asked(_wanted(args))
    scores = args.score or args.encoder or args.trigger or args.bare_sheets
    scoring = scoring_of(args, found.project) if scores else None
    seen = outlook(found)
    if not args.json:
        for line in lines(seen):
            note(line)
    agreed(seen, _("That is a large grid. Draw it? Type yes: "), yes=args.yes)
    folder = made(found, name=args.name, parent=args.out)
    options = {"folder": str(folder.root), "batch": args.batch, **({"score": scoring} if scoring is not None else {})}
    about = (found.project,)
    if args.detach:
        return start_detached(folder.root, "grid", found.grid.title, options, json=args.json, about=about)
    task = start_task(folder.root, "grid", found.grid.title, options, about=about)
    status = follow(task)
    if status.alive:
        note(_("It goes on without this terminal. Stop it: lora-tui tasks stop {task}").format(task=task.name))
        return 0
    return _ended(folder, status, as_json=args.json)


def _ended(folder: GridFolder, status: Any, *, as_json: bool) -> int:
    from lora_tui.cli.output import note, print_json
    from lora_tui.cli.tasks import as_json as task_json
    from lora_tui.cli.tasks import lines

    failed = status.state in ("failed", "died")
    broken = int(status.result.get("failed", 0) or 0)
    if as_json:
        print_json({**task_json(status), "grid": str(folder.root), **grid_json(folder)})
    else:
        for line in lines(status) if failed or not status.result.get("complete") else []:
            note(line)
        _say(folder)
    return FAILED if failed else PROBLEMS if broken else 0


def _show(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json
    from lora_tui.grids.ask import grid_called

    folder = grid_called(args.target, args.dir)
    if args.json:
        print_json({"grid": str(folder.root), **grid_json(folder, cells=True)})
    else:
        _say(folder, cells=args.cells)
    return 0


def grid_json(folder: GridFolder, *, cells: bool = False) -> dict[str, Any]:
    """What ``--json`` tells of a grid."""
    from lora_tui.cli.grid_score import scores_json
    from lora_tui.grids.outputs import counted, shown_cells

    grid = folder.read()
    shown = shown_cells(folder, grid)
    found: dict[str, Any] = {
        "title": grid.title,
        "axes": [{"kind": axis.kind, "values": [value.label for value in axis.values]} for axis in grid.shown],
        **counted(shown),
        "sheets": [str(path) for path in sorted(folder.root.glob("sheet*.png"))],
        "page": str(folder.root / "index.html"),
        "scores": scores_json(folder),
    }
    return {**found, "cells": [one.told(grid) for one in shown]} if cells else found


def _say(folder: GridFolder, *, cells: bool = False) -> None:
    from lora_tui.cli.grid_score import say_scores
    from lora_tui.cli.output import say, table
    from lora_tui.grids.outputs import counted, shown_cells
    from lora_tui.grids.words import STATES

    grid = folder.read()
    shown = shown_cells(folder, grid)
    numbers = counted(shown)
    say(f"{folder.root}")
    say("  " + " × ".join(f"{axis.title} ({len(axis.values)})" for axis in grid.shown if axis.values[0].label))
    say("  " + ", ".join(f"{_(STATES[state])}: {number}" for state, number in numbers.items() if number))
    for one in [one for one in shown if one.state == "failed"][:10]:
        say("  " + ", ".join(filter(None, one.labels)) + f": {one.why}")
    for path in sorted(folder.root.glob("sheet*.png"))[:10]:
        say(f"  {path.name}")
    if cells:
        rows = [(*one.labels, _(STATES[one.state]), one.file if one.state == "drawn" else one.why) for one in shown]
        say(table(rows, [*(axis.title for axis in grid.shown), _("state"), _("file")]))
    say_scores(folder)
