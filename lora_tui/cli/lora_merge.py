"""``lora merge``: LoRA files into one."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.weights.ingredients import Ingredient

ACTIONS = ("merge",)


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_file, add_keep, add_layout, add_loras

    merge = commands.add_parser("merge", help=_("LoRA files into one, exactly"))
    merge.add_argument("out", type=Path, metavar="OUT", help=_("the new file"))
    add_loras(merge)
    how = merge.add_mutually_exclusive_group()
    how.add_argument("--average", action="store_true", help=_("strengths are scaled so that they add up to 1"))
    how.add_argument("--subtract", action="store_true", help=_("the first less all others"))
    how.add_argument(
        "--lerp", type=float, metavar="0.3", default=None, help=_("so far from the first file to the second, 0 to 1")
    )
    how.add_argument("--ties", action="store_true", help=_("TIES: only the largest entries whose signs agree"))
    how.add_argument("--dare", action="store_true", help=_("DARE: entries are dropped at random, the rest made larger"))
    how.add_argument("--dare-ties", action="store_true", help=_("DARE, then TIES"))
    merge.add_argument("--density", type=float, metavar="0.5", default=0.5, help=_("of entries that stay, for these"))
    merge.add_argument("--seed", type=int, metavar="0", default=0, help=_("of chance, for DARE"))
    add_layout(merge)
    add_file(merge)
    add_keep(merge)


def run(args: argparse.Namespace) -> int:
    """Merge, and say what came of it."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute, lines, shared
    from lora_tui.weights.ingredients import ingredients

    asked = _strengths([*ingredients(args.loras, args.presets)], args)
    loras = [replace(one, path=Path(absolute(one.path))) for one in asked]
    options = {
        "operation": "merge",
        "target": absolute(args.out),
        "loras": [one.as_options() for one in loras],
        "method": _method(args),
        "density": args.density,
        "seed": args.seed,
        **shared(args),
    }
    return answer(args, options, lines)


def _method(args: argparse.Namespace) -> str:
    for name in ("average", "ties", "dare"):
        if getattr(args, name):
            return name
    return "dare-ties" if args.dare_ties else "sum"


def _strengths(asked: list[Ingredient], args: argparse.Namespace) -> list[Ingredient]:
    """With what --subtract and --lerp make of them.

    Raises:
        Usage: --lerp is not between two files.
    """
    from lora_tui.cli.main import Usage

    if args.subtract:
        return asked[:1] + [_times(one, -1.0) for one in asked[1:]]
    if args.lerp is None:
        return asked
    if len(asked) != 2:
        raise Usage(_("--lerp goes from one file to another: it takes two."), command="lora merge")
    if not -100 < args.lerp < 100:
        raise Usage(_("--lerp takes a number such as 0.3."), command="lora merge")
    return [_times(asked[0], 1.0 - args.lerp), _times(asked[1], args.lerp)]


def _times(one: Ingredient, factor: float) -> Ingredient:
    return replace(one, strength=one.strength * factor, text=None if one.text is None else one.text * factor)
