"""``doctor``: look at this machine and say what is missing, each with a remedy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text.translate import N_, _, ngettext

if TYPE_CHECKING:
    from lora_tui.doctor.check import Check

GROUPS = {
    "software": N_("Software"),
    "training": N_("Training"),
    "machine": N_("Machine"),
    "terminal": N_("Terminal"),
}
MARKS = {"ok": "✓", "note": "·", "warning": "!", "error": "×"}
ASCII_MARKS = {"ok": "+", "note": ".", "warning": "!", "error": "x"}
TITLE_WIDTH = 22


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--dir", type=Path, default=Path(), metavar="DIR", help=_("where runs would be written; else here")
    )
    parser.add_argument("--json", action="store_true", help=_("one JSON document"))


def run(args: argparse.Namespace) -> int:
    """Print what was found; 3 when something essential fails."""
    from lora_tui.cli.main import DONE, PROBLEMS
    from lora_tui.cli.output import note, print_json
    from lora_tui.doctor.check import ERROR
    from lora_tui.doctor.examine import examine

    if not args.json:
        note(_("looking around; torch takes a few seconds"))
    checks = examine(args.dir.absolute())
    failed = any(check.status == ERROR for check in checks)
    if args.json:
        print_json({"ok": not failed, "checks": [check.as_dict() for check in checks]})
    else:
        _print(checks)
    return PROBLEMS if failed else DONE


def _print(checks: tuple[Check, ...]) -> None:
    from lora_tui.cli.output import say, width

    marks = MARKS if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else ASCII_MARKS
    for group, title in GROUPS.items():
        say(_(title))
        for check in (check for check in checks if check.group == group):
            blank = " " * max(TITLE_WIDTH - width(check.title), 1)
            say(f"  {marks[check.status]} {check.title}{blank}{check.text}")
            if check.remedy:
                say(" " * (TITLE_WIDTH + 4) + check.remedy)
    failed = sum(check.status == "error" for check in checks)
    if failed:
        say(ngettext("{count} thing must be fixed.", "{count} things must be fixed.", failed).format(count=failed))
    else:
        say(_("Nothing essential is missing."))
