"""``lora-tui captions tables``: what a dataset says of its tags, checked, shown, and added to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.captions.tables import Tables


def add(commands: Any) -> None:
    """Declare the command among the subcommands of ``captions``."""
    tables = commands.add_parser(
        "tables", help=_("show the dataset's tables of aliases, implications and banned tags, and add to them")
    )
    tables.add_argument("directory", metavar="DIR", type=Path, help=_("a folder of images"))
    tables.add_argument("--from", dest="source", type=Path, metavar="FILE", help=_("take the tables of this file"))
    tables.add_argument(
        "--alias", action="append", default=[], metavar="OTHER=TAG", help=_("another name of a tag; repeatable")
    )
    tables.add_argument(
        "--imply", action="append", default=[], metavar="TAG=TAG,…", help=_("what a tag implies; repeatable")
    )
    tables.add_argument("--ban", action="append", default=[], metavar="TAG", help=_("a tag for no caption; repeatable"))
    tables.add_argument("--json", action="store_true", help=_("print one JSON document"))
    tables.set_defaults(action=_tables)


def _tables(args: argparse.Namespace) -> int:
    from lora_tui.captions.journal.log import home_of
    from lora_tui.captions.tables import FILE, load_tables, save_tables
    from lora_tui.cli.captions_open import require_folder

    require_folder(args.directory)
    folder = home_of(args.directory) / ".lora-tui"
    tables = _read(args.source) if args.source is not None else load_tables(folder)
    new = _added(tables, args)
    if args.source is not None or new != tables:
        save_tables(folder, new)
    _say(args, new, folder / FILE)
    return 0


def _read(path: Path) -> Tables:
    """The tables of a file that a person names, who is told when there is none."""
    from lora_tui.captions.tables import parse_tables
    from lora_tui.errors import UserError
    from lora_tui.text import plain
    from lora_tui.toml_files import read_text

    try:
        return parse_tables(read_text(path), path)
    except (OSError, ValueError) as error:
        raise UserError(
            _("The tables of tags cannot be used: {reason}.").format(
                reason=plain(getattr(error, "strerror", None) or str(error), limit=200)
            ),
            place=plain(str(path)),
            remedy=_("Name a TOML file with the tables."),
            code="tables.wrong",
        ) from error


def _added(tables: Tables, args: argparse.Namespace) -> Tables:
    """The tables with what the options add.

    Raises:
        UserError: an option is no pair, or the aliases go in a circle.
    """
    from dataclasses import replace

    aliases, implications = dict(tables.aliases), dict(tables.implications)
    for text in args.alias:
        other, tag = _pair(text, "--alias")
        aliases[other] = tag
    for text in args.imply:
        tag, others = _pair(text, "--imply")
        listed = tuple(one.strip() for one in others.split(",") if one.strip())
        implications[tag] = tuple(dict.fromkeys((*implications.get(tag, ()), *listed)))
    banned = tuple(dict.fromkeys((*tables.blacklist, *(tag.strip() for tag in args.ban if tag.strip()))))
    return replace(tables, aliases=aliases, implications=implications, blacklist=banned)


def _pair(text: str, option: str) -> tuple[str, str]:
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    one, sign, other = (part.strip() for part in text.partition("="))
    if not sign or not one or not other.strip(", "):
        raise UserError(_("Two names with = between them are expected."), place=f"{option} {plain(text)}", code="usage")
    return one, other


def _say(args: argparse.Namespace, tables: Tables, path: Path) -> None:
    from lora_tui.captions.tables import as_document
    from lora_tui.cli.output import print_json, say
    from lora_tui.text import plain

    document = as_document(tables)
    if args.json:
        print_json({"file": path, "there": path.exists(), "tables": document})
        return
    import tomli_w

    if not path.exists():
        say(_("There is no file yet; it would be {file}. These hold until then:").format(file=plain(str(path))))
    else:
        say(plain(str(path)))
    say()
    say(tomli_w.dumps(document).rstrip())
