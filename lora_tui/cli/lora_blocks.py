"""``lora blocks``: how much of a LoRA lies in each block, and the file with its blocks weighed anew."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("blocks",)
CELLS = 40
"""Of the longest bar."""
HEAD = 39
"""Before the bar."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_base, add_presets

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
    add_presets(blocks)
    blocks.add_argument("--out", type=Path, metavar="OUT", default=None, help=_("write the file with these weights"))
    add_base(blocks, _("a model to measure DoRA and OFT upon"))
    blocks.add_argument("--force", action="store_true", help=_("write over a file OUT that is there"))
    blocks.add_argument("--json", action="store_true", help=_("the blocks as JSON"))


def run(args: argparse.Namespace) -> int:
    """Measure, and write where that was asked for."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute
    from lora_tui.cli.main import Usage
    from lora_tui.weights.blocks import read_presets

    weights = args.preset or args.weights
    if args.out is not None and not weights:
        raise Usage(_("--out needs --weights or --preset."), command="lora")
    own = read_presets(args.presets) if args.presets is not None else {}
    options = {
        "operation": "blocks",
        "file": absolute(args.file),
        "weights": own.get(weights, weights),
        "target": absolute(args.out),
        "base": absolute(args.base),
        "family": args.family,
        "force": args.force,
    }
    return answer(args, options, _told)


def _told(found: dict[str, Any]) -> list[str]:
    from lora_tui.cli.lora_options import unmeasured_lines
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain

    plain_bars = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    lines = [*block_lines(found["blocks"], bar_cells(), plain=plain_bars), *unmeasured_lines(found["unmeasured"])]
    return [*lines, f"{plain(found['target'])}  {bytes_text(found['size'])}"] if "target" in found else lines


def bar_cells(taken: int = 0) -> int:
    """Of the longest bar on this terminal, where ``taken`` cells stand before the lines."""
    return max(8, min(CELLS, shutil.get_terminal_size().columns - HEAD - taken))


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
