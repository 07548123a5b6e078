"""``lora-tui queue``: jobs that wait for what they need, and the process that starts them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import N_, _

if TYPE_CHECKING:
    from lora_tui.jobs.queue.process import Word
    from lora_tui.jobs.queue.record import Queue, QueueJob

PLACES = ("up", "down", "first", "last")
LOG_LINES = 40

_HELP = {
    "hold": N_("put jobs aside, or without a number the whole queue: nothing new starts"),
    "release": N_("let them go on; a job that waits for one that failed runs all the same"),
    "remove": N_("take jobs that are not running out of the queue"),
    "retry": N_("put jobs that failed or were stopped back: they go on where they were"),
    "stop": N_("ask jobs to save and end; without a number end the queue's process, jobs go on"),
}


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.cli import queue_add
    from lora_tui.jobs.queue.record import IF_FAILED

    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    queue_add.build(commands.add_parser("add", help=_("add a job: train CONFIG, tag DIR, prepare SRC DST, …")))
    listed = commands.add_parser("list", help=_("all jobs: running, waiting and why, ended"))
    listed.set_defaults(action=_list)
    show = commands.add_parser("show", help=_("one job in full"))
    _add_job(show)
    show.set_defaults(action=_show)
    move = commands.add_parser("move", help=_("change the place of a waiting job"))
    _add_job(move)
    move.add_argument("to", metavar="TO", help=_("up, down, first, last, or its new place from 1"))
    move.set_defaults(action=_move)
    after = commands.add_parser("after", help=_("let a job wait for others, or with none for nothing any more"))
    _add_job(after)
    after.add_argument("others", nargs="*", type=int, metavar="ID", help=_("jobs that must be done before"))
    after.add_argument("--if-failed", choices=IF_FAILED, help=_("what it does when one of them fails"))
    after.set_defaults(action=_after)
    for name, text in _HELP.items():
        one = commands.add_parser(name, help=_(text))
        many = "*" if name in ("hold", "release", "stop") else "+"
        one.add_argument("jobs", nargs=many, type=int, metavar="ID", help=_("numbers of jobs"))
        one.set_defaults(action=_ask)
        if name == "retry":
            one.add_argument("--anew", action="store_true", help=_("begin from the start, in a folder of its own"))
        if name == "stop":
            one.add_argument("--now", action="store_true", help=_("jobs do not save before"))
    _add_process(commands)
    for one in commands.choices.values():
        one.add_argument("--json", action="store_true", help=_("print one JSON document"))


def _add_process(commands: Any) -> None:
    clear = commands.add_parser("clear", help=_("take out all that has ended; runs and files stay"))
    clear.set_defaults(action=_clear)
    start = commands.add_parser("start", help=_("start the queue's process; it needs no terminal"))
    start.set_defaults(action=_start)
    status = commands.add_parser("status", help=_("whether it is running, and what it can give to jobs"))
    status.set_defaults(action=_status)
    log = commands.add_parser("log", help=_("the end of a job's log, or of the queue's own"))
    log.add_argument("job", nargs="?", type=int, metavar="ID", help=_("number of a job"))
    log.add_argument("--lines", type=int, default=LOG_LINES, metavar="N", help=_("so many lines"))
    log.set_defaults(action=_log)
    unit = commands.add_parser("unit", help=_("a systemd user unit that starts the queue with the machine"))
    unit.add_argument("--install", action="store_true", help=_("write it to its place and enable it"))
    unit.set_defaults(action=_unit)


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", type=int, metavar="ID", help=_("number of a job"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return int(args.action(args))


def _list(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.jobs.queue.kinds import label_of
    from lora_tui.jobs.queue.process import word
    from lora_tui.jobs.queue.record import state_word
    from lora_tui.jobs.queue.words import fares, queue_text, told_text, trouble_lines

    queue, said = read_queue(), word()
    if args.json:
        print_json({**queue_json(queue, said), "jobs": [job_json(job, queue, said) for job in queue.in_order()]})
        return 0
    rows = [
        (
            job.id,
            label_of(job.kind),
            job.title,
            state_word(job),
            told_text(job, queue, said, fares(job) if job.at_work else None),
        )
        for job in queue.in_order()
    ]
    if rows:
        say(table(rows, (_("job"), _("kind"), _("what"), _("state"), ""), right=(0,)))
    else:
        say(_("The queue is empty. Add to it: lora-tui queue add train CONFIG"))
    note(queue_text(queue, said))
    for line in trouble_lines(queue, said):
        note(line)
    return 0


def _show(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.queue.door import find_job
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.jobs.queue.process import word
    from lora_tui.jobs.queue.words import job_lines

    queue = read_queue()
    job = find_job(queue, args.job)
    if args.json:
        print_json(job_json(job, queue, word()))
        return 0
    for line in job_lines(job, queue, word()):
        say(line)
    return 0


def _move(args: argparse.Namespace) -> int:
    from lora_tui.jobs.queue import door
    from lora_tui.jobs.queue.journal import read_queue

    shifts = {"up": -1, "down": 1}
    ends = {"first": 0, "last": 1 << 30}
    if args.to in shifts:
        door.shift(args.job, shifts[args.to])
    elif args.to in ends:
        door.move(args.job, ends[args.to])
    elif args.to.isdecimal() and 0 < len(args.to) < 10:
        door.move(args.job, int(args.to) - 1)
    else:
        raise UserError(
            _("{text} is no place.").format(text=args.to[:40]),
            place="queue move",
            remedy=_("Say up, down, first, last, or a place from 1."),
            code="usage",
        )
    if args.json:
        return _list(args)
    queue = read_queue()
    place = [one.id for one in queue.waiting()].index(args.job) + 1 if queue.jobs[args.job].waits else 0
    text = _("Job {number} is number {place} of those that wait.").format(number=args.job, place=place)
    return _say_queue(text, args)


def _after(args: argparse.Namespace) -> int:
    from lora_tui.jobs.queue import door

    return _tell([door.come_after(args.job, args.others, args.if_failed)], args)


def _ask(args: argparse.Namespace) -> int:
    from lora_tui.jobs.queue import door

    if not args.jobs:
        return _ask_queue(args)
    if args.command == "retry":
        found = door.retry(args.jobs, anew=args.anew)
    elif args.command == "stop":
        found = door.stop_jobs(args.jobs, now=args.now)
    else:
        found = {"hold": door.hold, "release": door.release, "remove": door.remove}[args.command](args.jobs)
    return _tell(found, args, gone=args.command == "remove")


def _ask_queue(args: argparse.Namespace) -> int:
    from lora_tui.jobs.queue import door, process

    if args.command == "stop":
        was = process.stop()
        told = _("The queue's process has ended; running jobs go on.") if was else _("The queue was not running.")
    elif args.command == "hold":
        door.hold_all()
        told = _("The queue is held: nothing new starts.")
    else:
        door.release_all()
        told = _("The queue goes on.")
    return _say_queue(told, args)


def _clear(args: argparse.Namespace) -> int:
    from lora_tui.jobs.queue import door

    return _tell(door.clear(), args, gone=True)


def _start(args: argparse.Namespace) -> int:
    from lora_tui.jobs.queue import process

    return _say_queue(_("The queue is running, process {pid}.").format(pid=process.start()), args)


def _status(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.jobs.queue.process import word
    from lora_tui.jobs.queue.words import queue_text, trouble_lines
    from lora_tui.text import bytes_text

    queue, said = read_queue(), word()
    if args.json:
        print_json(queue_json(queue, said))
        return 0
    say(queue_text(queue, said))
    users = {uuid: job.id for job in queue.working() for uuid in job.given}
    for gpu in said.box.gpus if said.alive else ():
        state = _("job {number}").format(number=users[gpu.uuid]) if gpu.uuid in users else _("free")
        if gpu.uuid not in users and not gpu.free:
            state = _("somebody else uses it")
        size = f"  {bytes_text(gpu.used)} / {bytes_text(gpu.total)}" if gpu.total and gpu.used is not None else ""
        say(f"  GPU {gpu.number}  {gpu.name}{size}  {state}")
    for line in trouble_lines(queue, said):
        say(line)
    return 0


def _say_queue(told: str, args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.jobs.queue.process import word

    if args.json:
        print_json(queue_json(read_queue(), word()))
    else:
        say(told)
    return 0


def _tell(jobs: Sequence[QueueJob], args: argparse.Namespace, *, gone: bool = False) -> int:
    """How jobs stand after what was asked for."""
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.jobs.queue.process import word
    from lora_tui.jobs.queue.record import state_word

    queue, said = read_queue(), word()
    if args.json:
        print_json([job_json(job, queue, said) for job in jobs])
        return 0
    for job in jobs:
        now = _("removed") if gone else state_word(queue.jobs.get(job.id, job))
        say(f"{job.id}  {job.title}: {now}")
    return 0


def _log(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.explain import last_lines, read_tail
    from lora_tui.jobs.queue.door import find_job, log_paths
    from lora_tui.jobs.queue.journal import queue_dir, read_queue
    from lora_tui.jobs.queue.process import LOG

    paths = [queue_dir() / LOG]
    if args.job is not None:
        paths = log_paths(find_job(read_queue(), args.job))
    texts = {path: last_lines(read_tail(path), max(args.lines, 1)) for path in paths}
    if args.json:
        print_json([{"path": path, "lines": lines} for path, lines in texts.items()])
        return 0
    for path, lines in texts.items():
        if lines or len(texts) == 1:
            say(f"{path}:")
        for line in lines:
            say(f"  {line}")
    return 0


def _unit(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.jobs.queue import unit

    path, why = unit.install() if args.install else (unit.unit_path(), "")
    if args.json:
        print_json(
            {
                "path": path,
                "unit": unit.unit_text(),
                "cron": unit.cron_line(),
                "installed": args.install,
                "not_enabled": why,
            }
        )
        return 0
    if not args.install:
        say(unit.unit_text().rstrip())
        note(_("Write it to {path} and enable it: lora-tui queue unit --install").format(path=path))
        if not unit.has_systemd():
            note(_("This machine was not started by systemd; in a crontab this does the same:"))
            note(f"  {unit.cron_line()}")
        return 0
    say(_("Written: {path}").format(path=path))
    if why:
        note(_("It is not enabled: {reason}.").format(reason=why.rstrip(".")))
        note(_("Enable it yourself: systemctl --user enable --now {name}").format(name=unit.NAME))
    else:
        note(_("Start it now: systemctl --user start {name}").format(name=unit.NAME))
    note(_("So that it begins without anybody logged in: loginctl enable-linger"))
    return 0


def queue_json(queue: Queue, said: Word) -> dict[str, Any]:
    """The queue itself for scripts."""
    from dataclasses import asdict

    return {
        "alive": said.alive,
        "pid": said.pid if said.pid > 0 else None,
        "host": said.host if said.alive else "",
        "started": said.started,
        "held": queue.held,
        "stopped": queue.stopped,
        "working": len(queue.working()),
        "waiting": len(queue.waiting()),
        "damaged": queue.damaged,
        "trouble": said.trouble,
        "gpus": [asdict(gpu) | {"free": gpu.free} for gpu in said.box.gpus],
    }


def job_json(job: QueueJob, queue: Queue, said: Word) -> dict[str, Any]:
    """A job for scripts."""
    from lora_tui.jobs.queue.words import fares, share, told_text

    names = (
        "id", "kind", "title", "state", "held", "command", "folder", "source", "gpus", "numbers", "after", "if_failed",
        "group", "life", "added", "started", "ended", "message", "advice",
    )  # fmt: skip
    status = fares(job) if job.at_work else None
    done, total = share(status)
    reason = said.waits.get(job.id) if job.waits else None
    waits = ("held" if job.held else reason.code if reason is not None else "") if job.waits else ""
    value = {name: getattr(job, name) for name in names}
    return value | {
        "place": job.place or None,
        "waits": waits,
        "told": told_text(job, queue, said, status),
        "done": done,
        "total": total,
    }
