"""``lora-tui captions undo|redo|revert|log|blame``: what was done to captions, and taking it back."""

from __future__ import annotations

import argparse
import re
import time
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text import _

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def build(commands: Any) -> None:
    from lora_tui.cli.captions import add_folder

    for name, text in (("undo", _("undo the last changes")), ("redo", _("do again what was undone"))):
        one = commands.add_parser(name, help=text)
        add_folder(one)
        one.add_argument("steps", metavar="STEPS", nargs="?", type=int, default=1, help=_("how many; 1 by default"))
        one.add_argument("--author", default="", metavar="NAME", help=_("who is doing this, for the journal"))
        one.set_defaults(action=_undo if name == "undo" else _redo)
    revert = commands.add_parser("revert", help=_("undo one transaction, one file's changes, or one tag's"))
    add_folder(revert)
    what = revert.add_mutually_exclusive_group(required=True)
    what.add_argument("--transaction", type=int, metavar="N", help=_("the one with this number, whatever came later"))
    what.add_argument("--image", metavar="NAME", help=_("the last change of this image's caption"))
    what.add_argument("--tag", metavar="TAG", help=_("put this tag back where it was, and away where it was not"))
    revert.add_argument("--steps", type=int, default=1, metavar="N", help=_("with --image: how many changes"))
    revert.add_argument("--since", default="", metavar="TIME", help=_("with --tag: such as 2h, 3d; all by default"))
    revert.add_argument("--author", default="", metavar="NAME", help=_("who is doing this, for the journal"))
    revert.set_defaults(action=_revert)
    log = commands.add_parser("log", help=_("list what was done to captions, newest first"))
    add_folder(log)
    log.add_argument("--tag", default="", metavar="TAG", help=_("only what added or removed this tag"))
    log.add_argument("--image", default="", metavar="NAME", help=_("only what changed this image's caption"))
    log.add_argument("--limit", type=int, default=20, metavar="N", help=_("this many; 0 for all"))
    log.set_defaults(action=_log)
    blame = commands.add_parser("blame", help=_("say who brought each tag of a caption"))
    add_folder(blame)
    blame.add_argument("image", metavar="IMAGE", help=_("name of an image in the folder"))
    blame.add_argument("tag", metavar="TAG", nargs="?", default="", help=_("only this tag"))
    blame.set_defaults(action=_blame)


def _undo(args: argparse.Namespace) -> int:
    return _turned(args, "undo")


def _redo(args: argparse.Namespace) -> int:
    return _turned(args, "redo")


def _turned(args: argparse.Namespace, way: str) -> int:
    from lora_tui.cli.captions_open import author, open_session, report
    from lora_tui.cli.output import note

    if args.steps < 1:
        raise UserError(_("At least one step."), place=str(args.steps), code="usage")
    session = open_session(args, captions=False)
    (session.undo if way == "undo" else session.redo)(args.steps, author(args))
    for error in session.stepped_over:
        note(str(error))
    return report(session.close(), args)


def _revert(args: argparse.Namespace) -> int:
    from lora_tui.captions.history import revert, revert_file, revert_tag
    from lora_tui.cli.captions_open import author, number_of, open_session, report

    session = open_session(args)
    who = author(args)
    if args.transaction is not None:
        revert(session, args.transaction, who)
    elif args.image is not None:
        if args.steps < 1:
            raise UserError(_("At least one step."), place=f"--steps {args.steps}", code="usage")
        entry = session.corpus.entries[number_of(session, args.image)]
        revert_file(session, session.journal_name(entry.caption_name), who, args.steps)
    else:
        revert_tag(session, args.tag, who, _moment(args.since))
    return report(session.close(), args)


def _moment(text: str) -> float:
    """Unix seconds of ``2h`` ago; 0 for no text."""
    if not text:
        return 0.0
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if not found:
        raise UserError(
            _("This is no length of time."), place=f"--since {text}", remedy=_("Write 30m, 2h, 3d or 1w."), code="usage"
        )
    return time.time() - int(found[1]) * _UNITS[found[2]]


def _log(args: argparse.Namespace) -> int:
    from lora_tui.captions.history import deeds, story
    from lora_tui.cli.captions_open import number_of, open_session
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.text import count

    if args.limit < 0:
        raise UserError(_("At least one, or 0 for all."), place=f"--limit {args.limit}", code="usage")
    session = open_session(args, captions=bool(args.image))
    records = session.journal.records()
    if args.tag:
        records = [deed.record for deed in deeds(session.journal, args.tag, session.corpus.profile)]
    if args.image:
        entry = session.corpus.entries[number_of(session, args.image)]
        name = session.journal_name(entry.caption_name)
        here = {record.number for record, _change in session.journal.changes_of(name)}
        records = [record for record in records if record.number in here]
    records = records[::-1][: args.limit or None]
    if args.json:
        print_json([_as_json(record, story(session.journal, record)) for record in records])
        return 0
    rows = [
        (
            record.number,
            _time(record.time),
            record.author,
            count(record.files),
            story(session.journal, record),
            record.scope,
        )
        for record in records
    ]
    if rows:
        say(table(rows, (_("number"), _("time"), _("author"), _("files"), _("operation"), _("scope")), right=(0, 3)))
    else:
        say(_("Nothing was done to these captions yet."))
    return 0


def _blame(args: argparse.Namespace) -> int:
    from lora_tui.captions.history import blame
    from lora_tui.cli.captions_open import number_of, open_session
    from lora_tui.cli.output import print_json, say, table

    session = open_session(args)
    entry = session.corpus.entries[number_of(session, args.image)]
    text = entry.document.text if entry.document else ""
    found = blame(session.journal, session.journal_name(entry.caption_name), text, session.corpus.profile)
    found = [one for one in found if not args.tag or one.tag == args.tag]
    if args.tag and not found:
        raise UserError(_("The caption has no such tag."), place=args.tag, code="captions.tag")
    if args.json:
        print_json([{"tag": one.tag, "record": _as_json(one.record) if one.record else None} for one in found])
        return 0
    rows = []
    for one in found:
        record = one.record
        if record is None:
            rows.append((one.tag, "", "", "", _("was there before")))
        else:
            rows.append((one.tag, str(record.number), _time(record.time), record.author, record.operation))
    say(table(rows, (_("tag"), _("number"), _("time"), _("author"), _("operation")), right=(1,)))
    return 0


def _time(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _as_json(record: Any, words: str = "") -> dict[str, Any]:
    return {
        "number": record.number,
        "time": record.time,
        "kind": record.kind,
        "author": record.author,
        "operation": record.operation,
        "words": words or record.operation,
        "scope": record.scope,
        "files": record.files,
        "of": record.of or None,
        "failed": sorted(record.failed),
    }
