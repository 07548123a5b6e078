"""``attach``: open the app on a running training, from any terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from lora_tui.text.translate import _


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run", nargs="?", default="", metavar="RUN", help=_("folder, name or number; else the newest living run")
    )
    parser.add_argument("--dir", default=".", help=_("the project to look in"))


def run(args: argparse.Namespace) -> int:
    """Find the run and open the app on its training screen."""
    from lora_tui.cli.main import open_app
    from lora_tui.runs.choose import choose_run

    chosen = choose_run(args.run, Path(args.dir))
    project = chosen.root.parent.parent if chosen.root.parent.name == "runs" else chosen.root.parent
    return open_app(project, screen="training", run=chosen.root)
