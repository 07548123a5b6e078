"""``cache``: what is kept because it was costly to compute, and letting go of some of it."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text.translate import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_tui.caches.inventory import Kind


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help=_("what is kept, how large it is, when it was last used"))
    pruning = commands.add_parser("prune", help=_("let go of some of it; it is computed again when needed"))
    pruning.add_argument("kinds", nargs="*", metavar="KIND", help=_("such as latents, text, packed; else all kinds"))
    pruning.add_argument(
        "--cap", default="", metavar="SIZE", help=_("of each kind leave at most so much, such as 10gb")
    )
    pruning.add_argument("--unused", default="", metavar="TIME", help=_("what nobody used for so long, such as 30d"))
    pruning.add_argument("--yes", action="store_true", help=_("do it; without this it is only shown"))
    for command in (listing, pruning):
        command.add_argument("--json", action="store_true", help=_("the result as JSON"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return _list(args) if args.action == "list" else _prune(args)


def _list(args: argparse.Namespace) -> int:
    from lora_tui.caches.inventory import inventory
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.settings import cache_dir
    from lora_tui.text.formats import bytes_text, clock, count

    found = inventory()
    if args.json:
        kinds = [{"kind": one.kind.name, "files": one.files, "bytes": one.size, "used": one.used} for one in found]
        print_json({"folder": cache_dir(), "bytes": sum(one.size for one in found), "kinds": kinds})
        return 0
    say(str(cache_dir()))
    if found:
        lines = [
            (
                one.kind.name,
                bytes_text(one.size),
                count(one.files),
                clock(one.used, "%Y-%m-%d"),
                _(one.kind.title),
                _(one.kind.costs),
            )
            for one in found
        ]
        heads = (_("kind"), _("size"), _("files"), _("used"), _("what"), _("if it is gone"))
        say(table(lines, heads, right=(1, 2)))
    text = _("{size} in all") if found else _("Nothing is kept.")
    say(text.format(size=bytes_text(sum(one.size for one in found))))
    return 0


def _prune(args: argparse.Namespace) -> int:
    from lora_tui.caches.inventory import prune
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.text.formats import bytes_text, count

    cap = _number(args.cap, "--cap") if args.cap else None
    unused = _number(args.unused, "--unused") if args.unused else math.inf
    try:
        found = prune(
            _kinds(args.kinds), cap=int(cap) if cap is not None else None, unused_seconds=unused, dry=not args.yes
        )
    except OSError as error:
        raise UserError(
            _("It cannot be removed: {reason}.").format(reason=error.strerror or error),
            place=str(error.filename or ""),
            code="cache.write",
        ) from error
    size = sum(one.size for one in found)
    if args.json:
        kinds = [{"kind": one.kind.name, "files": one.files, "bytes": one.size, "busy": one.busy} for one in found]
        print_json({"done": args.yes, "bytes": size, "kinds": kinds})
        return 0
    going = [one for one in found if one.files]
    if going:
        lines = [(one.kind.name, bytes_text(one.size), count(one.files), _(one.kind.costs)) for one in going]
        say(table(lines, (_("kind"), _("size"), _("files"), _("if it is gone")), right=(1, 2)))
    for one in found:
        if one.busy:
            note(_("{kind} is in use and was left alone.").format(kind=one.kind.name))
    if not going:
        say(_("Nothing can go."))
    elif args.yes:
        say(_("Freed {size}.").format(size=bytes_text(size)))
    else:
        say(_("{size} in all. Nothing was changed; --yes does it.").format(size=bytes_text(size)))
    return 0


def _kinds(names: Sequence[str]) -> list[Kind]:
    from lora_tui.caches.inventory import KINDS

    known = {kind.name: kind for kind in KINDS}
    wrong = [name for name in names if name not in known]
    if wrong:
        text = ngettext("{names} is no kind of cache.", "{names} are no kinds of caches.", len(wrong))
        raise UserError(
            text.format(names=", ".join(wrong)),
            remedy=_("Known are {names}.").format(names=", ".join(known)),
            code="usage",
        )
    return [known[name] for name in names] or list(KINDS)


def _number(text: str, place: str) -> float:
    from lora_tui.records.values import ValueProblem, number_in

    try:
        return number_in(text)
    except ValueProblem as problem:
        raise UserError(str(problem), place=place, code="usage") from problem
