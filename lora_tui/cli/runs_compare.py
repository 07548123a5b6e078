"""``runs compare|export|clone``: runs side by side, as files for others, and as the beginning of a new one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_tui.records.compare import Comparison, Line
    from lora_tui.runs.folder import RunFolder

ACTIONS = ("compare", "export", "clone")
SHOWN = 20
"""Names of each kind of difference that are printed."""


def build(commands: Any) -> None:
    """Declare the commands."""
    comparing = commands.add_parser("compare", help=_("runs side by side: settings, dataset, results, samples"))
    _runs(comparing, _("two runs or more: folder, name or number"))
    comparing.add_argument("--where", default="", metavar="FILTER", help=_("also all runs for which this holds"))
    comparing.add_argument("--markdown", action="store_true", help=_("as a report in Markdown"))
    exporting = commands.add_parser("export", help=_("a report, every step as CSV, curves as SVG and PNG"))
    _runs(exporting, _("one run or several: folder, name or number"))
    exporting.add_argument("--where", default="", metavar="FILTER", help=_("also all runs for which this holds"))
    exporting.add_argument("--to", default="", metavar="DIR", help=_("folder to write into"))
    exporting.add_argument(
        "--format",
        default="md,csv,svg,png",
        metavar="LIST",
        help=_("md, csv, svg, png, tensorboard; several with commas"),
    )
    cloning = commands.add_parser("clone", help=_("a run's configuration as a new one"))
    cloning.add_argument("run", metavar="RUN", help=_("folder, name or number"))
    cloning.add_argument("file", nargs="?", default="", metavar="FILE", help=_("the new configuration"))
    cloning.add_argument("--name", default="", help=_("name of the new LoRA"))
    cloning.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=_("change a setting"))
    cloning.add_argument("--go-on", action="store_true", help=_("begin with the run's best LoRA file"))
    cloning.add_argument("--force", action="store_true", help=_("replace a file that exists"))
    for parser in (comparing, exporting, cloning):
        parser.add_argument("--dir", default=".", help=_("the project to look in"))
        parser.add_argument("--json", action="store_true", help=_("the result as JSON"))


def _runs(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help=text)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    if args.action == "clone":
        return _clone(args)
    comparison = compared(args, least=2 if args.action == "compare" else 1)
    if args.action == "export":
        return _export(comparison, args)
    return _compare(comparison, args)


def compared(args: argparse.Namespace, least: int) -> Comparison:
    """The runs that were named, held against each other.

    Raises:
        UserError: one is not found, or they are too few.
    """
    from lora_tui.records.compare import compare
    from lora_tui.records.rows import read_rows

    folders = named_runs(args)
    if len(folders) < least:
        text = ngettext("At least {count} run is needed.", "At least {count} runs are needed.", least)
        raise UserError(
            text.format(count=least),
            remedy=_("Name them: lora-tui runs {action} 1 2").format(action=args.action),
            code="usage",
        )
    return compare(read_rows(folders, folders[0].root.parent))


def named_runs(args: argparse.Namespace) -> list[RunFolder]:
    """The runs that were named and those that the filter finds, each once, in that order.

    Raises:
        UserError: one is not found, or the filter is none.
    """
    from lora_tui.records.query import chosen
    from lora_tui.records.rows import read_rows
    from lora_tui.runs.folder import find_run, list_runs

    base = Path(args.dir).absolute()
    found = [find_run(name, base) for name in args.runs]
    if args.where:
        there = list_runs(base / "runs") or list_runs(base)
        found += [row.run for row in chosen(read_rows(there, base / "runs"), args.where)]
    return list(dict.fromkeys(found))


def _compare(told: Comparison, args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.records.compare import as_json, by_key
    from lora_tui.records.export import dataset_lines, markdown
    from lora_tui.text.plain import plain

    if args.json:
        print_json(as_json(told))
        return 0
    if args.markdown:
        say(markdown(told).rstrip("\n"))
        return 0
    for name, row in zip(told.names, told.rows, strict=True):
        say(f"{name}  {plain(row.run.name)}")
    _section(_("Results"), told, told.results)
    alike = ngettext("{count} setting is alike", "{count} settings are alike", told.alike).format(count=told.alike)
    _section(_("Settings that differ ({alike})").format(alike=alike), told, by_key(told.settings))
    _section(_("Machine and versions"), told, told.machines)
    for name, changed in zip(told.names[1:], told.datasets, strict=True):
        say()
        say(_("Dataset of {run} against {first}").format(run=name, first=told.names[0]))
        for line in dataset_lines(changed, SHOWN):
            say(f"  {line}")
    for problem in told.problems:
        note(problem)
    return 0


def _section(title: str, told: Comparison, lines: Sequence[Line]) -> None:
    from lora_tui.cli.output import clip, say, table

    if lines:
        say()
        say(title)
        say(table([[line.title, *(clip(value, 40) for value in line.values)] for line in lines], ("", *told.names)))


def _export(told: Comparison, args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.places import absolute
    from lora_tui.records.export import FORMATS, export, unwritten
    from lora_tui.text.plain import plain

    formats = [name.strip() for name in args.format.split(",") if name.strip()]
    unknown = [name for name in formats if name not in (*FORMATS, "tensorboard")]
    if unknown or not formats:
        raise UserError(
            _("{name} is no format.").format(name=plain(", ".join(unknown), limit=60) or '""'),
            place="--format",
            remedy=_("Known are {names}.").format(names=", ".join((*FORMATS, "tensorboard"))),
            code="usage",
        )
    name = told.rows[0].run.name if len(told.rows) == 1 else "comparison"
    folder = absolute(args.to, "--to") if args.to else Path.cwd() / f"{name}-export"
    made = export(told, folder, formats)
    if "tensorboard" in formats:
        from lora_tui.trackers.tensorboard import write_runs

        made += write_runs([row.run for row in told.rows], folder / "tensorboard")
    if args.json:
        print_json({"folder": folder, "files": made})
    else:
        for path in made:
            say(plain(str(path)))
    if lacking := unwritten(told, formats):
        note(lacking)
    return 0


def _clone(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.load import set_values
    from lora_tui.places import absolute
    from lora_tui.records.best import best_of
    from lora_tui.records.clone import cloned, free_place, save_clone
    from lora_tui.records.notes import read_notes
    from lora_tui.runs.choose import shell_path
    from lora_tui.runs.folder import find_run

    base = Path(args.dir).absolute()
    chosen = find_run(args.run, base)
    start = None
    if args.go_on:
        best = best_of(chosen, read_notes(chosen))
        if best is None:
            raise UserError(_("The run has no LoRA file yet."), place=chosen.name, code="clone.nothing")
        start = best.checkpoint.path
    config = set_values(cloned(chosen, args.name, start_from=start), args.set)
    folder = base / "configs" if (base / "configs").is_dir() else base
    path = absolute(args.file, "FILE") if args.file else free_place(folder, config.saving.name)
    save_clone(config, path, force=args.force)
    if args.json:
        print_json({"run": chosen.root, "config": path})
    else:
        say(_("Wrote {file}. Start it: lora-tui train {place}").format(file=path, place=shell_path(path)))
    return 0
