"""``runs publish|disk|prune|remove|trash``: a run's result handed on, and what of runs can go."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_tui.records.disk import Leaving
    from lora_tui.records.rows import Row

ACTIONS = ("publish", "disk", "prune", "remove", "trash")


def build(commands: Any) -> None:
    """Declare the commands."""
    publishing = commands.add_parser("publish", help=_("the best LoRA file with cover and trigger words to ComfyUI …"))
    publishing.add_argument("run", metavar="RUN", help=_("folder, name or number"))
    publishing.add_argument(
        "--to", default="", metavar="PLACE", help=_("folder of ComfyUI, A1111 or LoRA files, or host:folder")
    )
    publishing.add_argument("--file", default="", help=_("another LoRA file of the run: its name or step"))
    publishing.add_argument("--name", default="", help=_("name of the file there"))
    publishing.add_argument("--cover", default="", metavar="IMAGE", help=_("another picture as its cover"))
    publishing.add_argument("--trigger", default="", metavar="WORDS", help=_("other trigger words"))
    publishing.add_argument("--force", action="store_true", help=_("replace a file that exists"))
    costing = commands.add_parser("disk", help=_("what runs take on disk, and what of it can go"))
    pruning = commands.add_parser("prune", help=_("resume states and LoRA files that are not needed any more"))
    removing = commands.add_parser("remove", help=_("whole runs, into the trash or for good"))
    for parser in (costing, pruning, removing):
        parser.add_argument("runs", nargs="*", metavar="RUN", help=_("folders, names or numbers"))
        parser.add_argument("--where", default="", metavar="FILTER", help=_("also all runs for which this holds"))
    pruning.add_argument(
        "--what", default="states,checkpoints", metavar="LIST", help=_("states, checkpoints, samples; with commas")
    )
    pruning.add_argument("--keep", type=int, metavar="N", help=_("keep the last N LoRA files as well"))
    pruning.add_argument("--older-than", default="", metavar="TIME", help=_("only runs that ended so long ago: 30d"))
    for parser in (pruning, removing):
        parser.add_argument("--yes", action="store_true", help=_("do it; without this it is only shown"))
        parser.add_argument("--delete", action="store_true", help=_("for good, not into the trash"))
    trash = commands.add_parser("trash", help=_("what was removed: list it, bring it back, empty it"))
    trash.add_argument("--restore", default="", metavar="NAME", help=_("bring this back; last is the newest"))
    trash.add_argument("--empty", action="store_true", help=_("delete all of it for good"))
    for parser in (publishing, costing, pruning, removing, trash):
        parser.add_argument("--dir", default=".", help=_("the project to look in"))
        parser.add_argument("--json", action="store_true", help=_("the result as JSON"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    if args.action == "publish":
        return _publish(args)
    if args.action == "trash":
        return _trash(args)
    if args.action == "disk":
        return _disk(args)
    return _prune(args)


def _publish(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.places import absolute
    from lora_tui.records.publish import parcel_of, publish, scp_line, target_of
    from lora_tui.runs.folder import find_run
    from lora_tui.settings import load_settings

    chosen = find_run(args.run, Path(args.dir).absolute())
    place = args.to or load_settings().publish
    if not place:
        raise UserError(
            _("It is not said where to."),
            place="--to",
            remedy=_("Name a folder, or host:folder; publish in the settings file keeps it."),
            code="publish.target",
        )
    target = target_of(place)
    file = _file_of(chosen, args.file) if args.file else None
    cover = absolute(args.cover, "--cover") if args.cover else None
    parcel = parcel_of(chosen, file=file, name=args.name, cover=cover, trigger=args.trigger)
    made = publish(parcel, target, force=args.force)
    line = scp_line(made, target.remote) if target.remote else ""
    if args.json:
        told = {"file": parcel.file, "why": parcel.why, "step": parcel.step, "trigger": parcel.trigger}
        print_json({**told, "files": made, "scp": line or None})
        return 0
    for path in () if line else made:
        say(str(path))
    if line:
        say(line)
    if parcel.why == "last":
        note(_("No validation tells which file is the best: the last one was taken."))
    if not parcel.trigger:
        note(_("No trigger word is known; --trigger says one."))
    if parcel.cover is None:
        note(_("The run has no sample for a cover; --cover names a picture."))
    return 0


def _file_of(chosen: Any, text: str) -> Path:
    from lora_tui.records.best import checkpoints_of

    wanted = text.removesuffix(".safetensors")
    for one in checkpoints_of(chosen):
        if one.path.stem == wanted or (wanted.isdecimal() and one.step == int(wanted)):
            return one.path
    return Path(chosen.checkpoints_dir / text)


def _rows(args: argparse.Namespace, *, whole: bool) -> list[Row]:
    """The rows of the runs that are meant; with ``whole`` all of the project where none is named."""
    from lora_tui.cli.runs_compare import named_runs
    from lora_tui.records.rows import read_rows
    from lora_tui.runs.folder import list_runs

    base = Path(args.dir).absolute()
    folders = named_runs(args)
    if not folders and not args.runs and not args.where and whole:
        folders = list_runs(base / "runs") or list_runs(base)
    return read_rows(folders, folders[0].root.parent) if folders else []


def _disk(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.records.disk import PARTS, Wish, cost_of, leaving, total
    from lora_tui.text.formats import bytes_text

    rows = _rows(args, whole=True)
    costs = [(row, cost_of(row.run), total(leaving(row, Wish())[0])) for row in rows]
    costs.sort(key=lambda one: -one[1].total)
    if args.json:
        runs = [{"run": row.run.root, "bytes": cost.total, **cost.parts, "can_go": free} for row, cost, free in costs]
        print_json({"runs": runs, "bytes": sum(cost.total for _row, cost, _free in costs)})
        return 0
    if not costs:
        note(_("There are no runs here."))
        return 0
    heads = (_("run"), _("in all"), *(_(title) for title in PARTS.values()), _("can go"))
    lines = [
        (row.run.name, *(bytes_text(size) for size in (cost.total, *cost.parts.values(), free)))
        for row, cost, free in costs
    ]
    sums = [sum(cost.total for _r, cost, _f in costs)]
    sums += [sum(cost.parts[name] for _r, cost, _f in costs) for name in PARTS] + [sum(free for _r, _c, free in costs)]
    say(table([*lines, (_("together"), *map(bytes_text, sums))], heads, right=range(1, len(heads))))
    return 0


def _prune(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.records.disk import leaving, total
    from lora_tui.records.trash import throw_away
    from lora_tui.text.formats import bytes_text

    wish = _wish(args)
    rows = _rows(args, whole=args.action == "prune")
    if not rows and args.action == "remove":
        raise UserError(_("It is not said which runs."), remedy=_("Name them, or use --where."), code="usage")
    found: list[Leaving] = []
    kept: list[tuple[Row, str]] = []
    for row in rows:
        mine, why = leaving(row, wish)
        found += mine
        if why:
            kept.append((row, why))
    gone, errors = throw_away(found, for_good=args.delete) if args.yes else ([], [])
    if args.json:
        shown = gone if args.yes else found
        files = [{"run": one.run.root, "path": one.path, "bytes": one.size, "why": one.why} for one in shown]
        left = [{"run": row.run.root, "why": why} for row, why in kept]
        told = {"done": args.yes, "files": files, "bytes": total(shown), "kept": left}
        print_json({**told, "errors": [error.as_dict() for error in errors]})
        return 1 if errors else 0
    _say_leaving(gone if args.yes else found)
    if args.action == "remove":
        for row, why in kept:
            note(f"{row.run.name}: {why}")
    for error in errors:
        note(str(error))
    if not found:
        say(_("Nothing can go."))
    elif not args.yes:
        say(_("{size} in all. Nothing was changed; --yes does it.").format(size=bytes_text(total(found))))
    elif gone and args.delete:
        say(_("Deleted {size}.").format(size=bytes_text(total(gone))))
    elif gone:
        text = _("Moved {size} into the trash; lora-tui runs trash --restore last brings it back, --empty frees it.")
        say(text.format(size=bytes_text(total(gone))))
    return 1 if errors else 0


def _wish(args: argparse.Namespace) -> Any:
    from lora_tui.records.disk import WHATS, Wish
    from lora_tui.records.values import ValueProblem, number_in
    from lora_tui.text.plain import plain

    if args.action == "remove":
        return Wish(("all",))
    what = tuple(word.strip() for word in args.what.split(",") if word.strip())
    known = [name for name in WHATS if name != "all"]
    wrong = [word for word in what if word not in known]
    if wrong or not what:
        raise UserError(
            _("{name} is nothing that can go.").format(name=plain(", ".join(wrong), limit=60) or '""'),
            place="--what",
            remedy=_("Known are {names}.").format(names=", ".join(known)),
            code="usage",
        )
    try:
        keep = None if args.keep is None else max(args.keep, 0)
        return Wish(what, keep, number_in(args.older_than) if args.older_than else 0.0)
    except ValueProblem as problem:
        raise UserError(str(problem), place="--older-than", code="usage") from problem


def _say_leaving(found: Sequence[Leaving]) -> None:
    from lora_tui.cli.output import say, table
    from lora_tui.text.formats import bytes_text

    if found:
        lines = [(bytes_text(one.size), str(one.path.relative_to(one.run.root.parent)), one.why) for one in found]
        say(table(lines, (_("size"), _("file"), _("why")), right=(0,)))


def _trash(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.records.trash import as_json, bring_back, empty, in_trash
    from lora_tui.text.formats import bytes_text, clock
    from lora_tui.text.plain import plain

    base = Path(args.dir).absolute()
    runs_dir = base / "runs" if (base / "runs").is_dir() else base
    there = in_trash(runs_dir)
    if args.restore:
        wanted = there[0].batch if args.restore == "last" and there else args.restore
        chosen = [one for one in there if wanted in (one.name, one.batch)]
        if not chosen:
            raise UserError(
                _("Nothing of this name is in the trash."),
                remedy=_("See: lora-tui runs trash"),
                code="trash.unknown",
            )
        back = [path for one in chosen for path in bring_back(runs_dir, one)]
        if args.json:
            print_json({"restored": back})
        for path in () if args.json else back:
            say(str(path))
        return 0
    if args.empty:
        freed = empty(runs_dir, there)
        if args.json:
            print_json({"freed": freed})
        else:
            say(_("Freed {size}.").format(size=bytes_text(freed)))
        return 0
    if args.json:
        print_json({"trash": [as_json(one) for one in there]})
        return 0
    for one in there:
        what = ngettext("{count} entry", "{count} entries", len(one.moves)).format(count=len(one.moves))
        say(f"{one.name}  {clock(one.time, '%Y-%m-%d %H:%M')}  {bytes_text(one.size):>9}  {what}")
        for before, _there in one.moves:
            say(f"  {plain(before)}")
    if not there:
        say(_("The trash is empty."))
    return 0
