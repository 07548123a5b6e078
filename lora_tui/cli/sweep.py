"""``sweep``: several runs of one configuration that differ in some settings; their table; those that never ran."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _, ngettext

if TYPE_CHECKING:
    from lora_tui.project import Project
    from lora_tui.sweeps.folder import SweepFolder
    from lora_tui.sweeps.outlook import SweepPlan
    from lora_tui.sweeps.results import Table

ACTIONS = ("start", "table", "continue", "list")
SHOWN_RUNS = 40


def words(argv: list[str]) -> list[str]:
    """The words of the command with ``start`` put in where a configuration stands in place of what to do."""
    named = argv[:1] and (argv[0] in ACTIONS or argv[0] in ("-h", "--help"))
    return argv if named or not argv else ["start", *argv]


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _("start may be left out: lora-tui sweep CONFIG --vary network.rank=8,16,32")
    commands = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    starting = commands.add_parser("start", help=_("plan every run, and put them into the queue"))
    starting.add_argument("config", type=Path, metavar="CONFIG", help=_("a TOML file, with a table [sweep] or without"))
    starting.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help=_("a setting and its values, repeatable: network.rank=8,16,32 or learning.unet_lr='1e-5-1e-3 [5 log]'"),
    )
    starting.add_argument("--zip", action="store_true", help=_("go through the values of all --vary side by side"))
    starting.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="values", help=_("change a setting of all runs")
    )
    starting.add_argument("--name", default="", metavar="NAME", help=_("of the sweep; else that of the configuration"))
    starting.add_argument("--runs", metavar="DIR", default="", help=_("where run folders go; else the project's runs/"))
    starting.add_argument("--dry-run", action="store_true", help=_("only check and plan; exit status 3 on errors"))
    starting.add_argument("--yes", action="store_true", help=_("also where there are many runs"))
    table = commands.add_parser("table", help=_("the results of its runs side by side"))
    table.add_argument("--sort", default="", metavar="COLUMN", help=_("such as best_validation; -loss: largest first"))
    table.add_argument("--csv", action="store_true", help=_("the result as CSV"))
    going_on = commands.add_parser("continue", help=_("put the runs that never started into the queue"))
    listing = commands.add_parser("list", help=_("the sweeps of a project"))
    for command in (table, going_on):
        command.add_argument("sweep", nargs="?", default="", metavar="SWEEP", help=_("folder or name; else the newest"))
    for command in (table, going_on, listing):
        command.add_argument("--dir", default=".", metavar="DIR", help=_("the project to look in"))
    for command in (starting, going_on):
        command.add_argument(
            "--one-after-another", action="store_true", help=_("never two at once, also where there are several GPUs")
        )
        command.add_argument("--force", action="store_true", help=_("even where the disk may not hold all they write"))
    for command in (starting, table, going_on, listing):
        command.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return {"start": _start, "table": _table, "continue": _continue, "list": _list}[args.action](args)


def _start(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.runs.choose import runs_dir_for
    from lora_tui.sweeps.outlook import MANY_RUNS
    from lora_tui.sweeps.queueing import start

    runs_dir = (Path(args.runs) if args.runs else runs_dir_for(args.config)).absolute()
    planned, project = _planned(args, runs_dir)
    many = len(planned.runs) > MANY_RUNS and not args.yes
    if args.dry_run or many:
        if args.json and args.dry_run:
            print_json({"done": False, **planned.as_dict()})
        else:
            _say_plan(planned, project)
    if args.dry_run:
        return 3 if planned.errors else 0
    if not args.force or any(one.finding.code not in ROOM for one in planned.errors):
        planned.refuse()
    if many:
        raise UserError(
            _("{count} runs are many.").format(count=len(planned.runs)),
            remedy=_("Nothing was started. --yes starts them."),
            code="sweep.many",
        )
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    made = start(planned.sweep, runs_dir, command=command, chained=args.one_after_another, force=args.force)
    if args.json:
        queued = [{"id": job.id, "name": job.title} for job in made.jobs]
        told = {"done": True, "sweep": made.folder.root, "queued": queued, "again": made.again}
        print_json({**told, **planned.as_dict()})
        return 0
    for line in _plan_lines(planned, project, runs=False):
        note(line)
    say(str(made.folder.root))
    if made.again:
        note(_("It was started before and goes on: its other runs have begun or wait. --name starts it once more."))
    _say_queued(len(made.jobs), made.folder)
    return 0


ROOM = frozenset({"disk.too_small", "sweep.disk"})
"""Errors that ``--force`` overrules."""


def _planned(args: argparse.Namespace, runs_dir: Path) -> tuple[SweepPlan, Project | None]:
    from lora_tui.cli.output import Progress
    from lora_tui.config.history import past_probes, past_runs_elsewhere, past_runs_in
    from lora_tui.project import Project
    from lora_tui.sweeps.outlook import plan_sweep
    from lora_tui.sweeps.reading import read_sweep

    sweep = read_sweep(args.config, args.vary, zipped=args.zip, values=args.values, name=args.name)
    project = Project.find(args.config.absolute().parent)
    root = project.root if project else args.config.absolute().parent
    history = (*past_probes(root), *past_runs_in(runs_dir), *past_runs_elsewhere(project.root if project else None))
    price = project.price_per_hour if project else 0.0
    with Progress(_("planning"), len(sweep.members), quiet=args.json) as progress:
        planned = plan_sweep(sweep, runs_dir, history=history, price_per_hour=price, on_progress=progress.update)
    return planned, project


def _say_plan(planned: SweepPlan, project: Project | None) -> None:
    from lora_tui.cli.output import say

    for line in _plan_lines(planned, project):
        say(line)


def _plan_lines(planned: SweepPlan, project: Project | None, *, runs: bool = True) -> Iterator[str]:
    """What the sweep will do, with each run where ``runs`` is set, then what speaks against it."""
    from lora_tui.cli.config_plan import MARKS
    from lora_tui.cli.output import table
    from lora_tui.sweeps.axes import value_text
    from lora_tui.sweeps.members import values_words
    from lora_tui.sweeps.results import short_key
    from lora_tui.text.formats import bytes_text, count, duration
    from lora_tui.text.plain import plain

    if runs:
        keys = planned.sweep.keys
        lines = [
            (
                run.member.name,
                *(plain(value_text(run.member.values[key]), limit=30) for key in keys),
                count(run.plan.total_steps) if run.plan else "-",
                duration(run.plan.seconds) if run.plan else "-",
                bytes_text(run.plan.memory_total) if run.plan else "-",
            )
            for run in planned.runs[:SHOWN_RUNS]
        ]
        columns = (_("run"), *(short_key(key, keys) for key in keys), _("steps"), _("time"), _("memory"))
        yield table(lines, columns, right=range(1, len(columns)))
        if len(planned.runs) > SHOWN_RUNS:
            yield _("… and {count} more").format(count=count(len(planned.runs) - SHOWN_RUNS))
        yield ""
    yield planned.summary(project.currency if project is not None else "")
    for name, values in planned.sweep.alike:
        yield _("{values} is the same run as {name} and is there once.").format(values=values_words(values), name=name)
    told = [one for one in planned.told if one.finding.severity != "note"]
    told += [one for one in planned.errors if one not in told]
    for one in told:
        finding = one.finding
        field = f"{finding.field}: " if finding.field else ""
        yield f"{MARKS[finding.severity]} {planned.who(one)}: {field}{finding.message}"
        if finding.remedy:
            yield f"  {finding.remedy}"


def _say_queued(number: int, sweep: SweepFolder) -> None:
    from lora_tui.cli.output import say
    from lora_tui.runs.choose import shell_path

    if number:
        say(ngettext("{count} run is in the queue.", "{count} runs are in the queue.", number).format(count=number))
        say(_("see them:   lora-tui queue list"))
    say(_("results:    lora-tui sweep table {sweep}").format(sweep=shell_path(sweep.root)))


def _table(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.sweeps.folder import find_sweep
    from lora_tui.sweeps.results import read_table

    sweep = find_sweep(args.sweep, Path(args.dir).absolute())
    table = read_table(sweep).ordered(args.sort)
    if args.json:
        print_json({"folder": sweep.root, **table.as_dict()})
    elif args.csv:
        say(table.csv().rstrip("\n"))
    else:
        for line in _table_lines(table):
            say(line)
    return 0


def _table_lines(table: Table) -> Iterator[str]:
    from lora_tui.cli.follow import mark
    from lora_tui.cli.output import table as columns
    from lora_tui.sweeps.results import cells, counts_text, headings
    from lora_tui.text.plain import plain

    priced = any(one.get("cost") is not None for one in table.results)
    words_, right = headings(table, priced=priced)
    lines = []
    for one in table.results:
        line = cells(table, one, priced=priced)
        line[0] = mark(one.state) if one.row is not None else " "
        lines.append(line)
    yield columns(lines, words_, right=right)
    yield ""
    yield counts_text(table)
    best = table.best
    if best is not None:
        yield _("lowest validation loss: {name}").format(name=plain(best.member))
    for one in table.results:
        if one.message and one.state in ("failed", "died"):
            yield f"× {plain(one.member)}: {plain(one.message, limit=300)}"


def _continue(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.sweeps.folder import find_sweep
    from lora_tui.sweeps.queueing import enqueue_unstarted

    sweep = find_sweep(args.sweep, Path(args.dir).absolute())
    jobs = enqueue_unstarted(sweep, chained=args.one_after_another, force=args.force)
    if args.json:
        print_json({"sweep": sweep.root, "queued": [{"id": job.id, "name": job.title} for job in jobs]})
        return 0
    if not jobs:
        say(_("Every run of it has been started, or is in the queue."))
    _say_queued(len(jobs), sweep)
    return 0


def _list(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.cli.output import table as columns
    from lora_tui.sweeps.folder import list_sweeps
    from lora_tui.sweeps.results import counts_text, read_table, short_key

    base = Path(args.dir).absolute()
    if not base.is_dir():
        raise UserError(_("There is no such folder."), place=str(base), code="runs.directory")
    found = list(reversed(list_sweeps(base / "runs") or list_sweeps(base)))
    tables: list[Any] = [read_table(sweep) for sweep in found]
    if args.json:
        told = [
            {"folder": sweep.root, "name": sweep.name, "keys": list(sweep.keys), "counts": table.counts()}
            for sweep, table in zip(found, tables, strict=True)
        ]
        print_json({"sweeps": told})
    elif found:
        lines = [
            (sweep.name, ", ".join(short_key(key, sweep.keys) for key in sweep.keys), counts_text(table))
            for sweep, table in zip(found, tables, strict=True)
        ]
        say(columns(lines, (_("sweep"), _("varies"), _("runs"))))
    else:
        note(_("There are no sweeps here. Start one: lora-tui sweep CONFIG --vary network.rank=8,16,32"))
    return 0
