"""``watch``: a run as lines in any terminal, or as one line for the status bar of tmux."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.runs.folder import RunFolder

EVERY = 2.0
"""Seconds between status lines of ``--line --follow``."""


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run", nargs="?", default="", metavar="RUN", help=_("folder, name or number; else the newest living run")
    )
    parser.add_argument("--dir", default=".", help=_("the project to look in"))
    parser.add_argument("--line", action="store_true", help=_("one status line, for tmux: #(lora-tui watch --line)"))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--follow", action="store_true", help=_("go on until the run ends (without --line the default)"))
    how.add_argument("--once", action="store_true", help=_("print how it stands and return (with --line the default)"))
    parser.add_argument("--json", action="store_true", help=_("how it stands as JSON, once"))


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from lora_tui.cli.follow import status_json, status_line, status_lines
    from lora_tui.cli.output import print_json, say
    from lora_tui.runs.choose import choose_run
    from lora_tui.runs.status import inspect

    try:
        chosen = choose_run(args.run, Path(args.dir))
    except UserError:
        if args.line and not args.run and not args.json:
            return 0  # nothing runs: an empty status bar, not an error in it
        raise
    if args.json:
        print_json(status_json(inspect(chosen)))
        return 0
    if args.line and not args.follow:
        say(status_line(inspect(chosen)))
        return 0
    if args.once:
        for line in status_lines(inspect(chosen)):
            say(line)
        return 0
    try:
        return _follow_line(chosen) if args.line else _follow(chosen)
    except KeyboardInterrupt:
        say()
        return 0


def _follow(chosen: RunFolder) -> int:
    from lora_tui.cli.follow import follow, status_lines
    from lora_tui.cli.output import Progress, say

    with Progress(_("step"), stream=sys.stdout) as screen:
        status = follow(chosen, screen)
    for line in status_lines(status):
        say(line)
    return 0 if status.state in ("finished", "stopped") else 1


def _follow_line(chosen: RunFolder) -> int:
    from lora_tui.cli.follow import status_line
    from lora_tui.cli.output import Progress
    from lora_tui.runs.status import inspect

    with Progress("", stream=sys.stdout) as screen:
        while True:
            status = inspect(chosen)
            screen.show(status_line(status))
            if not status.alive:
                return 0 if status.state in ("finished", "stopped") else 1
            time.sleep(EVERY)
