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
    """Look at each file, in a process apart, which loads torch; the status is 3 where there is more than a note."""
    from lora_tui.cli.lora_apart import done_apart
    from lora_tui.cli.output import print_json, say
    from lora_tui.places import is_file

    files = [str(file.expanduser().absolute()) for file in args.files]
    small = all(not is_file(Path(file)) or Path(file).stat().st_size < LARGE for file in files)
    options = {"operation": "check", "files": files, "base": args.base}
    found = done_apart(options, quiet=args.json or small)
    problems = sum(int(one["problems"]) for one in found["checks"])
    if args.json:
        print_json({"files": found["checks"], "problems": problems})
    else:
        say("\n".join(found["lines"]))
    return PROBLEMS if problems else 0
