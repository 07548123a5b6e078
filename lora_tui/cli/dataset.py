"""``lora-tui dataset``: check a folder of images, show the buckets it falls into."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.dataset.prepare.options import FAMILY_SIZES
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.dataset.scan import Problem, Scan
    from lora_tui.project import Project

PROBLEMS = 3
USUAL_JOBS, MOST_JOBS = 4, 64
_SHOWN_PER_KIND = 5


def build(parser: argparse.ArgumentParser) -> None:
    from lora_tui.cli import dataset_class_images, dataset_facts, dataset_files, dataset_notes, dataset_prepare

    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help=_("say what is wrong with a dataset, and how to fix it"))
    _add_source(check)
    check.add_argument("--purpose", default="", metavar="P", help=_("what the LoRA is for; a project knows it"))
    check.add_argument("--trigger", default="", metavar="W", help=_("a word that every caption should have"))
    check.add_argument("--quick", action="store_true", help=_("read headers and captions only, decode no image"))
    jobs = _("processes that decode images at the same time (default: {number})").format(number=usual_jobs())
    check.add_argument("--jobs", type=_jobs, default=usual_jobs(), metavar="N", help=jobs)
    check.add_argument("--all", action="store_true", help=_("list every file, not only the first few of each kind"))
    check.set_defaults(action=_check)
    buckets = commands.add_parser("buckets", help=_("show the sizes that the images are trained at"))
    _add_source(buckets)
    buckets.add_argument("--batch-size", type=int, metavar="N", help=_("images shown at once"))
    buckets.set_defaults(action=_buckets)
    dataset_facts.build(commands, _add_source, _opened)
    dataset_files.build(commands)
    dataset_notes.build(commands)
    dataset_prepare.build(commands)
    dataset_class_images.build(commands)


def run(args: argparse.Namespace) -> int:
    return int(args.action(args))


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=_folder, help=_("a folder of images, or a project"))
    parser.add_argument("--config", type=Path, metavar="FILE", help=_("take the settings of this configuration"))
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--resolution", type=int, metavar="PX", help=_("training size: side of a square of its area"))
    sizes.add_argument("--family", choices=tuple(FAMILY_SIZES), help=_("the training size of this family of models"))
    parser.add_argument("--min", type=int, metavar="PX", help=_("smallest side of a bucket"))
    parser.add_argument("--max", type=int, metavar="PX", help=_("largest side of a bucket"))
    parser.add_argument("--step", type=int, metavar="PX", help=_("sides of buckets are multiples of this"))
    parser.add_argument("--no-upscale", action="store_true", help=_("never enlarge a small image"))
    parser.add_argument("--no-buckets", action="store_true", help=_("crop every image to a square"))
    parser.add_argument("--repeats", type=int, metavar="N", help=_("repeats, instead of those of N_name folders"))
    parser.add_argument("--extensions", metavar="LIST", help=_("endings of caption files, such as .txt,.caption"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def usual_jobs() -> int:
    """As many processes decode as there are cores, within reason: each may need gigabytes for a large picture."""
    return min(os.cpu_count() or 1, USUAL_JOBS)


def _jobs(text: str) -> int:
    """A number of processes from the command line."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_JOBS:
        words = _("a number from 1 to {most} is needed, not {text}")
        raise argparse.ArgumentTypeError(words.format(most=MOST_JOBS, text=plain(text, limit=20)))
    return int(text)


def _folder(text: str) -> Path:
    """A path from the command line; an empty word is not the current folder but a variable that was not set."""
    if not text:
        raise argparse.ArgumentTypeError(_("No dataset folder is named."))
    return Path(text)


def _check(args: argparse.Namespace) -> int:
    return copy_context().run(_check_apart, args)


def _check_apart(args: argparse.Namespace) -> int:
    from lora_tui.dataset.checks import check_dataset
    from lora_tui.dataset.eyes import look_apart
    from lora_tui.project import checked_purpose
    from lora_tui.tagging.closeups import seen_as_closeups
    from lora_tui.tagging.seen import telling_tags

    look_apart(args.jobs)  # one image that takes its decoder down is named, and the others are checked
    project = _project_of(args.directory)
    config, scan = _scan(args, project)
    purpose = checked_purpose(args.purpose) if args.purpose else (project.purpose if project else "")
    trigger = args.trigger or config.saving.trigger or (project.trigger if project else "")
    with _progress(_("checking"), len(scan.images), args.json) as progress:
        problems = check_dataset(
            scan,
            config=config,
            purpose=purpose,
            trigger=trigger,
            decode=not args.quick,
            closeups=seen_as_closeups(scan.images),
            told=telling_tags(scan.images),
            on_progress=progress.update,
        )
    if args.json:
        _print_check(args, scan, problems, purpose, trigger)
    else:
        _say_check(scan, problems, args.directory, trigger, everything=args.all)
    return PROBLEMS if any(problem.severity != "note" for problem in problems) else 0


def _buckets(args: argparse.Namespace) -> int:
    from lora_tui.dataset.batches import make_plan

    config, scan = _scan(args, _project_of(args.directory))
    if args.config is None:
        config.validation.mode = "off"
    plan = make_plan(config, scan)
    rows = _bucket_rows(plan.train, plan.batch_size)
    totals: dict[str, Any] = {
        "images": len(plan.pictures),
        "validation_images": len(plan.validation),
        "shown": plan.items_per_epoch,
        "batch_size": plan.batch_size,
        "batches_per_epoch": plan.batches_per_epoch,
        "steps_per_epoch": plan.steps_per_epoch,
        "unreadable": sum(1 for problem in scan.problems if problem.severity == "error"),
    }
    if args.json:
        from lora_tui.cli.output import print_json

        print_json({"resolution": config.data.resolution, **totals, "buckets": rows})
    else:
        _say_buckets(rows, totals)
    return 0


def _bucket_rows(planned: Any, batch_size: int) -> list[dict[str, Any]]:
    """One row for each bucket in use, sorted by size."""
    from collections import defaultdict

    groups: dict[Any, list[Any]] = defaultdict(list)
    for one in planned:
        groups[one.fit.bucket].append(one)
    rows = []
    for size in sorted(groups):
        members = groups[size]
        shown = sum(one.image.repeats for one in members)
        cuts = [1 - size.width * size.height / (one.fit.resize.width * one.fit.resize.height) for one in members]
        rows.append(
            {
                "width": size.width,
                "height": size.height,
                "images": len(members),
                "shown": shown,
                "batches": -(-shown // batch_size),
                "mean_cut": round(sum(cuts) / len(cuts), 4),
                "enlarged": sum(1 for one in members if one.fit.resize.width > one.image.width),
            }
        )
    return rows


def _project_of(directory: Path) -> Project | None:
    from lora_tui.project import Project

    return Project.find(directory)


def _opened(args: argparse.Namespace) -> tuple[Config, Scan, Project | None]:
    project = _project_of(args.directory)
    return *_scan(args, project), project


def _scan(args: argparse.Namespace, project: Project | None) -> tuple[Config, Scan]:
    """The settings that were asked for, and the images of the folder, or of all datasets of a project."""
    from lora_tui.config.schema import DatasetEntry
    from lora_tui.dataset.scan import scan_datasets

    directory = Path(os.path.abspath(args.directory))  # noqa: PTH100 - a link stays what a person named
    config = _config(args, project if project is not None and project.root == directory else None)
    known = {entry.path: entry.repeats for entry in project.datasets} if project is not None else {}
    if project is None or project.root != directory:
        known = {directory: known.get(directory, 0)}
    entries = [(path, repeats if args.repeats is None else args.repeats) for path, repeats in known.items()]
    own = {Path(entry.path): entry for entry in config.datasets}
    config.datasets = [
        own[path].model_copy(update={"repeats": repeats or own[path].repeats})
        if path in own
        else DatasetEntry(path=str(path), repeats=repeats)
        for path, repeats in entries
    ]
    with _progress(_("reading"), 0, args.json) as progress:
        return config, scan_datasets(config, on_progress=progress.update)


def _config(args: argparse.Namespace, project: Project | None) -> Config:
    """The settings asked for: of the configuration that is named, else of the one that the app opens a project with."""
    from lora_tui.config.load import load_config, set_value
    from lora_tui.config.schema import Config
    from lora_tui.errors import UserError

    path = args.config or next(iter(project.newest_configs() if project is not None else []), None)
    config = load_config(path) if path is not None else Config()
    wanted = {
        "data.resolution": args.resolution or FAMILY_SIZES.get(args.family),
        "data.bucket_min": args.min,
        "data.bucket_max": args.max,
        "data.bucket_step": args.step,
        "data.upscale": "false" if args.no_upscale else None,
        "data.buckets": "false" if args.no_buckets else None,
        "steps.batch_size": getattr(args, "batch_size", None),
        "captions.extensions": args.extensions,
    }
    for key, value in wanted.items():
        if value is not None:
            config = set_value(config, key, str(value))
    if args.repeats is not None and not 1 <= args.repeats <= 10_000:
        raise UserError(_("Repeats are from 1 to 10,000."), place=f"--repeats {args.repeats}", code="usage")
    return config


def _progress(label: str, total: int, json: bool) -> Any:
    from lora_tui.cli.output import Progress

    return Progress(label, total, quiet=json)


def _print_check(
    args: argparse.Namespace, scan: Scan, problems: tuple[Problem, ...], purpose: str, trigger: str
) -> None:
    from lora_tui.cli.output import print_json

    print_json(
        {
            "folder": args.directory.absolute(),
            "images": len(scan.images),
            "shown": sum(image.repeats for image in scan.images),
            "captions": sum(1 for image in scan.images if image.caption_path is not None),
            "purpose": purpose,
            "trigger": trigger,
            "counts": dict(sorted(Counter(problem.code for problem in problems).items())),
            "problems": [
                {
                    "path": problem.path,
                    "code": problem.code,
                    "severity": problem.severity,
                    "message": problem.message,
                    "remedy": problem.remedy,
                    "others": list(problem.others),
                }
                for problem in problems
            ],
        }
    )


def _say_check(scan: Scan, problems: tuple[Problem, ...], folder: Path, trigger: str, *, everything: bool) -> None:
    import shlex

    from lora_tui.cli.output import say
    from lora_tui.dataset.headings import MENDABLE
    from lora_tui.text import count, ngettext

    captions = sum(1 for image in scan.images if image.caption_path is not None)
    images = len(scan.images)
    text = ngettext("{images} image, {captions} with a caption", "{images} images, {captions} with a caption", images)
    say(text.format(images=count(images), captions=count(captions)))
    if not problems:
        say(_("No problem found."))
        return
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.code, []).append(problem)
    for members in kinds.values():
        say()
        _say_kind(members, folder, everything=everything)
    mendable = [problem.path.parent for problem in problems if problem.code in MENDABLE]
    if mendable:
        words = [os.path.commonpath(mendable), *(["--trigger", trigger] if trigger else [])]
        say()
        told = _("What can be fixed in captions: lora-tui captions lint {words} --fix --dry-run")
        say(told.format(words=plain(shlex.join(words))))


def _say_kind(members: list[Problem], folder: Path, *, everything: bool) -> None:
    from lora_tui.cli.output import say
    from lora_tui.dataset.headings import remedy_of, title_of
    from lora_tui.text import count

    first = members[0]
    mark = {"error": "×", "note": "·"}.get(first.severity, "!")
    shown = members if everything else members[:_SHOWN_PER_KIND]
    same = all(problem.message == first.message for problem in members)
    one_remedy = all(problem.remedy == first.remedy for problem in members)
    if same:
        say(f"{mark} {first.message}" + (f" ({count(len(members))})" if len(members) > 1 else ""))
    else:
        say(f"{mark} {title_of(first.code)} ({count(len(members))})")
    for problem in shown:
        line = f"    {_short(problem.path, folder)}"
        if not same:
            line += f": {problem.message}"
        if not one_remedy and problem.remedy and not remedy_of(first.code):
            line += f" {problem.remedy}"
        say(line)
    if len(shown) < len(members):
        say(_("    and {number} more; --all lists them").format(number=count(len(members) - len(shown))))
    if one_remedy and first.remedy:
        say(f"  {first.remedy}")
    elif remedy := remedy_of(first.code):
        say(f"  {remedy}")


def _short(path: Path, folder: Path) -> str:
    root = folder.absolute()
    return plain(path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path))


def _say_buckets(rows: list[dict[str, Any]], totals: dict[str, Any]) -> None:
    from lora_tui.cli.output import say, table
    from lora_tui.text import count

    cells = [
        (
            f"{row['width']} x {row['height']}",
            count(row["images"]),
            count(row["shown"]),
            count(row["batches"]),
            f"{row['mean_cut']:.0%}",
            count(row["enlarged"]),
        )
        for row in rows
    ]
    headings = (_("bucket"), _("images"), _("shown"), _("batches"), _("cut away"), _("enlarged"))
    say(table(cells, headings, right=range(6)))
    say()
    say(
        _("{images} images, {shown} shown an epoch in {batches} batches of {size}").format(
            images=count(totals["images"]),
            shown=count(totals["shown"]),
            batches=count(totals["batches_per_epoch"]),
            size=totals["batch_size"],
        )
    )
    if totals["validation_images"]:
        say(_("{images} more are held out for validation").format(images=count(totals["validation_images"])))
    if totals["unreadable"]:
        say(_("{files} files cannot be used; see: lora-tui dataset check").format(files=count(totals["unreadable"])))
