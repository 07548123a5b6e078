"""``lora metadata``: look at what LoRA files say of themselves, and edit it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

ACTIONS = ("metadata",)
LARGE = 1 << 28
"""Bytes of a file from which on it is said how far the writing is."""


def build(commands: Any) -> None:
    """Declare the arguments."""
    metadata = commands.add_parser("metadata", help=_("show and edit what a LoRA file says of itself"))
    metadata.add_argument("file", type=Path, metavar="FILE")
    metadata.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=_("write an entry; may be given several times")
    )
    metadata.add_argument("--unset", action="append", default=[], metavar="KEY", help=_("take an entry away"))
    metadata.add_argument("--trigger", default=None, metavar="WORDS", help=_("write the trigger words"))
    metadata.add_argument("--note", default=None, metavar="TEXT", help=_("write a note, where the comment stands"))
    metadata.add_argument("--restore", action="store_true", help=_("bring back the file as it was before all edits"))
    metadata.add_argument("--json", action="store_true", help=_("the result as JSON"))


def run(args: argparse.Namespace) -> int:
    """Show the entries, or change them and say what changed."""
    from lora_tui.cli.main import Usage
    from lora_tui.cli.output import Progress, print_json, say
    from lora_tui.places import is_file
    from lora_tui.text.plain import plain
    from lora_tui.weights import metadata as editing

    entries = editing.parsed_assignments(args.set)
    if args.trigger is not None:
        entries |= editing.trigger_edit(args.trigger)
    if args.note is not None:
        entries[editing.NOTE] = args.note
    edit = editing.Edit(entries, tuple(args.unset))
    if args.restore:
        if entries or args.unset:
            raise Usage(_("--restore stands alone."), command="lora metadata")
        editing.restore(args.file)
        if args.json:
            print_json({"file": args.file, "restored": True})
        else:
            say(_("{file} is as it was before all edits.").format(file=plain(str(args.file))))
        return 0
    if not entries and not args.unset:
        return _show(args)
    small = is_file(args.file) and args.file.stat().st_size < LARGE
    with Progress(_("writing"), quiet=args.json or small) as screen:
        done = editing.edit_metadata(args.file, edit, progress=screen.update)
    if args.json:
        changed = {key: {"old": old, "new": new} for key, (old, new) in done.changed.items()}
        print_json({"file": args.file, "backup": done.backup, "changed": changed})
        return 0
    for key, (old, new) in done.changed.items():
        say(f"- {plain(key)} = {plain(old)}" if old is not None else f"+ {plain(key)} = {plain(new or '')}")
        if old is not None and new is not None:
            say(f"+ {plain(key)} = {plain(new)}")
    if done.backup is None:
        say(_("Nothing changed: the file says so already."))
    else:
        say(_("What was there before is kept as {file}.").format(file=plain(str(done.backup))))
    return 0


def _show(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.weights.header.format import read_header
    from lora_tui.weights.header.told import metadata_lines

    metadata = read_header(args.file).metadata
    if args.json:
        print_json({"file": args.file, "metadata": metadata})
        return 0
    for line in metadata_lines(metadata, limit=100_000):
        say(line)
    return 0
