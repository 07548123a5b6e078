"""``lora blocks``: how much of a LoRA lies in each block, and the file with its blocks weighed anew."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from lora_tui.cli.lora_bake import presets_argument
from lora_tui.text.translate import _

ACTIONS = ("blocks",)
CELLS = 40
"""Of the longest bar."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    blocks = commands.add_parser("blocks", help=_("how much of a LoRA lies in each block; the file with other weights"))
    blocks.add_argument("file", type=Path, metavar="FILE")
    asked = blocks.add_mutually_exclusive_group()
    asked.add_argument(
        "--weights",
        metavar="W",
        default="",
        help=_("numbers (1,0,0.5,…), or slots with theirs (IN04-M00=0.5,default=1)"),
    )
    asked.add_argument(
        "--preset", metavar="NAME", default="", help=_("NONE, ALL, INS, IND, INALL, MIDD, OUTD, OUTS, …")
    )
    presets_argument(blocks)
    blocks.add_argument("--out", type=Path, metavar="OUT", default=None, help=_("write the file with these weights"))
    blocks.add_argument(
        "--base", type=Path, metavar="BASE", default=None, help=_("a model to measure DoRA and OFT upon")
    )
    blocks.add_argument("--family", metavar="FAMILY", default="", help=_("where the file does not tell"))
    blocks.add_argument("--force", action="store_true", help=_("write over a file OUT that is there"))
    blocks.add_argument("--json", action="store_true", help=_("the blocks as JSON"))


def run(args: argparse.Namespace) -> int:
    """Measure, and write where that was asked for."""
    from lora_tui.cli.lora_apart import done_apart
    from lora_tui.cli.main import Usage
    from lora_tui.cli.output import print_json
    from lora_tui.weights.blocks import read_presets

    weights = args.preset or args.weights
    if args.out is not None and not weights:
        raise Usage(_("--out needs --weights or --preset."), command="lora")
    own = read_presets(args.presets) if args.presets is not None else {}
    options = {
        "operation": "blocks",
        "file": _absolute(args.file),
        "weights": own.get(weights, weights),
        "target": _absolute(args.out) if args.out is not None else "",
        "base": _absolute(args.base) if args.base is not None else "",
        "family": args.family,
        "force": args.force,
    }
    found = done_apart(options, quiet=args.json)
    if args.json:
        print_json(found)
    else:
        _say(found)
    return 0


def _absolute(path: Path) -> str:
    return os.path.abspath(path.expanduser())  # noqa: PTH100 - links stay


def _say(found: dict[str, Any]) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.text.translate import ngettext

    plain_bars = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    for line in block_lines(found["blocks"], CELLS, plain=plain_bars):
        say(line)
    if found["unmeasured"]:
        count = found["unmeasured"]
        say(
            ngettext(
                "{count} layer is measured only upon a base model: give one with --base.",
                "{count} layers are measured only upon a base model: give one with --base.",
                count,
            ).format(count=count)
        )
    if "target" in found:
        say(f"{plain(found['target'])}  {bytes_text(found['size'])}")


def block_lines(blocks: list[dict[str, Any]], cells: int, *, plain: bool = False) -> list[str]:
    """A line for each block: slot, norm, share of the whole, layers, weight where there is one, and a bar."""
    from lora_tui.drawing.bars import bar

    highest = max((block["norm"] for block in blocks), default=0.0) or 1.0
    lines = []
    for block in blocks:
        weight = f"  x {block['weight']:<5g}" if "weight" in block else ""
        head = f"{block['block'] or '-':<5} {block['norm']:>9.4g} {block['share']:>6.1%} {block['layers']:>4}{weight}"
        lines.append(f"{head}  {bar(block['norm'] / highest, cells, plain=plain)}".rstrip())
    return lines
