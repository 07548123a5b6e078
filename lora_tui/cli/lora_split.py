"""``lora split``: a DyLoRA at each of its ranks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("split",)


def build(commands: Any) -> None:
    """Declare the arguments."""
    split = commands.add_parser("split", help=_("a DyLoRA as files of its ranks"))
    split.add_argument("file", type=Path, metavar="FILE")
    split.add_argument("--ranks", metavar="4,8,16", default="", help=_("these alone; else every unit of ranks"))
    split.add_argument("--to", type=Path, metavar="DIR", default=None, help=_("where to; else beside the file"))
    split.add_argument("--json", action="store_true", help=_("what was written as JSON"))


def run(args: argparse.Namespace) -> int:
    """One file for each rank, named ``NAME-rank08.safetensors``; none that is there is written over."""
    from lora_tui.cli.main import Usage
    from lora_tui.cli.output import print_json, say
    from lora_tui.errors import UserError
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.weights.cut import cut, rank_file, ranks_of

    try:
        wanted = [int(word) for word in args.ranks.split(",")] if args.ranks else []
    except ValueError:
        raise Usage(_("--ranks takes numbers with commas between them."), command="lora") from None
    ranks = ranks_of(args.file, dict.fromkeys(wanted))
    folder = args.to or args.file.parent
    targets = [rank_file(args.file, rank, folder) for rank in ranks]
    there = next((target for target in targets if target.exists()), None)
    if there is not None:
        raise UserError(
            _("there is such a file already."),
            place=plain(str(there)),
            remedy=_("Move it away, or give another folder with --to."),
            code="file.exists",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [(target, cut(args.file, rank, target)) for rank, target in zip(ranks, targets, strict=True)]
    except OSError as error:
        raise UserError(
            _("nothing can be written there: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(folder)),
            remedy=_("Give another folder with --to."),
            code="file.write",
        ) from None
    if args.json:
        print_json({"files": [{"file": target, "size": size} for target, size in written]})
        return 0
    for target, size in written:
        say(f"{plain(str(target))}  {bytes_text(size)}")
    return 0
