"""``lora compare``: how alike two LoRA files are block by block, and what they do to each other."""

from __future__ import annotations

import argparse
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("compare",)


def build(commands: Any) -> None:
    """Declare the arguments."""
    from lora_tui.cli.lora_options import add_base

    compare = commands.add_parser("compare", help=_("how alike two files are, and how they interfere, block by block"))
    compare.add_argument("one", metavar="ONE", help=_("FILE, or FILE=0.8 at that strength"))
    compare.add_argument("two", metavar="TWO")
    add_base(compare, _("a model to measure DoRA and OFT upon"))
    compare.add_argument("--json", action="store_true", help=_("everything as JSON"))


def run(args: argparse.Namespace) -> int:
    """Compare, and show a table."""
    from lora_tui.cli.lora_apart import answer
    from lora_tui.cli.lora_options import absolute
    from lora_tui.weights.ingredients import ingredients

    options = {
        "operation": "compare",
        "loras": [one.as_options() for one in ingredients([args.one, args.two])],
        "base": absolute(args.base),
        "family": args.family,
    }
    return answer(args, options, _told)


def _told(found: dict[str, Any]) -> list[str]:
    from lora_tui.cli.lora_options import unmeasured_lines
    from lora_tui.cli.output import table
    from lora_tui.text.translate import ngettext

    rows = [_row(block["block"] or "-", block) for block in found["blocks"]]
    rows.append(_row(_("all"), found["whole"]))
    headings = (
        _("block"), _("norm of one"), _("of two"), _("cosine"), _("together"), _("outputs"), _("inputs"),
        _("layers"),
    )  # fmt: skip
    lines = [table(rows, headings, right=range(1, 8)), "", verdict(found["whole"])]
    for number, count in zip((_("one"), _("two")), found["alone"], strict=True):
        if count:
            told = ngettext("{count} layer is only in {file}.", "{count} layers are only in {file}.", count)
            lines.append(told.format(count=count, file=number))
    return [*lines, *unmeasured_lines(found["unmeasured"])]


def _row(name: str, met: dict[str, Any]) -> tuple[str, ...]:
    def share(value: float | None, text: str) -> str:
        return "-" if value is None else format(value, text)

    one, two = met["norms"]
    return (
        name, f"{one:.4g}", f"{two:.4g}", share(met["cosine"], "+.3f"), share(met["together"], ".2f"),
        share(met["outputs"], ".0%"), share(met["inputs"], ".0%"), str(met["layers"]),
    )  # fmt: skip


def verdict(whole: dict[str, Any]) -> str:
    """What the numbers mean, in a sentence."""
    cosine = whole["cosine"]
    if cosine is None or not whole["layers"]:
        return _("They share no layer: neither changes what the other does.")
    if cosine > 0.9:
        return _("They do nearly the same: used together they act as one of double strength.")
    if cosine > 0.3:
        return _("They are alike: used together they add up, so lower their strengths.")
    if cosine < -0.3:
        return _("They work against each other: used together they cancel in part.")
    if (whole["outputs"] or 0) > 0.5 and (whole["inputs"] or 0) > 0.5:
        return _("They are different, but work on the same inputs and outputs: expect them to mix.")
    return _("They are nearly independent: used together each does what it does alone.")
