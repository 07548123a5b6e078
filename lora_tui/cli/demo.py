"""``demo``: a small complete project, opened in the app or, with ``--headless``, trained and reported."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.demo.project import Demo
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.status import RunStatus


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "directory",
        nargs="?",
        default="lora-tui-demo",
        metavar="DIR",
        help=_("a new or empty folder, or an earlier demo; lora-tui-demo when not given"),
    )
    parser.add_argument(
        "--headless", action="store_true", help=_("train it here on the CPU, about a minute, no screen")
    )
    parser.add_argument("--json", action="store_true", help=_("the result as JSON on stdout; means --headless"))


def run(args: argparse.Namespace) -> int:
    """Make the project, then open it or train it."""
    from lora_tui.cli.output import note
    from lora_tui.demo.project import make_demo

    demo = make_demo(Path(args.directory), say=note)
    if args.headless or args.json:
        return _train(demo, as_json=args.json)
    from lora_tui.cli.main import open_app

    return open_app(demo.root)


@dataclass(frozen=True)
class Losses:
    """Steps of a run, and the mean losses of their first and last quarter (none without steps)."""

    steps: int
    first_quarter: float | None
    last_quarter: float | None


def losses(run_folder: RunFolder) -> Losses:
    """What the loss did, from the run's events; values that are no numbers are left out."""
    from lora_tui.jobs.events import EventReader, as_number

    reader = EventReader(run_folder.events_path)
    values: list[float] = []
    while events := reader.poll():
        for event in events:
            value = as_number(event.get("loss")) if event.get("kind") == "step" else None
            if value is not None and value - value == 0:
                values.append(value)
    quarter = max(len(values) // 4, 1)
    if not values:
        return Losses(0, None, None)
    return Losses(len(values), sum(values[:quarter]) / quarter, sum(values[-quarter:]) / quarter)


def _train(demo: Demo, *, as_json: bool) -> int:
    from lora_tui.cli.follow import follow
    from lora_tui.cli.output import Progress, note
    from lora_tui.config.load import load_config
    from lora_tui.runs.start import start_run

    begun = time.monotonic()
    started = start_run(load_config(demo.config), demo.runs)
    try:
        with Progress(_("step"), stream=sys.stderr) as screen:
            screen.line(_("Training in a process of its own; it would go on without this terminal."))
            status = follow(started, screen, history=True)
    except KeyboardInterrupt:
        note("")
        note(_("You have left; the training goes on."))
        note(_("See it with: {command}").format(command=_command("attach", started.root)))
        return 0
    return _report(demo, status, time.monotonic() - begun, as_json=as_json)


def _report(demo: Demo, status: RunStatus, seconds: float, *, as_json: bool) -> int:
    from lora_tui.cli.follow import ending_lines, status_json
    from lora_tui.cli.output import print_json, say
    from lora_tui.cli.train import checkpoints
    from lora_tui.text.plain import plain

    files = checkpoints(status.run)
    told = losses(status.run)
    good = status.state == "finished" and bool(files)
    if as_json:
        result: dict[str, Any] = {
            **status_json(status),
            "project": demo.root,
            "lora": files[-1] if files else None,
            "checkpoints": files,
            "steps": told.steps,
            "loss_first_quarter": told.first_quarter,
            "loss_last_quarter": told.last_quarter,
            "seconds": round(seconds, 1),
        }
        print_json(result)
        return 0 if good else 1
    if not good:
        for line in [_("The training did not finish."), *ending_lines(status)]:
            say(line)
        say(_("log    {path}").format(path=plain(str(status.run.log_path))))
        return 1
    for line in _good_news(demo, status, files[-1], told, seconds):
        say(line)
    return 0


def _good_news(demo: Demo, status: RunStatus, lora: Path, told: Losses, seconds: float) -> list[str]:
    from lora_tui.text.formats import bytes_text, count, duration, number
    from lora_tui.text.plain import plain

    size = bytes_text(lora.stat().st_size)
    return [
        _("Trained {steps} steps in {time}.").format(steps=count(told.steps), time=duration(seconds)),
        _("loss   {first} in the first quarter, {last} in the last").format(
            first=number(told.first_quarter), last=number(told.last_quarter)
        ),
        _("LoRA   {path} ({size})").format(path=plain(str(lora)), size=size),
        _("run    {path}").format(path=plain(str(status.run.root))),
        _("open   {command}").format(command=_command("attach", status.run.root)),
        _("files  {command}").format(command=_command("lora", "info", lora)),
        _("edit   {command}").format(command=_command(demo.root)),
    ]


def _command(*words: str | Path) -> str:
    """A command line to copy: with the plain name where the shell finds this very program by it, else with its path."""
    from lora_tui.text.plain import plain

    own = Path(sys.executable).parent / "lora-tui"
    found = shutil.which("lora-tui")
    if own.exists() and (found is None or not own.samefile(found)):
        program = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
    else:
        program = Path("lora-tui")
    return plain(shlex.join(map(str, (program, *words))))
