"""``lora info``: what LoRA files hold, without loading them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.weights.header.loras import LoraInfo

ACTIONS = ("info",)
WRONG = 2


def build(commands: Any) -> None:
    """Declare the arguments."""
    info = commands.add_parser("info", help=_("family, rank, alpha, modules and metadata of LoRA files"))
    info.add_argument("files", type=Path, metavar="FILE", nargs="+", help=_("several are shown as a table"))
    info.add_argument("--metadata", action="store_true", help=_("also print every metadata entry"))
    info.add_argument("--json", action="store_true", help=_("one JSON document with everything"))


def run(args: argparse.Namespace) -> int:
    """Print what the files say of themselves."""
    if len(args.files) > 1:
        return _many(args)
    from lora_tui.cli.output import print_json, say
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.told import info_lines

    (file,) = args.files
    info = lora_info(file)
    if args.json:
        print_json({"file": file, **info.as_dict()})
        return 0
    from lora_tui.text.plain import plain

    say(plain(file.name))
    for title, value in info_lines(info):
        say(f"  {title:<16} {value}")
    if args.metadata:
        say()
        for key, value in sorted(info.metadata.items()):
            say(f"  {plain(key)} = {plain(value)}")
    return 0


def _headings() -> tuple[str, ...]:
    return _("file"), _("family"), _("kind"), _("step"), _("rank"), _("alpha"), _("size")


def _many(args: argparse.Namespace) -> int:
    """One row for each file; those that cannot be read are named, and the status says that there are some."""
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.errors import UserError
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.told import spread

    found: list[tuple[Path, LoraInfo]] = []
    wrong: list[tuple[Path, UserError]] = []
    for file in args.files:
        try:
            found.append((file, lora_info(file)))
        except UserError as error:
            wrong.append((file, error))
    if args.json:
        documents = [{"file": file, **info.as_dict()} for file, info in found]
        print_json({"files": documents, "errors": [{"file": file, **error.as_dict()} for file, error in wrong]})
        return WRONG if wrong else 0
    rows = [
        (
            plain(str(file)),
            info.family,
            info.kind,
            plain(info.metadata.get("ss_steps", "-"), limit=12),
            spread(info.ranks) or "-",
            spread({f"{a:g}": n for a, n in info.alphas.items()}) or "-",
            bytes_text(info.size),
        )
        for file, info in found
    ]
    if rows:
        say(table(rows, _headings(), right=range(3, 7)))
    if args.metadata:
        for file, info in found:
            say()
            say(plain(str(file)))
            for key, value in sorted(info.metadata.items()):
                say(f"  {plain(key)} = {plain(value)}")
    for _file, problem in wrong:
        note(plain(f"lora-tui: {problem}"))
    return WRONG if wrong else 0
