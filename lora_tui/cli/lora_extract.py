"""``lora extract``: what a tuned checkpoint adds to its base, as a LoRA file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("extract",)
RULES = ("rank", "threshold", "ratio", "quantile", "frobenius", "size")
DEFAULT_RANK = 16.0


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_text, add_writing

    extract = commands.add_parser("extract", help=_("what a tuned checkpoint adds to its base, as a LoRA file"))
    extract.add_argument("base", type=Path, metavar="BASE", help=_("a checkpoint, or a folder in diffusers' layout"))
    extract.add_argument("tuned", type=Path, metavar="TUNED", help=_("the same, tuned from it"))
    extract.add_argument("out", type=Path, metavar="OUT", help=_("the new LoRA file"))
    extract.add_argument(
        "--kind", choices=("lora", "locon", "full"), default="lora",
        help=_("lora: linear layers; locon: convolutions, too; full: the whole difference, norms too"),
    )  # fmt: skip
    rule = extract.add_mutually_exclusive_group()
    rule.add_argument("--rank", type=float, metavar="16", help=_("directions of every layer (16)"))
    rule.add_argument("--threshold", type=float, metavar="0.1", help=_("singular values above it"))
    rule.add_argument("--ratio", type=float, metavar="0.05", help=_("singular values above it times the largest"))
    rule.add_argument("--quantile", type=float, metavar="0.8", help=_("the fewest whose sum is that share of all"))
    rule.add_argument("--frobenius", type=float, metavar="0.9", help=_("the fewest whose norm is that share of all"))
    rule.add_argument("--size", type=float, metavar="MB", help=_("as fit a file of so many MB, spread over the layers"))
    extract.add_argument("--most", type=int, default=0, metavar="128", help=_("directions of a layer at most"))
    extract.add_argument("--conv-rank", type=int, default=0, metavar="8", help=_("the same for wide convolutions"))
    add_text(extract)
    extract.add_argument("--precision", choices=("fp16", "bf16", "fp32"), default="fp16")
    extract.add_argument("--layout", choices=("auto", "kohya", "diffusers"), default="auto", help=_("names of layers"))
    add_writing(extract)


def run(args: argparse.Namespace) -> int:
    """Extract, and say what was kept."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute

    rule = next((name for name in RULES if getattr(args, name) is not None), "rank")
    value = getattr(args, rule)
    options = {
        "operation": "extract",
        "base": absolute(args.base),
        "tuned": absolute(args.tuned),
        "target": absolute(args.out),
        "kind": args.kind,
        "rule": rule,
        "value": DEFAULT_RANK if value is None else value,
        "most": args.most,
        "most_conv": args.conv_rank,
        "text": not args.without_text,
        "precision": args.precision,
        "layout": args.layout,
        "force": args.force,
        "preview": args.dry_run,
    }
    return answer(args, options, told)


def told(found: dict[str, Any]) -> list[str]:
    """What came of it, or would, in words."""
    from lora_tui.cli.lora_options import layers_words, took_words
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.text.translate import ngettext

    layers = layers_words(found["layers"])
    if found.get("preview"):
        return [
            _("It would be written: {file}").format(file=plain(found["file"])),
            _("At most {size}, {layers} that are looked at, at most about {memory} of memory.").format(
                size=bytes_text(found["size"]), layers=layers, memory=bytes_text(found["memory"])
            ),
        ]
    low, high = found["ranks"] if found["ranks"] else (0, 0)
    ranks = "" if found["kind"] == "full" else ", " + _("rank {ranks}").format(
        ranks=low if low == high else f"{low}-{high}"
    )  # fmt: skip
    lines = [f"{plain(found['file'])}  {bytes_text(found['size'])}", f"  {layers}{ranks}"]
    lines.append("  " + _("{share:.1%} of what these layers changed is kept").format(share=found["kept"]))
    left = found["left_out"]
    if left["count"]:
        lines.append(
            "  "
            + ngettext(
                "{count} other layer changed, too; {share:.1%} of the whole difference is kept",
                "{count} other layers changed, too; {share:.1%} of the whole difference is kept",
                left["count"],
            ).format(count=left["count"], share=found["kept_of_all"])
        )
    if found["further"] > 1:
        lines.append("  " + _("the error of a layer is at most {times:.2f} times the least possible").format(
            times=found["further"]
        ))  # fmt: skip
    return [*lines, took_words(found)]
