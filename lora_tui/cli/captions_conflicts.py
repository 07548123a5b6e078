"""``lora-tui captions conflicts``: edits that wait because another program changed the same captions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import N_, _

if TYPE_CHECKING:
    from lora_tui.captions.conflicts import Conflict, Way

PROBLEMS = 3

_SIDES = (("base", N_("before")), ("ours", N_("edit")), ("theirs", N_("on disk")), ("merged", N_("both")))


def add(commands: Any) -> None:
    """Declare the command among the subcommands of ``captions``."""
    from lora_tui.cli.captions import add_folder

    parser = commands.add_parser(
        "conflicts", help=_("list edits that wait because another program changed the captions, and settle them")
    )
    add_folder(parser)
    parser.add_argument(
        "--take",
        choices=("merge", "ours", "theirs"),
        help=_("both changes where they go together; the edit that waits; or what is on disk, and the edit is dropped"),
    )
    parser.add_argument("--file", action="append", default=[], metavar="NAME", help=_("only this file; repeatable"))
    parser.add_argument("--dry-run", action="store_true", help=_("say what would change, and change nothing"))
    parser.add_argument("--author", default="", metavar="NAME", help=_("who is doing this, for the journal"))
    parser.set_defaults(action=_conflicts)


def _conflicts(args: argparse.Namespace) -> int:
    from lora_tui.captions.conflicts import conflicts, settle
    from lora_tui.cli.captions_open import author, open_session, report

    session = open_session(args, captions=False)
    found = _chosen(conflicts(session), args)
    chosen = [(one, args.take) for one in found if args.take in one.ways]
    left = [one for one in found if args.take not in one.ways]
    if not args.json:
        _say(found, args.take)
    rows = {"conflicts": [_as_json(one) for one in found], "take": args.take, "dry_run": args.dry_run}
    if args.dry_run or not chosen:
        report([], args, extra=rows)
        return PROBLEMS if left else 0
    settle(session, chosen, author(args))
    status = report(session.close(), args, extra=rows)
    return status or (PROBLEMS if left else 0)


def _chosen(found: list[Conflict], args: argparse.Namespace) -> list[Conflict]:
    """Those that ``--file`` names, all without it.

    Raises:
        UserError: a name with which nothing waits.
    """
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    if not args.file:
        return found
    for name in args.file:
        if not any(_is_named(one, name) for one in found):
            raise UserError(
                _("No edit of this file waits."),
                place=plain(name),
                remedy=_("See: {command}").format(command="lora-tui captions conflicts DIR"),
                code="captions.no_conflict",
            )
    return [one for one in found if any(_is_named(one, name) for name in args.file)]


def _is_named(one: Conflict, name: str) -> bool:
    return one.name == name or one.name.endswith("/" + name)


def _say(found: list[Conflict], take: Way | None) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text import plain

    if not found:
        say(_("No edit waits."))
    for one in found:
        numbers = ", ".join(f"{record.number} {plain(record.operation, limit=60)}" for record in one.records)
        say(f"{plain(one.name)}  ({numbers})")
        if one.problem:
            say("  ! " + _("it cannot be read: {reason}.").format(reason=one.problem))
            continue
        sides = {"base": one.base, "ours": one.ours, "theirs": one.theirs}
        if one.merged is not None:
            sides["merged"] = one.merged.content
        chosen = "merged" if take == "merge" else take
        for key, word in _SIDES:
            if key in sides:
                mark = ">" if key == chosen else " "
                say(f"  {mark} {_(word)}: {_text(sides[key])}")
        if one.merged is None:
            say("  ! " + _("Both changed the same words: choose with --take ours or --take theirs."))


def _text(raw: bytes | None) -> str:
    from lora_tui.captions.document import CaptionDocument
    from lora_tui.text import plain

    return _("(no caption)") if raw is None else plain(CaptionDocument.parse(raw).text)


def _as_json(one: Conflict) -> dict[str, Any]:
    from lora_tui.captions.document import CaptionDocument

    def text(raw: bytes | None) -> str | None:
        return None if raw is None else CaptionDocument.parse(raw).text

    return {
        "file": one.name,
        "transactions": [record.number for record in one.records],
        "operations": [record.operation for record in one.records],
        "base": text(one.base),
        "ours": text(one.ours),
        "theirs": text(one.theirs),
        "merged": text(one.merged.content) if one.merged is not None else None,
        "ways": list(one.ways),
        "problem": one.problem or None,
    }
