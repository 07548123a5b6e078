"""``lora bake``: LoRA files into a base model, which becomes another file or folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("bake",)
PRECISIONS = ("keep", "fp32", "fp16", "bf16", "fp8")
LAYERS = 10
"""Layers that are named: those of which least survived."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    bake = commands.add_parser("bake", help=_("LoRA files into a base model"))
    bake.add_argument("base", type=Path, metavar="BASE", help=_("a checkpoint, or a folder in diffusers' layout"))
    bake.add_argument("out", type=Path, metavar="OUT", help=_("the new file or folder"))
    bake.add_argument(
        "loras",
        metavar="LORA",
        nargs="+",
        help=_("FILE, FILE=0.8, FILE=0.8,0.5 (text encoders apart), FILE=0.8:BLOCKS"),
    )
    bake.add_argument("--precision", choices=PRECISIONS, default="keep", help=_("of the result; keep: the base's own"))
    bake.add_argument(
        "--share",
        type=float,
        default=0.9,
        metavar="0.9",
        help=_("warn where less of a layer's change survives rounding"),
    )
    bake.add_argument("--leave-out", action="store_true", help=_("leave out layers that fit none of the base's"))
    presets_argument(bake)
    bake.add_argument("--force", action="store_true", help=_("write over a file OUT that is there"))
    bake.add_argument("--dry-run", action="store_true", help=_("say what it would come to, and write nothing"))
    bake.add_argument("--json", action="store_true", help=_("what was done as JSON, layer by layer"))


def presets_argument(parser: argparse.ArgumentParser) -> None:
    """Block weights of one's own, for every command that takes block weights."""
    parser.add_argument(
        "--presets", type=Path, metavar="FILE", default=None, help=_("block weights of one's own: lines NAME:1,0,0.5,…")
    )


def run(args: argparse.Namespace) -> int:
    """Bake, and say what became of it."""
    from lora_tui.cli.lora_apart import done_apart
    from lora_tui.cli.output import print_json
    from lora_tui.weights.ingredients import ingredients

    options = {
        "operation": "bake",
        "base": os.path.abspath(args.base.expanduser()),  # noqa: PTH100 - links stay
        "target": os.path.abspath(args.out.expanduser()),  # noqa: PTH100
        "loras": [one.as_options() for one in ingredients(args.loras, args.presets)],
        "precision": args.precision,
        "share": args.share,
        "leave_out": args.leave_out,
        "force": args.force,
        "preview": args.dry_run,
    }
    found = done_apart(options, quiet=args.json)
    if args.json:
        print_json(found)
    else:
        _say(found)
    return 0


def _say(found: dict[str, Any]) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text.formats import bytes_text, duration
    from lora_tui.text.plain import plain
    from lora_tui.text.translate import ngettext

    layers = found["layers"]
    changed = ngettext("{count} layer changed", "{count} layers changed", layers).format(count=layers)
    if found.get("preview"):
        say(_("It would be written: {file}").format(file=plain(found["file"])))
        say(_("{size}, {layers}, at most about {memory} of memory.").format(
            size=bytes_text(found["size"]), layers=changed, memory=bytes_text(found["memory"])
        ))  # fmt: skip
        return
    say(f"{plain(found['file'])}  {bytes_text(found['size'])}")
    say(f"  {changed}, {found['precision']}")
    for line in _survival(found):
        say(f"  {line}")
    say("  " + _("{time}, at most {memory} of memory").format(
        time=duration(found["seconds"]), memory=bytes_text(found["peak_memory"])
    ))  # fmt: skip


def _survival(found: dict[str, Any]) -> list[str]:
    """What rounding left, and the layers of which it left least."""
    from lora_tui.text.plain import plain

    told = _("{share:.1%} of what was added survived rounding, which adds {noise:.1%} of noise")
    lines = [told.format(share=found["survived"], noise=found["error"])]
    if found["below"]:
        lines.append(
            _("of {count} layers less than {share:.0%} survived:").format(count=found["below"], share=found["share"])
        )
        worst = sorted(found["layers_kept"], key=lambda layer: layer["survived"])[: min(LAYERS, found["below"])]
        lines += [
            f"  {layer['survived']:7.2%}  {layer['block']:<5} {plain(layer['layer'], limit=90)}" for layer in worst
        ]
    return lines
