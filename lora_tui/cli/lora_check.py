"""``lora check``: whether LoRA files are sound, and which programs read them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("check",)
PROBLEMS = 3
LARGE = 1 << 28
"""Bytes of a file from which on it is said how far the check is."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    check = commands.add_parser("check", help=_("NaN, dead layers, unread keys, wrong shapes; who reads the file"))
    check.add_argument("files", type=Path, metavar="FILE", nargs="+")
    check.add_argument("--base", default="", metavar="MODEL", help=_("compare the widths of layers with this model"))
    check.add_argument("--json", action="store_true", help=_("the result as JSON"))


def run(args: argparse.Namespace) -> int:
    """Look at each file; the status is 3 where there is more than a note."""
    from lora_tui.cli.output import Progress, print_json, say
    from lora_tui.places import is_file
    from lora_tui.text.plain import plain
    from lora_tui.weights.checking.check import check_lora
    from lora_tui.weights.checking.told import told_lines

    checks = []
    for file in args.files:
        large = is_file(file) and file.stat().st_size > LARGE
        with Progress(_("checking {file}").format(file=plain(file.name)), quiet=args.json or not large) as screen:
            checks.append(check_lora(file, base=args.base, progress=screen.update))
        if not args.json:
            say("\n".join(told_lines(checks[-1])))
    problems = sum(len(one.problems) for one in checks)
    if args.json:
        print_json({"files": [one.as_dict() for one in checks], "problems": problems})
    return PROBLEMS if problems else 0
