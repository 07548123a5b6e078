"""``bench``: measure this machine, in a process of its own so that what is measured is not this one."""

from __future__ import annotations

import argparse
import subprocess

from lora_tui.python import python_command
from lora_tui.text.translate import _


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: a name and whatever that measurement takes."""
    from lora_tui.bench import BENCHES
    from lora_tui.cli.main import TextFormatter

    parser.formatter_class = TextFormatter
    names = [f"  {name:<10} {_(text)}" for name, (_module, text) in BENCHES.items()]
    parser.epilog = "\n".join([_("measurements:"), *names, "", _("Each has --help, --json and --check.")])
    parser.add_argument("name", choices=list(BENCHES), metavar="NAME", help=_("what to measure"))
    parser.add_argument("options", nargs=argparse.REMAINDER, help=_("options of the measurement"))


def run(args: argparse.Namespace) -> int:
    """Run the measurement, print what it printed, and pass on its exit status."""
    from lora_tui.cli.output import say

    command = python_command("-m", "lora_tui.bench", args.name, *args.options)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    if result.stdout:
        say(result.stdout.rstrip("\n"))
    return result.returncode
