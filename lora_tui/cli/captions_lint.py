"""``lora-tui captions lint``: what is wrong with captions, and mending what can be mended.

The dispatcher of ``captions`` calls :func:`add` for the command line; the command itself is ``args.action``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.captions.asking import Asking
    from lora_tui.captions.corpus import Corpus
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.captions.lint import Problem
    from lora_tui.captions.transaction import Session
    from lora_tui.errors import UserError

PROBLEMS = 3
_SHOWN_PER_KIND = 5
_ROUNDS = 3
"""Mending one problem can bring another to light, such as a doubled tag when spellings become one."""


def add(commands: Any) -> None:
    """Declare ``lint`` among the subcommands of ``captions``."""
    lint = commands.add_parser("lint", help=_("say what is wrong with captions, and fix it with --fix"))
    lint.add_argument("directory", metavar="DIR", type=Path, help=_("a folder of images"))
    lint.add_argument(
        "--extensions", "--extension", metavar="LIST", help=_("endings of caption files, such as .txt,.caption")
    )
    lint.add_argument("--profile", default="ours", metavar="P", help=_("the trainer that will read the captions"))
    lint.add_argument("--trigger", default=None, metavar="W", help=_("the trigger word; a project knows it"))
    lint.add_argument("--where", default="", metavar="FILTER", help=_("look at these captions only"))
    lint.add_argument("--only", default="", metavar="CODES", help=_("report these problems only, such as tag.*"))
    lint.add_argument("--ignore", default="", metavar="CODES", help=_("leave these problems out"))
    lint.add_argument("--tokens", type=int, default=75, metavar="N", help=_("tokens that the text encoder sees"))
    lint.add_argument("--no-shuffle", action="store_true", help=_("the trainer does not shuffle tags"))
    lint.add_argument("--fix", action="store_true", help=_("fix what can be fixed; captions undo takes it back"))
    lint.add_argument("--dry-run", action="store_true", help=_("with --fix: say what would be changed"))
    lint.add_argument("--all", action="store_true", help=_("list every caption, not only the first few of each kind"))
    lint.add_argument("--json", action="store_true", help=_("print one JSON document"))
    lint.set_defaults(action=run)


def run(args: argparse.Namespace) -> int:
    """Look, mend if that was asked for, and print what was found; 3 when problems are left."""
    from lora_tui.cli.captions_open import asking_of, open_session, tell_losses
    from lora_tui.cli.output import Progress
    from lora_tui.errors import UserError

    if args.tokens < 1:
        raise UserError(_("At least one token is seen."), place=f"--tokens {args.tokens}", code="usage")
    _codes(args.only, "--only"), _codes(args.ignore, "--ignore")
    session = open_session(args)
    corpus = session.corpus
    with Progress(_("comparing images"), len(corpus.entries), quiet=args.json) as progress:
        shuffle = False if args.no_shuffle else None
        asking = asking_of(session, args, progress.update, trigger=args.trigger, shuffle=shuffle, limit=args.tokens)
        mended = _mend(args, session, asking) if args.fix else []
        found = _found(args, asking)
    if args.json:
        _print(corpus, found, mended)
    else:
        _say(corpus, found, mended, args)
    transactions = [one.transaction for one in mended if one.transaction is not None]
    failed = tell_losses(transactions, args.directory, [row for one in mended for row in one.refused])
    return failed or (PROBLEMS if found else 0)


def _found(args: argparse.Namespace, asking: Asking) -> list[Problem]:
    from fnmatch import fnmatchcase

    from lora_tui.captions.query.query import parse_query

    problems = asking.linter.everything(asking.corpus)
    if args.where:
        inside = set(parse_query(args.where).select(asking.corpus, asking.query_context()))
        problems = [problem for problem in problems if problem.number in inside]
    only, ignored = _codes(args.only, "--only"), _codes(args.ignore, "--ignore")

    def wanted(code: str) -> bool:
        named = not only or any(fnmatchcase(code, pattern) for pattern in only)
        return named and not any(fnmatchcase(code, pattern) for pattern in ignored)

    return [problem for problem in problems if wanted(problem.code)]


def _mend(args: argparse.Namespace, session: Session, asking: Asking) -> list[Mended]:
    """Apply the fixes, those of one kind as one transaction, until there is nothing more to mend.

    What throws tags away is done only where ``--only`` names the problem.
    """
    from lora_tui.captions.language import parse_operation
    from lora_tui.captions.transaction import preview

    done: list[Mended] = []
    corpus, context = session.corpus, asking.operation_context()
    named = _list(args.only)
    try:
        for _round in range(1 if args.dry_run else _ROUNDS):
            fixes: dict[str, list[int]] = {}
            for problem in _found(args, asking):
                if fix := (problem.fix if problem.code in named else problem.mend):
                    fixes.setdefault(fix, []).append(problem.number)
            changed = 0
            for fix, numbers in fixes.items():
                plan = preview(
                    corpus, numbers, parse_operation(fix), context=context, operation_text=fix, scope_text="lint"
                )
                changed += len(plan.changes)
                if plan.changes or plan.refused:
                    applied = session.apply(plan, "lint") if plan.changes and not args.dry_run else None
                    done.append(Mended(fix, len(plan.changes), plan.refused, applied))
            if not changed:
                break
    finally:
        session.close()
    return done


@dataclass(frozen=True)
class Mended:
    """One fix that was done to captions, or would be.

    Attributes:
        planned: how many captions it changes.
        refused: images whose captions cannot take it, and why.
        transaction: how it fared; none when it was only tried.
    """

    operation: str
    planned: int
    refused: tuple[tuple[int, UserError], ...] = ()
    transaction: Transaction | None = None

    @property
    def captions(self) -> int:
        """How many captions it changed."""
        return self.planned - (len(self.transaction.lost) if self.transaction else 0)

    @property
    def is_whole(self) -> bool:
        """Whether every caption was changed that should be."""
        return self.captions == self.planned and not self.refused

    def as_dict(self) -> dict[str, Any]:
        one = self.transaction
        found: dict[str, Any] = {"operation": self.operation, "captions": self.captions}
        if not self.is_whole:
            found["refused"] = [error.as_dict() for _number, error in self.refused]
            found["conflicts"] = list(one.conflicts) if one else []
            found["failures"] = dict(one.failures) if one else {}
            found["error"] = one.error.as_dict() if one and one.error else None
        return found


def _codes(text: str, option: str) -> tuple[str, ...]:
    """The problems that an option names, with ``*`` and ``?`` for many.

    Raises:
        UserError: there is none of this name.
    """
    from difflib import get_close_matches
    from fnmatch import filter as matching

    from lora_tui.captions.lint_codes import CODES
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    named = _list(text)
    for name in named:
        if not matching(CODES, name):
            meant = get_close_matches(name, CODES, 1) or CODES
            raise UserError(
                _("There is no problem of this name."),
                place=f"{option} {plain(name)}",
                remedy=_("Choose one of: {names}.").format(names=", ".join(meant)),
                code="usage",
            )
    return named


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _print(corpus: Corpus, found: Sequence[Problem], mended: Sequence[Mended]) -> None:
    from collections import Counter

    from lora_tui.cli.output import print_json

    rows = [
        {
            "image": None if problem.file else corpus.entries[problem.number].name,
            "caption": problem.file or corpus.entries[problem.number].caption_name,
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            "fix": problem.fix,
            "remedy": problem.remedy,
        }
        for problem in found
    ]
    counts = dict(sorted(Counter(problem.code for problem in found).items()))
    document = {"folder": corpus.root, "images": len(corpus.entries), "counts": counts, "problems": rows}
    print_json({**document, "mended": [one.as_dict() for one in mended]} if mended else document)


def _say(corpus: Corpus, found: Sequence[Problem], mended: Sequence[Mended], args: argparse.Namespace) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text import count, ngettext, plain

    for one in mended:
        message = ngettext("{count} caption: {operation}", "{count} captions: {operation}", one.captions)
        say(message.format(count=count(one.captions), operation=plain(one.operation)))
    if mended:
        say()
    if not found:
        say(_("No problem found."))
        return
    kinds: dict[str, list[Problem]] = {}
    for problem in found:
        kinds.setdefault(problem.code, []).append(problem)
    for members in sorted(kinds.values(), key=lambda members: (members[0].severity != "error", -len(members))):
        _say_kind(corpus, members, everything=args.all)
    _say_unused(corpus, found)


def _say_unused(corpus: Corpus, found: Sequence[Problem]) -> None:
    """Of how many images with problems nothing is trained: ``dataset check`` does not count their captions."""
    from lora_tui.cli.output import note
    from lora_tui.dataset.facts import read_facts
    from lora_tui.dataset.notes import NotesBelow
    from lora_tui.errors import UserError
    from lora_tui.text import count, ngettext

    def is_unused(name: str) -> bool:
        try:
            if notes.excluded(name):
                return True
            read_facts(Path(corpus.root, name))
        except UserError:
            return True
        return False

    try:
        notes = NotesBelow(Path(corpus.root))
    except UserError:
        return
    bare = {problem.number for problem in found if problem.code == "caption.missing" and not problem.file}
    unused = sum(is_unused(corpus.entries[number].name) for number in bare)
    if unused:
        text = ngettext(
            "{count} of the images without a caption is left out or cannot be read.",
            "{count} of the images without a caption are left out or cannot be read.",
            unused,
        )
        note(text.format(count=count(unused)))


def _say_kind(corpus: Corpus, members: Sequence[Problem], *, everything: bool) -> None:
    from lora_tui.cli.output import say
    from lora_tui.text import count, plain

    first = members[0]
    mark = "×" if first.severity == "error" else "!"
    same = all(problem.message == first.message for problem in members)
    say(f"{mark} {first.code} ({count(len(members))})" + (f"  {first.message}" if same else ""))
    shown = members if everything else members[:_SHOWN_PER_KIND]
    for problem in shown:
        name = plain(problem.file or corpus.entries[problem.number].name)
        say(f"    {name}" if same else f"    {name}: {problem.message}")
    if len(shown) < len(members):
        say(_("    and {number} more; --all lists them").format(number=count(len(members) - len(shown))))
    if first.fix is not None:
        say(_("  fix: {operation}").format(operation=plain(first.fix)))
    if first.remedy:
        say(f"  {first.remedy}")
