"""``runs``: the runs of a project, and what can be asked of one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import N_, _

if TYPE_CHECKING:
    from lora_tui.records.rows import Row
    from lora_tui.runs.folder import RunFolder

ASKED = {
    "stop": N_("save the state and end"),
    "pause": N_("free the GPU until it is resumed"),
    "resume": N_("go on after a pause, a stop or a death"),
    "save": N_("save a LoRA file now"),
    "sample": N_("draw the sample images now"),
    "validate": N_("measure the validation loss now"),
}


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.cli import runs_ask, runs_compare, runs_keep, runs_notes, slurm_options

    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help=_("the runs of a project"))
    listing.add_argument("dir", nargs="?", default=".", metavar="DIR", help=_("project or its runs folder"))
    listing.add_argument("--dir", dest="also", default="", metavar="DIR", help=_("the same, as the others take it"))
    listing.add_argument("--living", action="store_true", help=_("the living runs of this machine, of all projects"))
    listing.add_argument("--where", default="", metavar="FILTER", help=_("such as: family:flux lr<1e-4 tag:good"))
    listing.add_argument(
        "--sort", default="", metavar="FIELD", help=_("by a field, such as loss; -loss: largest first")
    )
    listing.add_argument("--csv", action="store_true", help=_("the result as CSV, every setting a column"))
    showing = commands.add_parser("show", help=_("one run: how it stands, its files, why it ended"))
    asking = {name: commands.add_parser(name, help=_(text)) for name, text in ASKED.items()}
    for command in (showing, *asking.values()):
        command.add_argument(
            "run", nargs="?", default="", metavar="RUN", help=_("folder, name or number; else the newest living run")
        )
        command.add_argument("--dir", default=".", help=_("the project to look in"))
    for command in (listing, showing, *asking.values()):
        command.add_argument("--json", action="store_true", help=_("the result as JSON"))
    asking["stop"].add_argument("--now", action="store_true", help=_("do not save; the last state stays"))
    asking["resume"].add_argument(
        "--budget", metavar="2h", default="", help=_("save and stop in time: 90m, 2h, or money such as 2.50EUR")
    )
    asking["resume"].add_argument(
        "--force",
        action="store_true",
        help=_("go on where the disk may not hold it, and beside the command after its end, too"),
    )
    asking["stop"].add_argument("--no-wait", action="store_true", help=_("return at once, not when it has ended"))
    slurm_options.add(asking["resume"])
    runs_ask.add_sample_options(asking["sample"])
    for module in (runs_ask, runs_notes, runs_compare, runs_keep):
        module.build(commands)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    from lora_tui.cli import runs_ask, runs_compare, runs_keep, runs_notes

    if args.action == "list":
        return _list(args)
    if args.action in runs_compare.ACTIONS:
        return runs_compare.run(args)
    if args.action in runs_keep.ACTIONS:
        return runs_keep.run(args)
    if args.action in runs_notes.ACTIONS:
        from lora_tui.runs.folder import find_run

        return runs_notes.run(find_run(args.run, Path(args.dir).absolute()), args)
    from lora_tui.runs.choose import choose_run

    chosen = choose_run(args.run, Path(args.dir))
    if args.action == "show":
        return _show(chosen, as_json=args.json)
    if args.action == "resume":
        return _resume(chosen, args)
    if args.action == "stop":
        return _stop(chosen, args)
    if args.action == "images":
        return runs_ask.list_images(chosen, args)
    fields = {"sample": runs_ask.sample_fields, "set": runs_ask.set_fields}.get(args.action, lambda _args: {})(args)
    return _ask(chosen, args.action, fields, as_json=args.json)


def _list(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.runs.choose import living_runs
    from lora_tui.runs.folder import list_runs

    base = Path(args.also or args.dir).absolute()
    if not args.living and not base.is_dir():
        raise UserError(_("There is no such folder."), place=str(base), code="runs.directory")
    found = living_runs() if args.living else list_runs(base / "runs") or list_runs(base)
    rows = _rows(found, base, args)
    if args.csv:
        from lora_tui.records.export import table_csv

        say(table_csv(rows).replace("\r\n", "\n").rstrip("\n"))
    elif args.json:
        print_json({"runs": [row_json(row) for row in rows]})
    elif rows:
        headings = [
            "",
            "#",
            _("run"),
            _("adapter"),
            _("state"),
            _("step"),
            "%",
            _("loss"),
            _("best"),
            _("time"),
            "",
            "",
        ]
        lines = [_row(row) for row in rows]
        while not any(line[-1] for line in lines):  # nobody rated or tagged one of them
            lines, headings = [line[:-1] for line in lines], headings[:-1]
        say(table(lines, headings, right=(1, 5, 6, 7, 8, 9)))
    elif args.living:
        note(_("No training is running on this machine."))
    elif found:
        note(_("No run fits the filter."))
    else:
        note(_("There are no runs here. Start one: lora-tui train CONFIG"))
    return 0


def _rows(found: list[RunFolder], base: Path, args: argparse.Namespace) -> list[Row]:
    """The runs that are meant, newest first or as they are to be sorted.

    Raises:
        UserError: the filter or the field is none.
    """
    from lora_tui.records.order import ordered
    from lora_tui.records.query import chosen, parse
    from lora_tui.records.rows import read_rows

    parse(args.where)  # a mistake is told before anything is read
    rows = read_rows(reversed(found), found[0].root.parent if found else base)
    return ordered(chosen(rows, args.where), args.sort)


def row_json(row: Row) -> dict[str, Any]:
    """A run in a list as plain values."""
    from lora_tui.cli.follow import status_json

    return {
        **status_json(row.status),
        "family": row.family,
        "adapter": row.adapter,
        "best": row.run.root / row.best if row.best else None,
        "best_step": row.best_step or None,
        "best_why": row.best_why,
        "best_strength": row.best_strength,
        "validation": row.validation,
        "rating": row.notes.rating or None,
        "tags": list(row.notes.tags),
        "note": row.notes.note,
    }


def _row(row: Row) -> tuple[str, ...]:
    from lora_tui.cli.follow import mark
    from lora_tui.runs.status import state_words
    from lora_tui.text.formats import count, duration, number

    status = row.status
    state = state_words(status)
    if status.eta is not None:
        span = _("{time} left").format(time=duration(status.eta))
    elif status.took is not None:
        span = duration(status.took)
    else:
        span = "-"
    return (
        mark(status.state),
        str(status.number or "-"),
        status.run.name,
        row.adapter,
        _("{state}, damaged").format(state=state) if status.damaged else state,
        count(status.step),
        f"{status.share:.0%}" if status.total_steps else "-",
        number(status.loss),
        f"@{count(row.best_step)}" if row.best_step else "-",
        span,
        row.notes.stars,
        " ".join(row.notes.tags),
    )


def _show(chosen: RunFolder, *, as_json: bool) -> int:
    from lora_tui.cli.follow import status_json, status_lines
    from lora_tui.cli.output import print_json, say
    from lora_tui.cli.runs_notes import noted_json, noted_lines
    from lora_tui.cli.train import checkpoint_files
    from lora_tui.runs.beginning import beginning_of
    from lora_tui.runs.gpu_memory import gpu_memory_of
    from lora_tui.runs.memory_policy import reached_by
    from lora_tui.runs.quicker import quicker_words
    from lora_tui.runs.record import read_record
    from lora_tui.runs.settings_text import settings_of
    from lora_tui.runs.status import inspect
    from lora_tui.text.formats import bytes_text

    record = read_record(chosen)
    status, files, gpus = inspect(chosen), checkpoint_files(chosen), gpu_memory_of(chosen)
    if as_json:
        extra: dict[str, Any] = {
            "config": chosen.config_path,
            "log": chosen.log_path,
            "checkpoints": [{"path": path, "bytes": size} for path, size in files],
            "states": _names(chosen.state_dir),
            "samples": _names(chosen.samples_dir),
            "gpu_memory": [asdict(one) for one in gpus],
            "record": {name: value for name, value in record.items() if name != "dataset"},
            **noted_json(chosen),
        }
        print_json({**status_json(status), **extra})
        return 0
    for line in status_lines(status):
        say(line)
    asked = settings_of(chosen)
    for line in asked.lines if asked is not None else ():
        say(line)
    for word in quicker_words(record):
        say(word)
    began = beginning_of(record)
    if began is not None:
        say(began.sentence)
    for one in gpus:
        if status.alive and one.now is not None:
            text = _("memory on GPU {number}: {now} now, {most} at most")
            say(text.format(number=one.index, now=bytes_text(one.now), most=bytes_text(one.most)))
        else:
            say(_("memory on GPU {number}: {most} at most").format(number=one.index, most=bytes_text(one.most)))
    reached = reached_by(chosen)
    if reached is not None and (sentence := reached.sentence()):
        say(sentence)
    for line in noted_lines(chosen):
        say(line)
    say(str(chosen.root))
    for path, size in files:
        say(f"  {path.relative_to(chosen.root)}  {bytes_text(size)}")
    return 0


def _names(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _ask(chosen: RunFolder, kind: str, fields: Mapping[str, Any] | None = None, *, as_json: bool) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.control import request

    _require_alive(chosen)
    path = request(chosen.root, kind, **(fields or {}))
    if as_json:
        print_json({"run": chosen.root, "request": kind, "file": path})
    else:
        say(_("Asked {run} to {request}; it does so within a step.").format(run=chosen.name, request=kind))
    return 0


def _stop(chosen: RunFolder, args: argparse.Namespace) -> int:
    from lora_tui.cli.follow import status_json, status_lines, wait_for_end
    from lora_tui.cli.output import Progress, print_json, say
    from lora_tui.cli.train import checkpoint_files
    from lora_tui.jobs.control import request
    from lora_tui.runs.status import awaits_turn, inspect
    from lora_tui.text.plain import plain

    kind = "stop_now" if args.now else "stop"
    if awaits_turn(inspect(chosen)):
        return _take_back(chosen, as_json=args.json)
    if args.no_wait:
        return _ask(chosen, kind, as_json=args.json)
    _require_alive(chosen)
    before = {path for path, _size in checkpoint_files(chosen)}
    request(chosen.root, kind)
    with Progress(_("stopping")) as screen:
        status = wait_for_end(chosen, screen, _("stopping"))
    saved = [path for path, _size in checkpoint_files(chosen) if path not in before]
    if args.json:
        print_json({**status_json(status), "saved": saved})
    else:
        for line in status_lines(status):
            say(line)
        for path in saved:
            say(_("saved {file}").format(file=plain(str(path))))
    return 0 if status.state in ("stopped", "finished") else 1


def _take_back(chosen: RunFolder, *, as_json: bool) -> int:
    """Stop a run that has not begun, or waits for its next turn: its job leaves Slurm."""
    from lora_tui.cli.follow import status_json
    from lora_tui.cli.output import print_json, say
    from lora_tui.jobs.slurm.send import take_back
    from lora_tui.runs.status import inspect

    job = take_back(chosen.root)
    if as_json:
        print_json({**status_json(inspect(chosen)), "saved": []})
    else:
        say(_("Job {job} was taken out of Slurm; what the run had saved stays.").format(job=job))
    return 0


def _resume(chosen: RunFolder, args: argparse.Namespace) -> int:
    from lora_tui.cli import slurm_options
    from lora_tui.cli.follow import status_json
    from lora_tui.cli.output import print_json, say
    from lora_tui.runs.choose import shell_name
    from lora_tui.runs.start import resume_run
    from lora_tui.runs.status import inspect

    slurm = slurm_options.of_resume(args, chosen, command="runs resume")
    if inspect(chosen).waits:
        return _ask(chosen, "resume", as_json=args.json)
    resume_run(chosen, slurm=slurm, force=args.force, budget=args.budget)
    if not args.json and (sent := inspect(chosen).sent) is not None:
        say(_("Sent to Slurm again: {words}").format(words=sent.words))
    if args.json:
        print_json(status_json(inspect(chosen)))
    else:
        say(_("It goes on. See it: lora-tui attach {run}").format(run=shell_name(chosen)))
    return 0


def _require_alive(chosen: RunFolder) -> None:
    """Refuse to ask a run that nobody would answer for.

    Raises:
        UserError: ``run.not_running``.
    """
    from lora_tui.cli.follow import resume_hint
    from lora_tui.runs.status import awaits_turn, inspect, state_words

    status = inspect(chosen)
    if status.alive and not awaits_turn(status):
        return
    remedy = resume_hint(chosen) if status.can_resume else ""
    raise UserError(
        _("It is not running: {state}.").format(state=state_words(status)),
        place=chosen.name,
        remedy=remedy,
        code="run.not_running",
    )
