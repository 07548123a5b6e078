"""``lora convert``: a LoRA file under another program's names, in another precision, or as a plain LoRA."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("convert",)


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_file, add_keep, add_layout, add_text

    convert = commands.add_parser("convert", help=_("a LoRA file for another program, or as a plain LoRA"))
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("out", type=Path, metavar="OUT", help=_("the new file"))
    convert.add_argument("--as", dest="kind", choices=("lora",), default="", help=_(
        "make LoRA of LoHa, LoKr and full differences; with --base of DoRA, OFT and others, too"
    ))  # fmt: skip
    add_text(convert)
    add_layout(convert, needed=True)
    add_file(convert)
    add_keep(convert)


def run(args: argparse.Namespace) -> int:
    """Convert, and say what came of it."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute, lines, shared
    from lora_tui.cli.main import Usage

    if not (args.to or args.kind or args.precision != "keep" or args.without_text):
        raise Usage(_("say what it becomes: --to, --as or --precision."), command="lora convert")
    options = {
        "operation": "convert",
        "source": absolute(args.file),
        "target": absolute(args.out),
        "as": args.kind,
        "without_text": args.without_text,
        **shared(args),
    }
    return answer(args, options, lines)
