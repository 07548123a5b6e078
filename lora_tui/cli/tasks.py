"""``lora-tui tasks``: tagging and preparing that go on in the background: list, follow, pause, stop, go on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import N_, _

if TYPE_CHECKING:
    from lora_tui.tasks.folder import TaskFolder
    from lora_tui.tasks.status import TaskStatus

POLL = 0.25
FAILED = 1

ASKED = {
    "stop": N_("asked to stop; what is done stays"),
    "pause": N_("asked to pause"),
    "resume": N_("asked to go on"),
}


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listed = commands.add_parser("list", help=_("what goes on and what was done last"))
    listed.add_argument("place", nargs="?", type=Path, metavar="DIR", help=_("the dataset or project to look in"))
    _add_place(listed)
    listed.set_defaults(action=_list)
    watch = commands.add_parser("watch", help=_("follow one until it ends"))
    _add_task(watch)
    watch.add_argument("--once", action="store_true", help=_("print how it stands and return"))
    watch.set_defaults(action=_watch)
    helps = {
        "stop": _("end it after the image in hand; what is done stays"),
        "pause": _("let it rest"),
        "resume": _("let it go on, or start it again where it was"),
    }
    for name, words in helps.items():
        one = commands.add_parser(name, help=words)
        _add_task(one)
        one.set_defaults(action=_ask)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return int(args.action(args))


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help=_("the dataset or project to look in"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def _add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", nargs="?", default="", metavar="TASK", help=_("folder or name; else the newest"))
    _add_place(parser)


def _chosen(text: str, directory: Path) -> TaskFolder:
    from lora_tui.errors import UserError
    from lora_tui.tasks.folder import TaskFolder, is_task
    from lora_tui.tasks.known import task_called, tasks_about
    from lora_tui.text.plain import plain

    if text and is_task(Path(text)):
        return TaskFolder(Path(text).absolute())
    found = task_called(text, directory) if text else next(iter(tasks_about(directory)), None)
    if found is not None:
        return found
    said = _("There is no task called {name}.").format(name=plain(text)) if text else _("There is no task.")
    raise UserError(said, remedy=_("See: lora-tui tasks list --dir DATASET"), code="task.not_found")


def _list(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.runs.status import state_word
    from lora_tui.tasks.kinds import kind_word
    from lora_tui.tasks.known import tasks_about
    from lora_tui.tasks.status import task_status
    from lora_tui.tasks.words import place_text

    found = [task_status(task) for task in tasks_about(args.place or args.dir)]
    if args.json:
        print_json([as_json(status) for status in found])
        return 0
    if not found:
        say(_("Nothing goes on, and nothing was done here yet."))
        return 0
    rows = [
        (status.task.name, kind_word(status.kind), status.title, state_word(status.state), place_text(status))
        for status in found
    ]
    say(table(rows, (_("task"), _("kind"), _("what"), _("state"), _("done"))))
    return 0


def _watch(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.tasks.status import task_status

    task = _chosen(args.task, args.dir)
    status = task_status(task) if args.once else follow(task)
    if args.json:
        print_json(as_json(status))
    else:
        for line in lines(status):
            say(line)
    return FAILED if status.state in ("failed", "died") else 0


def follow(task: TaskFolder) -> TaskStatus:
    """Show how far a task is until it ends; Ctrl+C leaves it going and returns how it stands."""
    from lora_tui.cli.output import Progress
    from lora_tui.tasks.status import task_status
    from lora_tui.tasks.words import phase_word

    status = task_status(task)
    try:
        with Progress(phase_word(status.phase), stream=sys.stderr) as screen:
            while status.alive:
                label = phase_word(status.phase)
                screen.update(status.done, status.total, status.detail, status.eta, label=label, guess=False)
                time.sleep(POLL)
                status = task_status(task)
    except KeyboardInterrupt:
        status = task_status(task)
    return status


def _ask(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.errors import UserError
    from lora_tui.tasks.start import ask_task
    from lora_tui.tasks.status import task_status

    task = _chosen(args.task, args.dir)
    status = task_status(task)
    if not status.alive and args.command != "resume":
        raise UserError(
            _("The task has ended."), place=task.name, remedy=_("See: lora-tui tasks list"), code="task.ended"
        )
    if status.state == "finished":
        raise UserError(_("The task is done."), place=task.name, code="task.ended")
    ask_task(task, args.command)
    said = _(ASKED[args.command]) if status.alive else _("started again")
    if args.json:
        print_json(as_json(task_status(task)))
    else:
        say(f"{task.name}: {said}")
    return 0


def lines(status: TaskStatus) -> list[str]:
    """A task in a few lines: how it stands, what came of it, what to do."""
    from lora_tui.runs.status import state_word
    from lora_tui.tasks.words import place_text, result_text
    from lora_tui.text.plain import plain
    from lora_tui.text.translate import ngettext

    told = [f"{status.task.name}  {state_word(status.state)}  {place_text(status)}".rstrip()]
    told += [plain(text, limit=600) for text in (result_text(status), status.message, status.advice) if text]
    if status.warnings:
        number = len(status.warnings)
        told.append(ngettext("{count} warning:", "{count} warnings:", number).format(count=number))
    for event in status.warnings[-10:]:
        parts = (event.get("place", ""), event.get("message", ""), event.get("remedy", ""))
        told.append("  " + plain(" ".join(str(part) for part in parts if part), limit=600))
    if status.can_resume:
        told.append(_("Go on with it: lora-tui tasks resume {task}").format(task=status.task.root))
    return told


def start_detached(
    home: Path, kind: str, title: str, options: Mapping[str, Any], *, json: bool, about: Iterable[Path] = ()
) -> int:
    """Start a task in the background and say how to follow it; it is found from the folders ``about``, too."""
    from lora_tui.cli.output import print_json, say
    from lora_tui.tasks.start import start_task
    from lora_tui.tasks.status import task_status

    task = start_task(home, kind, title, options, about=about)
    if json:
        print_json(as_json(task_status(task)))
        return 0
    say(_("Started {task}; it goes on without this terminal.").format(task=task.name))
    say(_("Follow it: lora-tui tasks watch {task}").format(task=task.name))
    say(_("Stop it: lora-tui tasks stop {task}").format(task=task.name))
    say(_("Go on with it later: lora-tui tasks resume {task}").format(task=task.name))
    return 0


def as_json(status: TaskStatus) -> dict[str, Any]:
    """A task for scripts."""
    names = ("kind", "title", "state", "phase", "done", "total", "detail", "eta", "per_second", "took", "result")
    value: dict[str, Any] = {"task": status.task.root, "name": status.task.name, "alive": status.alive}
    value.update({name: getattr(status, name) for name in (*names, "message", "advice")})
    value["warnings"] = list(status.warnings)
    value["can_resume"] = status.can_resume
    return value
