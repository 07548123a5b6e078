"""``lora info``: what LoRA files hold, without loading them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.weights.header.loras import LoraInfo

ACTIONS = ("info",)
WRONG = 2
LONGEST_VALUE = 1_000_000
"""Characters of an entry of the metadata that are printed."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    info = commands.add_parser("info", help=_("family, rank, alpha, modules and metadata of LoRA files"))
    info.add_argument("files", type=Path, metavar="FILE", nargs="+", help=_("several are shown as a table"))
    info.add_argument("--metadata", action="store_true", help=_("also print every metadata entry"))
    info.add_argument("--tags", action="store_true", help=_("also print every tag of the training set by frequency"))
    info.add_argument("--norms", action="store_true", help=_("also measure how much of it lies in each block"))
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
    blocks = _blocks(file, quiet=args.json) if args.norms else None
    if args.json:
        print_json({"file": file, **_document(info), **({"blocks": blocks["blocks"]} if blocks is not None else {})})
        return 0
    from lora_tui.text.formats import count
    from lora_tui.text.plain import plain
    from lora_tui.weights.header.story import tags_of
    from lora_tui.weights.header.told import metadata_lines

    say(plain(file.name))
    for title, value in info_lines(info):
        say(f"  {title:<16} {value}")
    if blocks is not None:
        from lora_tui.cli.lora_blocks import bar_cells, block_lines

        say()
        plain_bars = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        for line in block_lines(blocks["blocks"], bar_cells(2), plain=plain_bars):
            say(f"  {line}")
    if args.tags:
        say()
        for tag, number in tags_of(info.metadata):
            say(f"  {count(number):>7}  {plain(tag)}")
    if args.metadata:
        say()
        for line in metadata_lines(info.metadata, limit=LONGEST_VALUE):
            say(f"  {line}")
    elif info.metadata:
        say(
            f"  {_('metadata'):<16} "
            + _("{count} entries, shown by --metadata").format(count=count(len(info.metadata)))
        )
    return 0


def _document(info: LoraInfo) -> dict[str, Any]:
    """All of a file for JSON: its figures, and what its metadata tell, understood."""
    from dataclasses import asdict

    from lora_tui.weights.header import story

    told = info.metadata
    return {
        **info.as_dict(), "trigger_words": story.triggers_of(told), "base": asdict(story.base_of(told)),
        "training": story.training_of(told), "tags": [list(pair) for pair in story.tags_of(told)],
        "dataset": story.dataset_of(told) | {"folders": [asdict(folder) for folder in story.folders_of(told)]},
    }  # fmt: skip


def _blocks(file: Path, *, quiet: bool) -> dict[str, Any]:
    """How much lies in each block, measured in a process apart, which loads torch."""
    from lora_tui.cli.lora_apart import done_apart

    return done_apart({"operation": "blocks", "file": str(file.absolute())}, quiet=quiet)


def _headings() -> tuple[str, ...]:
    return _("file"), _("family"), _("kind"), _("step"), _("rank"), _("alpha"), _("size")


def _many(args: argparse.Namespace) -> int:
    """One row for each file; those that cannot be read are named, and the status says that there are some."""
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.errors import UserError
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.told import metadata_lines, spread

    found: list[tuple[Path, LoraInfo]] = []
    wrong: list[tuple[Path, UserError]] = []
    for file in args.files:
        try:
            found.append((file, lora_info(file)))
        except UserError as error:
            wrong.append((file, error))
    if args.json:
        documents = [{"file": file, **_document(info)} for file, info in found]
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
            for line in metadata_lines(info.metadata, limit=LONGEST_VALUE):
                say(f"  {line}")
    for _file, problem in wrong:
        note(plain(f"lora-tui: {problem}"))
    return WRONG if wrong else 0
