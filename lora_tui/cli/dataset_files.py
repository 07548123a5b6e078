"""``lora-tui dataset remove|move|restore|trash``: images with all that belongs to them, and the way back."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.dataset.moves import Move

FAILED = 1


def build(commands: Any) -> None:
    """Declare the commands."""
    from lora_tui.cli.captions import add_scope

    remove = commands.add_parser(
        "remove", help=_("put images into the trash, with captions, masks and caches; restore brings them back")
    )
    add_scope(remove)
    remove.add_argument("--dry-run", action="store_true", help=_("say which, and move nothing"))
    remove.set_defaults(action=_move, target=None)
    move = commands.add_parser("move", help=_("move images to another folder, with captions, masks and caches"))
    add_scope(move)
    move.add_argument("--to", dest="target", type=_folder, required=True, metavar="FOLDER", help=_("where to"))
    move.add_argument("--dry-run", action="store_true", help=_("say which, and move nothing"))
    move.set_defaults(action=_move)
    restore = commands.add_parser("restore", help=_("take a move back: the newest, or the one with this number"))
    _add_folder(restore)
    restore.add_argument("number", nargs="?", type=int, default=0, metavar="N", help=_("its number in the list"))
    restore.set_defaults(action=_restore)
    listed = commands.add_parser("trash", help=_("what was moved and what lies in the trash"))
    _add_folder(listed)
    listed.add_argument("--empty", action="store_true", help=_("delete for good what lies in the trash"))
    listed.set_defaults(action=_trash)


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError(_("it names no folder"))
    return Path(text)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help=_("a folder of images"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def _move(args: argparse.Namespace) -> int:
    from lora_tui.cli.captions_open import chosen, open_session
    from lora_tui.cli.output import print_json, say
    from lora_tui.dataset import moves
    from lora_tui.errors import UserError
    from lora_tui.text import count, ngettext

    if not args.image and not args.where:
        raise UserError(
            _("No image is named."), remedy=_("Name images with --image NAME, or find them with --where."), code="usage"
        )
    session = open_session(args)
    try:
        numbers = chosen(session, args)
    finally:
        session.close()
    images = [args.directory / session.corpus.entries[number].name for number in numbers]
    if not images or args.dry_run:
        if args.json:
            print_json({"images": images, "moved": False})
            return 0
        if not images:
            say(_("No image fits; nothing is moved."))
            return 0
        for image in images[:200]:
            say(f"  {image.relative_to(args.directory)}")
        text = ngettext("{count} image would be moved.", "{count} images would be moved.", len(images))
        say(text.format(count=count(len(images))))
        return 0
    if args.target is None:
        done = moves.trash(args.directory, images)
    else:
        done = moves.move(args.directory, images, args.target)
    return _told(done, args)


def _restore(args: argparse.Namespace) -> int:
    from lora_tui.dataset import moves
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    number = args.number
    if not number:
        number = next((one.number for one in moves.moves(args.directory) if not one.back), 0)
    if not number:
        raise UserError(_("Nothing was moved here."), place=plain(str(args.directory)), code="moves.unknown")
    return _told(moves.take_back(args.directory, number), args)


def _trash(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.dataset import moves
    from lora_tui.text import bytes_text, count, plain

    if args.empty:
        freed = moves.empty_trash(args.directory)
        if args.json:
            print_json({"freed": freed})
        else:
            say(_("The trash is empty; {size} are free again.").format(size=bytes_text(freed)))
        return 0
    for path in moves.unreadable(args.directory):
        note(_("The record {path} cannot be read.").format(path=plain(str(path))))
    lying = {one.number for one in moves.in_trash(args.directory)}
    found = moves.moves(args.directory)
    if args.json:
        print_json([{**_plain(one), "in_trash": one.number in lying} for one in found])
        return 0
    if not found:
        if not moves.unreadable(args.directory):
            say(_("Nothing was moved here."))
        return 0
    rows = [
        (
            one.number,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created)),
            _("trash") if one.kind == "trash" else _("moved"),
            count(one.images),
            _("taken back") if one.back else plain(one.pairs[0][0] if one.pairs else ""),
        )
        for one in found
    ]
    say(table(rows, (_("number"), _("time"), _("kind"), _("images"), _("first")), right=(0, 3)))
    return 0


def _told(done: Move, args: argparse.Namespace) -> int:
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.text import count, ngettext, plain

    if args.json:
        print_json(_plain(done))
    elif done.back:
        text = ngettext(
            "{count} file is back where it was.", "{count} files are back where they were.", len(done.pairs)
        )
        say(text.format(count=count(len(done.pairs))))
    elif not done.pairs:
        say(_("Nothing is moved.") if done.failed else _("The images lie there already; nothing is moved."))
    elif not done.failed or "target" in args:
        images = ngettext("{count} image moved", "{count} images moved", done.images).format(count=count(done.images))
        files = ngettext("{count} file in all", "{count} files in all", len(done.pairs))
        again = f"lora-tui dataset restore {plain(str(args.directory))} {done.number}"
        moved = images + _(", ") + files.format(count=count(len(done.pairs)))
        say(_("{moved}. Back again: {command}").format(moved=moved, command=again))
    for name, reason in done.failed:
        note(_("{name} stays where it is: {reason}.").format(name=plain(name), reason=reason))
    return FAILED if done.failed else 0


def _plain(one: Move) -> dict[str, Any]:
    return {
        "number": one.number,
        "kind": one.kind,
        "created": one.created,
        "images": one.images,
        "back": one.back,
        "files": [{"from": old, "to": new} for old, new in one.pairs],
        "failed": [{"file": name, "reason": reason} for name, reason in one.failed],
    }
