"""``grid score``: numbers beside a grid's pictures and what they recommend, and how ``grid show`` tells them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.grids.folder import GridFolder
    from lora_tui.scores.told import Choice, Scores

SHOWN = 12
"""Choices that ``grid show`` lists, the best first."""


def build(commands: Any) -> None:
    """Declare the command."""
    score = commands.add_parser("score", help=_("numbers beside the pictures of a grid, and what they recommend"))
    score.add_argument("target", nargs="?", default="", metavar="GRID", help=_("its folder or name; else the newest"))
    add_options(score)
    score.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help=_("the project to look in"))
    score.add_argument("--detach", action="store_true", help=_("score in the background, and return at once"))
    score.add_argument("--json", action="store_true", help=_("print one JSON document"))
    score.set_defaults(action=_score, require=_require)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say who looks at the pictures."""
    parser.add_argument(
        "--encoder", action="append", default=[], metavar="MODEL",
        help=_("a folder or hub name of CLIP or SigLIP (images and prompts) or DINOv2 (images); may be given twice"),
    )  # fmt: skip
    parser.add_argument("--trigger", default="", metavar="WORD", help=_("the trigger word, where the run tells none"))
    parser.add_argument("--bare-sheets", action="store_true", help=_("no numbers below the pictures of sheets"))


def scoring_of(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """What the task that scores takes besides the grid's folder, which is in the project at ``place``.

    Raises:
        UserError: a model is named that is none, or the settings cannot be read.
    """
    from lora_tui.scores.named import check_names, usual
    from lora_tui.settings import load_settings

    names = tuple(args.encoder) or usual(place, load_settings().encoders)
    check_names(names)
    return {"encoders": [_whole(name) for name in names], "trigger": args.trigger, "on_sheet": not args.bare_sheets}


def _whole(name: str) -> str:
    """A folder by its whole path: the task works elsewhere."""
    from lora_tui.places import expand, is_folder

    path = expand(name)
    return str(path.absolute()) if is_folder(path) else name


def _require(args: argparse.Namespace) -> None:
    """Refuse what could not be scored as things are.

    Raises:
        UserError: there is no such grid, it cannot be read, or a model is named that is none.
    """
    from lora_tui.grids.ask import grid_called

    folder = grid_called(args.target, args.dir)
    folder.read()
    scoring_of(args, folder.root)


def _score(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json
    from lora_tui.cli.tasks import as_json as task_json
    from lora_tui.cli.tasks import follow, start_detached
    from lora_tui.cli.tasks import lines as task_lines
    from lora_tui.grids.ask import grid_called
    from lora_tui.tasks.start import start_task

    folder = grid_called(args.target, args.dir)
    grid = folder.read()
    options = {"folder": str(folder.root), **scoring_of(args, folder.root)}
    about = (folder.root.parent.parent,)
    if args.detach:
        return start_detached(folder.root, "score", grid.title, options, json=args.json, about=about)
    task = start_task(folder.root, "score", grid.title, options, about=about)
    status = follow(task)
    if status.alive:
        note(_("It goes on without this terminal. Stop it: lora-tui tasks stop {task}").format(task=task.name))
        return 0
    ended = status.state == "finished" and bool(status.result.get("complete"))
    if args.json:
        print_json({**task_json(status), "grid": str(folder.root), "scores": scores_json(folder)})
    else:
        for line in task_lines(status) if not ended else []:
            note(line)
        say_scores(folder)
    return 0 if ended or status.state == "stopped" else 1


def scores_json(folder: GridFolder) -> dict[str, Any] | None:
    """Everything that was measured; none where nothing was."""
    from lora_tui.scores.told import read_scores

    found = read_scores(folder.root)
    return found.as_json() if found is not None else None


def say_scores(folder: GridFolder) -> None:
    """Print what was measured and what is recommended; nothing where nothing was."""
    from lora_tui.cli.output import say, table
    from lora_tui.scores.told import read_scores

    found = read_scores(folder.root)
    if found is None:
        return
    columns = _columns(found)
    choices = sorted(found.choices, key=lambda one: -(one.score if one.score is not None else -1e9))
    if columns and choices:
        say(table([_row(one, columns) for one in choices[:SHOWN]], [_("LoRA"), *columns.values()]))
        if len(choices) > SHOWN:
            say(_("… and {count} more; scores.json has all").format(count=len(choices) - SHOWN))
    for line in recommended_lines(found):
        say(line)


def _columns(found: Scores) -> dict[str, str]:
    """The measures that some choice has, with heads that are as short as the numbers below them."""
    heads = {
        "likeness": _("like"), "held_out": _("held out"), "prompt": _("prompt"), "prompt_plain": _("plain"),
        "variety": _("seeds"), "variety_prompts": _("prompts"), "bleed": _("bleed"), "leak": _("leak"),
        "score": _("score"),
    }  # fmt: skip
    return {name: head for name, head in heads.items() if any(getattr(one, name) is not None for one in found.choices)}


def _row(one: Choice, columns: Iterable[str]) -> tuple[str, ...]:
    from lora_tui.grids.grid import BASE_LABEL
    from lora_tui.scores.reasons import name_of

    name = _(BASE_LABEL) if one.base else name_of(one.checkpoint, one.strength)
    mark = " *" if one.tied else ""
    return (name + mark, *(_number(getattr(one, measure)) for measure in columns))


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None else "-"


def recommended_lines(found: Scores) -> list[str]:
    """The recommendation with its reasons, and what could not be measured."""
    from lora_tui.scores.reasons import name_of

    best = found.recommendation
    lines = []
    if best is not None:
        said = _("recommended: {name}").format(name=name_of(best.checkpoint, best.strength))
        if best.score is not None and best.low is not None and best.high is not None:
            said += "  " + _("(score {score}, {low} to {high})").format(
                score=f"{best.score:.2f}", low=f"{best.low:.2f}", high=f"{best.high:.2f}"
            )
        lines.append(said)
        lines += [f"  {reason}" for reason in best.reasons]
    return [*lines, *(f"  {note}" for note in found.notes)]
