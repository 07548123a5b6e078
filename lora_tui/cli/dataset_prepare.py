"""``lora-tui dataset prepare``: crop, resize, pad, flatten and convert images into a new folder, planned first."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.dataset.prepare.carry import Outcome, Progress
    from lora_tui.dataset.prepare.options import Options
    from lora_tui.dataset.prepare.plan import Item, Plan
    from lora_tui.dataset.problems import Problem

FAILED, PROBLEMS, INTERRUPTED = 1, 3, 130
SHOWN = 20
"""Rows of the table before it is asked for in full."""
_SPLIT_AT = 2.0

_FITS = ("crop", "pad", "bucket")


def build(commands: Any) -> None:
    """Declare the command."""
    from lora_tui.dataset.prepare.options import Options

    usual = Options()
    parser = commands.add_parser(
        "prepare", help=_("crop, resize, pad and convert images into a new folder; the originals are only read")
    )
    parser.add_argument("source", metavar="SRC", type=Path, help=_("the folder of originals"))
    parser.add_argument("destination", metavar="DST", type=Path, help=_("an empty or new folder, or one to go on with"))
    parser.add_argument("--dry-run", action="store_true", help=_("show what would become of each image, write nothing"))
    parser.add_argument("--all", action="store_true", help=_("list every image, not only the first few"))
    parser.add_argument("--detach", action="store_true", help=_("go on in the background; see: lora-tui tasks"))
    parser.add_argument("--workers", type=int, default=2, metavar="N", help=_("processes that work at the same time"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))
    _add_sizes(parser, usual)
    _add_fit(parser, usual)
    _add_background(parser, usual)
    _add_files(parser, usual)
    parser.set_defaults(action=_prepare)


def _add_sizes(parser: argparse.ArgumentParser, usual: Options) -> None:
    from lora_tui.dataset.prepare.options import FAMILY_SIZES, SHAPES, SMALL

    sizes = parser.add_argument_group(_("sizes"))
    sizes.add_argument("--family", choices=tuple(FAMILY_SIZES), help=_("the training size of this family of models"))
    sizes.add_argument("--size", type=int, metavar="PX", help=_("another training size"))
    sizes.add_argument(
        "--shape", choices=SHAPES, help=_("side: one side has the size and the other is a multiple of the step (the "
        "default); square; bucket: the trainer's buckets"),
    )  # fmt: skip
    sizes.add_argument("--step", type=int, default=usual.step, metavar="PX", help=_("sides are multiples of this"))
    sizes.add_argument("--min", type=int, default=0, metavar="PX", help=_("smallest side of a bucket"))
    sizes.add_argument("--max", type=int, default=0, metavar="PX", help=_("largest side of a bucket"))
    sizes.add_argument(
        "--small", choices=SMALL, default=usual.small,
        help=_("images smaller than that: nearly in their own size, enlarged, or left out"),
    )  # fmt: skip


def _add_fit(parser: argparse.ArgumentParser, usual: Options) -> None:
    from lora_tui.dataset.prepare.options import PLACES

    fit = parser.add_argument_group(_("fit"))
    fit.add_argument(
        "--fit", choices=_FITS, default="crop", help=_("cut what is too much, pad what is missing, or cut to buckets")
    )
    fit.add_argument("--at", choices=PLACES, default=usual.at, help=_("where a crop lies that nobody has chosen"))
    fit.add_argument("--faces", default="", metavar="FILE", help=_("YuNet's ONNX file: crops keep the faces it finds"))
    fit.add_argument("--ignore-crops", action="store_true", help=_("use whole images even where a part was chosen"))
    fit.add_argument(
        "--pad", default=usual.pad, metavar="WITH", help=_("background, edge, blur, or a colour such as #808080")
    )
    fit.add_argument(
        "--split", type=float, nargs="?", const=_SPLIT_AT, default=0.0, metavar="RATIO",
        help=_("cut images this many times as long as wide, or longer, into pieces (2 when not said)"),
    )  # fmt: skip
    fit.add_argument(
        "--overlap", type=float, default=usual.overlap, metavar="SHARE", help=_("what pieces have in common")
    )
    fit.add_argument("--flips", action="store_true", help=_("also a mirrored copy of each image"))


def _add_background(parser: argparse.ArgumentParser, usual: Options) -> None:
    from lora_tui.dataset.prepare.options import COLOURS

    ground = parser.add_argument_group(_("background"))
    ground.add_argument(
        "--background", default=usual.background, metavar="COLOUR",
        help=_("below transparent pixels: {names}, #rrggbb or random").format(names=", ".join(COLOURS)),
    )  # fmt: skip
    ground.add_argument(
        "--remove-background", default="", metavar="MODEL",
        help=_("ONNX file, or a name that rembg knows, such as u2net"),
    )  # fmt: skip
    ground.add_argument("--seed", type=int, default=0, metavar="N", help=_("names the random colours"))


def _add_files(parser: argparse.ArgumentParser, usual: Options) -> None:
    from lora_tui.dataset.prepare.options import FOLDERS, FORMATS

    files = parser.add_argument_group(_("files"))
    files.add_argument("--format", choices=FORMATS, default=usual.format, help=_("of the new images"))
    files.add_argument("--quality", type=int, default=usual.quality, metavar="N", help=_("of JPEG and WebP, 1 to 100"))
    files.add_argument(
        "--name", default=usual.name, metavar="PATTERN", help=_("of {stem}, {folder}, {number:05}, {width}, {height}")
    )
    files.add_argument(
        "--folders", choices=FOLDERS, default=usual.folders, help=_("those of the source, none, or N_name")
    )
    files.add_argument("--repeats", type=int, default=0, metavar="N", help=_("N of N_name; else the source's"))
    files.add_argument("--label", default="", metavar="NAME", help=_("name of N_name; else the source's"))
    files.add_argument("--masks", default="", metavar="DIR", help=_("masks with the names of the images"))


def options_of(args: argparse.Namespace) -> Options:
    """The options of a command line.

    Raises:
        UserError: something is wrong with them.
    """
    from lora_tui.dataset.prepare.options import checked
    from lora_tui.errors import UserError

    if args.family and args.size:
        raise UserError(_("Give a family or a size, not both."), place="--family, --size", code="usage")
    try:
        return checked(_options_of(args))
    except UserError as error:
        named = {"bucket_min": "min", "bucket_max": "max"}.get(error.place, error.place).replace("_", "-")
        raise UserError(error.message, place=f"--{named}", remedy=error.remedy, code=error.code) from error


def _options_of(args: argparse.Namespace) -> Options:
    from lora_tui.dataset.prepare.options import FAMILY_SIZES, Options
    from lora_tui.dataset.prepare.parts import is_file_name

    usual = Options()
    model = args.remove_background
    return Options(
        size=args.size or FAMILY_SIZES.get(args.family, usual.size),
        shape=args.shape or ("bucket" if args.fit == "bucket" else usual.shape),
        fit="pad" if args.fit == "pad" else "crop",
        at=args.at,
        step=args.step,
        bucket_min=args.min,
        bucket_max=args.max,
        small=args.small,
        background=args.background,
        pad=args.pad,
        remove_background=_path(model) if is_file_name(model) else model,
        faces=_path(args.faces),
        split=args.split,
        overlap=args.overlap,
        flips=args.flips,
        crops=not args.ignore_crops,
        format=args.format,
        quality=args.quality,
        name=args.name,
        folders=args.folders,
        repeats=args.repeats,
        label=args.label,
        masks=_path(args.masks),
        seed=args.seed,
    )


def _path(text: str) -> str:
    """A file or folder of the command line, absolute; empty for none."""
    from lora_tui.places import absolute

    return str(absolute(text)) if text else ""


def _prepare(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json
    from lora_tui.dataset.prepare.carry import carry_out, check_places
    from lora_tui.dataset.prepare.plan import make_plan
    from lora_tui.dataset.prepare.work import is_begun, known_numbers
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    options = options_of(args)
    check_places(args.source, args.destination)
    if not args.dry_run:
        is_begun(args.destination, args.source, options)  # what is wrong with it is said before much is read
    with _watched(_("reading"), args) as (stopped, progress):
        plan = make_plan(
            args.source,
            options,
            numbers=known_numbers(args.destination, options),
            on_progress=progress.update,
            should_stop=stopped.is_set,
        )
    if not plan.complete:
        return INTERRUPTED
    if not plan.items and not plan.refused:
        raise UserError(
            _("There is no image to prepare."),
            place=plain(str(args.source)),
            remedy=_("Name a folder of images."),
            code="prepare.empty",
        )
    if args.dry_run:
        print_json(plan_as_data(plan, args.destination)) if args.json else _say_plan(plan, everything=args.all)
        return PROBLEMS if plan.refused else 0
    if args.detach:
        return _detach(args, plan)
    if not args.json:
        _say_plan(plan, everything=args.all)
    with _watched(_("preparing"), args) as (stopped, progress):

        def tell(now: Progress) -> None:
            progress.update(now.done, now.total, _failures(now), now.eta, guess=False)

        outcome = carry_out(plan, args.destination, workers=args.workers, on_progress=tell, should_stop=stopped.is_set)
    if args.json:
        print_json(_outcome_as_data(plan, outcome, args.destination))
    else:
        _say_outcome(plan, outcome)
    if not outcome.complete:
        return INTERRUPTED
    return FAILED if outcome.failed or plan.refused else 0


def _detach(args: argparse.Namespace, plan: Plan) -> int:
    """Prepare in the background, under a keeper of its own; what is wrong with the destination is said at once."""
    from lora_tui.cli.tasks import start_detached
    from lora_tui.dataset.prepare.work import Work

    source, destination = (Path(_path(str(path))) for path in (args.source, args.destination))
    request = {
        "source": str(source),
        "destination": str(destination),
        "options": plan.options.as_dict(),
        "workers": args.workers,
    }
    with Work(destination, plan):
        pass
    title = f"{source.name} > {destination.name}"
    return start_detached(destination, "prepare", title, request, json=args.json, about=[source])


@contextmanager
def _watched(label: str, args: argparse.Namespace) -> Iterator[tuple[threading.Event, Any]]:
    """While it lasts, Ctrl+C and SIGTERM ask to stop; a second Ctrl+C ends at once."""
    from lora_tui.cli.output import Progress

    stopped = threading.Event()
    before: dict[int, Any] = {}

    def stop(number: int, _frame: object) -> None:
        stopped.set()
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        with Progress(label, quiet=args.json) as progress:
            yield stopped, progress
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


def _failures(now: Progress) -> str:
    from lora_tui.text import count

    return _("{number} failed").format(number=count(now.failed)) if now.failed else ""


def plan_as_data(plan: Plan, destination: Path) -> dict[str, Any]:
    """The plan as one JSON document."""
    return {
        "source": plan.source,
        "destination": destination.absolute(),
        "options": plan.options.as_dict(),
        "images": len(plan.items),
        "files": plan.files,
        "disk_bytes": plan.disk_bytes,
        "plan": [_item_as_data(item) for item in plan.items],
        "refused": [_problem_as_data(problem) for problem in plan.refused],
        "left_out": [_problem_as_data(problem) for problem in plan.left_out],
        "warnings": [_problem_as_data(problem) for problem in plan.warnings],
    }


def _item_as_data(item: Item) -> dict[str, Any]:
    facts = item.image.facts
    return {
        "image": item.key,
        "width": facts.width,
        "height": facts.height,
        "cut": round(item.cut, 4),
        "notes": list(item.notes),
        "files": [
            {
                "name": piece.name,
                "width": piece.fitted.size.width,
                "height": piece.fitted.size.height,
                "scale": round(piece.fitted.scale, 4),
                "padded": round(piece.fitted.padded, 4),
                "flipped": piece.flipped,
            }
            for piece in item.pieces
        ],
        "copies": [name for _path, name in item.copies],
    }


def _problem_as_data(problem: Problem) -> dict[str, Any]:
    return {"path": problem.path, "code": problem.code, "message": problem.message, "remedy": problem.remedy}


def _outcome_as_data(plan: Plan, outcome: Outcome, destination: Path) -> dict[str, Any]:
    progress = outcome.progress
    return {
        "source": plan.source,
        "destination": destination.absolute(),
        "complete": outcome.complete,
        "images": progress.total,
        "done": progress.done - progress.failed,
        "made_now": progress.fresh - progress.failed,
        "written_bytes": progress.written_bytes,
        "seconds": round(progress.seconds, 3),
        "failed": [_problem_as_data(problem) for problem in outcome.failed],
        "refused": [_problem_as_data(problem) for problem in plan.refused],
        "left_out": [_problem_as_data(problem) for problem in plan.left_out],
        "kept": list(outcome.kept),
        "gone": list(outcome.gone),
        "report": outcome.report,
    }


def _say_plan(plan: Plan, *, everything: bool) -> None:
    from lora_tui.cli.output import say, table
    from lora_tui.text import bytes_text, count, ngettext

    shown = plan.items if everything else plan.items[:SHOWN]
    if shown:
        headings = (_("image"), _("before"), _("after"), _("cut away"), "")
        say(table([_row(item) for item in shown], headings, right=(3,)))
        rest = len(plan.items) - len(shown)
        if rest:
            say(_("    and {number} more; --all lists them").format(number=count(rest)))
        say()
    images, files = len(plan.items), plan.files
    text = ngettext("{images} image becomes {files}", "{images} images become {files}", images)
    made = ngettext("{count} file", "{count} files", files).format(count=count(files))
    size = _("about {size}").format(size=bytes_text(plan.disk_bytes))
    say(f"{text.format(images=count(images), files=made)}, {size}")
    _say_problems(_("refused"), plan.refused, everything=everything)
    _say_problems(_("left out"), plan.left_out, everything=everything)
    _say_problems(_("note"), plan.warnings, everything=everything)


def _row(item: Item) -> tuple[str, str, str, str, str]:
    from lora_tui.dataset.prepare.plan import NOTE_WORDS

    sizes = list(dict.fromkeys(str(piece.fitted.size) for piece in item.pieces))
    after = sizes[0] if len(item.pieces) == 1 else f"{len(item.pieces)} × {', '.join(sizes)}"
    facts = item.image.facts
    notes = ", ".join(_(NOTE_WORDS[note]) for note in item.notes)
    return item.key, f"{facts.width}x{facts.height}", after, f"{item.cut:.0%}", notes


def _say_problems(word: str, problems: Sequence[Problem], *, everything: bool) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text import count

    shown = problems if everything else problems[:SHOWN]
    for problem in shown:
        say(f"{word}: {problem.path}: {problem.message} {problem.remedy}".rstrip())
    if len(shown) < len(problems):
        say(_("    and {number} more; --all lists them").format(number=count(len(problems) - len(shown))))


def _say_outcome(plan: Plan, outcome: Outcome) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text import bytes_text, count, duration, ngettext, plain

    progress = outcome.progress
    for problem in outcome.failed:
        say(f"{_('failed')}: {problem.path}: {problem.message} {problem.remedy}".rstrip())
    for name in outcome.kept:
        say(_("{name}: somebody changed it since it was made; it was left as it is.").format(name=plain(name)))
    for name in outcome.gone:
        say(_("{name}: the source has it no more; it went into the trash of the new folder.").format(name=plain(name)))
    done = progress.done - progress.failed
    text = ngettext("{done} of {total} image is ready", "{done} of {total} images are ready", progress.total)
    made = _("{size} written in {time}").format(
        size=bytes_text(progress.written_bytes), time=duration(progress.seconds)
    )
    say(f"{text.format(done=count(done), total=count(progress.total))}, {made}")
    say(_("report: {path}").format(path=plain(str(outcome.report))))
    if not outcome.complete:
        say(_("Stopped. The same command goes on where it was."))
