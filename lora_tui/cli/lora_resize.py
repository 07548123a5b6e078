"""``lora resize``: a LoRA file with fewer directions, and the curve of what each size keeps."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("resize",)
HEIGHT = 14
WIDEST = 100


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_file, add_keep

    resize = commands.add_parser("resize", help=_("a LoRA file of a lower rank or a given size"))
    resize.add_argument("file", type=Path, metavar="FILE")
    resize.add_argument("out", type=Path, metavar="OUT", nargs="?", default=None, help=_("the new file"))
    resize.add_argument("--curve", action="store_true", help=_("what files of each size would keep"))
    add_file(resize)
    add_keep(resize)


def run(args: argparse.Namespace) -> int:
    """Resize, or show the curve, or both."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute, keep_of, lines, shared
    from lora_tui.cli.main import Usage

    keep = keep_of(args)
    if args.out is None and not args.curve:
        raise Usage(_("give the name of the new file, or --curve."), command="lora resize")
    if args.out is not None and keep is None:
        raise Usage(
            _("say how much is kept: --rank, --ratio, --cumulative, --frobenius or --size."), command="lora resize"
        )
    options = {
        "operation": "resize",
        "source": absolute(args.file),
        "target": absolute(args.out),
        "curve": args.curve,
        **shared(args),
    }

    def told(found: dict[str, Any]) -> list[str]:
        return [*(_curve(found) if args.curve else ()), *(lines(found) if args.out is not None else ())]

    return answer(args, options, told)


def _curve(found: Mapping[str, Any]) -> list[str]:
    """The curve, and a table of what one rank in all layers would keep."""
    from lora_tui.cli.output import table
    from lora_tui.drawing.kept import kept_plot
    from lora_tui.text.formats import bytes_text

    width = min(shutil.get_terminal_size().columns, WIDEST)
    plot = kept_plot(found["curve"], found["uniform"], width, HEIGHT)
    told = [_("share of the norm that is kept (%) by size of the file (MB), its bytes spread best; +: one rank in all")]
    told += ["".join(span.text for span in row).rstrip() for row in plot.rows]
    best = found["curve"]
    rows = [
        (rank, bytes_text(size), f"{share:.2%}", f"{_best_at(best, size):.2%}")
        for rank, size, share in found["uniform"]
    ]
    headings = (_("rank"), _("size"), _("kept"), _("kept, spread best"))
    return [*told, "", *table(rows, headings, right=range(4)).splitlines(), ""]


def _best_at(points: list[list[float]], size: float) -> float:
    """What a file of no more than ``size`` bytes keeps."""
    return max((share for own, share in points if own <= size), default=0.0)
