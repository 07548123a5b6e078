"""``lora bake``: LoRA files into a base model, which becomes another file or folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("bake",)
PRECISIONS = ("keep", "fp32", "fp16", "bf16", "fp8")
LAYERS = 10
"""Layers that are named: those of which least survived."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_loras, add_writing

    bake = commands.add_parser("bake", help=_("LoRA files into a base model"))
    bake.add_argument("base", type=Path, metavar="BASE", help=_("a checkpoint, or a folder in diffusers' layout"))
    bake.add_argument("out", type=Path, metavar="OUT", help=_("the new file or folder"))
    add_loras(bake)
    bake.add_argument("--precision", choices=PRECISIONS, default="keep", help=_("of the result; keep: the base's own"))
    bake.add_argument(
        "--share",
        type=float,
        default=0.9,
        metavar="0.9",
        help=_("warn where less of a layer's change survives rounding"),
    )
    bake.add_argument("--leave-out", action="store_true", help=_("leave out layers that fit none of the base's"))
    add_writing(bake)


def run(args: argparse.Namespace) -> int:
    """Bake, and say what became of it."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute
    from lora_tui.cli.main import Usage
    from lora_tui.weights.ingredients import ingredients

    if not 0 <= args.share <= 1:
        raise Usage(_("--share takes a share such as 0.9."), command="lora bake")
    options = {
        "operation": "bake",
        "base": absolute(args.base),
        "target": absolute(args.out),
        "loras": [one.as_options() for one in ingredients(args.loras, args.presets)],
        "precision": args.precision,
        "share": args.share,
        "leave_out": args.leave_out,
        "force": args.force,
        "preview": args.dry_run,
    }
    return answer(args, options, _told)


def _told(found: dict[str, Any]) -> list[str]:
    from lora_tui.cli.lora_options import took_words
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.text.translate import ngettext

    layers = found["layers"]
    changed = ngettext("{count} layer changed", "{count} layers changed", layers).format(count=layers)
    if found.get("preview"):
        return [
            _("It would be written: {file}").format(file=plain(found["file"])),
            _("{size}, {layers}, at most about {memory} of memory.").format(
                size=bytes_text(found["size"]), layers=changed, memory=bytes_text(found["memory"])
            ),
        ]
    return [
        f"{plain(found['file'])}  {bytes_text(found['size'])}",
        f"  {changed}, {found['precision']}",
        *(f"  {line}" for line in _survival(found)),
        took_words(found),
    ]


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
