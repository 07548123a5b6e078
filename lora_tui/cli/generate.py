"""``generate``: images from a base model and any LoRA files, as pictures in a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.generate.ask import Order

FAILED, PROBLEMS = 1, 3
MOST_LISTED = 20


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.cli import picture_options

    parser.add_argument(
        "target", nargs="?", default="", metavar="RUN|CONFIG|MODEL",
        help=_("whose base model: a run, a configuration, a model's file, folder or hub name; else the project's"),
    )  # fmt: skip
    parser.add_argument("--prompt", action="append", default=[],
                        help=_("what to draw, perhaps with --n --w --h --s --l --d behind it; repeatable"))  # fmt: skip
    parser.add_argument("--prompt-file", type=Path, metavar="FILE", help=_("prompts, a line each, with the same flags"))
    parser.add_argument("--from", dest="picture", type=Path, metavar="PICTURE",
                        help=_("the settings of a picture that lora-tui or A1111 drew"))  # fmt: skip
    parser.add_argument("--seed", default="", metavar="1,2,5-8", help=_("seeds; -1, the default, is one drawn now"))
    parser.add_argument("--count", type=int, default=1, metavar="N", help=_("pictures of each seed and those after it"))
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=_("where the pictures go; else the project's generated")
    )
    parser.add_argument("--name", default="", metavar="NAME", help=_("what their names begin with; else the time"))
    picture_options.add(parser)
    parser.add_argument("--batch", type=int, default=0, metavar="N", help=_("pictures at once; 0 chooses"))
    parser.add_argument("--dry-run", action="store_true", help=_("only say what would be drawn"))
    parser.add_argument("--detach", action="store_true", help=_("draw in the background, and return at once"))
    parser.add_argument("--yes", action="store_true", help=_("do not ask, however many they are"))


def run(args: argparse.Namespace) -> int:
    """Draw them."""
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.cli.picture_options import agreed
    from lora_tui.cli.tasks import follow, start_detached
    from lora_tui.generate.ask import ordered
    from lora_tui.generate.start import KIND, options_of
    from lora_tui.generate.words import lines
    from lora_tui.tasks.start import start_task

    _asked(args)
    order = ordered(_request(args))
    seen = order.outlook()
    if args.dry_run and args.json:
        cells = [{**cell.told(), "loras": [one.as_options() for one in cell.loras]} for cell in order.cells]
        print_json({"folder": str(order.folder), "notes": list(order.notes), **seen.as_dict(), "cells": cells})
        return 0
    for line in lines(order, seen) if args.dry_run or not args.json else ():
        (say if args.dry_run else note)(line)
    if args.dry_run:
        return 0
    agreed(seen, _("Those are many pictures. Draw them? Type yes: "), yes=args.yes)
    options, about = options_of(order, batch=args.batch), (order.project,)
    if args.detach:
        return start_detached(order.folder, KIND, order.title, options, json=args.json, about=about)
    task = start_task(order.folder, KIND, order.title, options, about=about)
    status = follow(task)
    if status.alive:
        note(_("It goes on without this terminal. Stop it: lora-tui tasks stop {task}").format(task=task.name))
        return 0
    return _ended(order, status, as_json=args.json)


def _asked(args: argparse.Namespace) -> None:
    """Something says what to draw: without a word, drawing is what nobody expects.

    Raises:
        UserError: nothing does (``usage``).
    """
    from lora_tui.errors import UserError

    if not any((args.target, args.prompt, args.prompt_file, args.picture, args.lora, args.dry_run)):
        raise UserError(
            _("Nothing says what to draw."),
            remedy=_('Give --prompt "TEXT", or name a RUN or a CONFIG: then its sample prompts are drawn.'),
            code="usage",
        )


def _request(args: argparse.Namespace) -> Any:
    from lora_tui.cli.picture_options import wanted_of
    from lora_tui.generate.ask import Request
    from lora_tui.grids.ask import Wanted

    return Request(
        Wanted(**wanted_of(args)), prompt_file=args.prompt_file, seeds=args.seed, count=args.count,
        picture=args.picture, out=args.out, name=args.name,
    )  # fmt: skip


def _ended(order: Order, status: Any, *, as_json: bool) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.cli.tasks import as_json as task_json
    from lora_tui.cli.tasks import lines

    failed = status.state in ("failed", "died")
    files = [order.folder / str(name) for name in status.result.get("files", ())]
    if as_json:
        print_json({**task_json(status), "folder": str(order.folder), "files": [str(path) for path in files]})
    else:
        if failed or status.warnings or not status.result.get("complete"):
            for line in lines(status):
                note(line)
        for path in files[:MOST_LISTED]:
            say(str(path))
        if len(files) > MOST_LISTED:
            say(_("and {count} more in {folder}").format(count=len(files) - MOST_LISTED, folder=order.folder))
    return FAILED if failed else PROBLEMS if status.result.get("failed") else 0
