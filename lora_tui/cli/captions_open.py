"""What the commands of ``captions`` share: opening a folder, choosing images, saying how a transaction ended."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain

if TYPE_CHECKING:
    from lora_tui.captions.asking import Asking
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.captions.transaction import Session
    from lora_tui.captions.variants import Variant
    from lora_tui.dataset.filter_facts import FilterFacts

FAILED = 1
_NAMED = 5


def open_session(args: argparse.Namespace, *, captions: bool = True) -> Session:
    """The folder of a command, with what a crash left in it finished and said.

    Args:
        captions: false leaves the captions unread, for commands that only need the journal.

    Raises:
        UserError: there is no such folder, no such profile, or the journal cannot be read.
    """
    from lora_tui.captions.corpus import CAPTION_EXTENSIONS, IMAGE_SUFFIXES, Corpus
    from lora_tui.captions.profile import profile_named
    from lora_tui.captions.transaction import Session
    from lora_tui.cli.output import Progress, note

    profile = _line_of(args).profile(profile_named(args.profile))
    require_folder(args.directory)
    endings = endings_of(args)
    if not captions:
        corpus = Corpus(args.directory, profile, endings or CAPTION_EXTENSIONS, IMAGE_SUFFIXES)
    else:
        with Progress(_("reading captions"), quiet=args.json) as progress:
            corpus = Corpus.open(args.directory, profile=profile, extensions=endings, on_progress=progress.update)
        corpus.keep()
    session = Session(corpus)
    if session.recovery.records:
        number = len(session.recovery.records)
        text = ngettext(
            "{number} transaction that was interrupted has been brought to its end.",
            "{number} transactions that were interrupted have been brought to their end.",
            number,
        )
        note(text.format(number=count(number)))
    for fault in session.journal.faults():
        note(str(fault))
    return session


def require_folder(directory: Path) -> None:
    """Refuse what is no folder before anything is looked for in it.

    Raises:
        UserError: ``captions.folder``.
    """
    if not directory.is_dir():
        raise UserError(
            _("There is no such folder."),
            place=plain(str(directory)),
            remedy=_("Name a folder of images."),
            code="captions.folder",
        )


def endings_of(args: argparse.Namespace) -> tuple[str, ...] | None:
    """The endings of captions that ``--extensions`` names; none when it is not given.

    Raises:
        UserError: one of them is that of images or of other files that are no captions.
    """
    from lora_tui.captions.variants import checked_ending

    return tuple(checked_ending(part) for part in (args.extensions or "").split(",") if part.strip()) or None


def _line_of(args: argparse.Namespace) -> Variant:
    """The lines that ``--line`` means.

    Raises:
        UserError: it is no number of a line.
    """
    from lora_tui.captions.variants import EVERY_LINE, MOST_LINES, Variant

    text = getattr(args, "line", "")
    if text in ("", "all"):
        return Variant(line=EVERY_LINE if text else 0)
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_LINES:
        raise UserError(
            _("This is no line of a caption file."),
            place=f"--line {plain(text)}",
            remedy=_("A number from 1 to {most}, or all.").format(most=MOST_LINES),
            code="captions.line",
        )
    return Variant(line=int(text))


def chosen(session: Session, args: argparse.Namespace) -> list[int]:
    """The images that ``--image`` and ``--where`` name; all without either.

    Raises:
        UserError: a name that is not there, a mistake in the filter.
    """
    named = [number_of(session, name) for name in args.image]
    if not args.where:
        return sorted(set(named)) if args.image else list(range(len(session.corpus.entries)))
    from lora_tui.captions.query.query import parse_query
    from lora_tui.cli.output import Progress, note

    query = parse_query(args.where)
    with Progress(_("comparing images"), len(session.corpus.entries), quiet=args.json) as progress:
        context = asking_of(session, args, progress.update).query_context()
        found = query.select(session.corpus, context)
    for hint in query.hints(session.corpus, context):
        text = _("No caption has “{word}”.").format(word=plain(hint.word))
        if hint.meant:
            text += " " + _("Did you mean “{word}”?").format(word=plain(hint.meant[0]))
        note(text)
    return [number for number in found if number in set(named)] if args.image else found


def asking_of(
    session: Session,
    args: argparse.Namespace,
    on_progress: Callable[[int], None] | None = None,
    *,
    trigger: str | None = None,
    **lint: Any,
) -> Asking:
    """All that filters and operations may ask for on the command line; what costs time is read when it is asked for.

    Args:
        on_progress: called with the number of images that were compared, for near-duplicates.
        trigger: the trigger word; by default the project's.
        lint: ``shuffle`` and ``limit``, for the checks.
    """
    from lora_tui.captions.asking import Asking
    from lora_tui.config.load import load_config
    from lora_tui.config.schema import Config
    from lora_tui.dataset.filter_facts import FactsWhenAsked, FilterFacts
    from lora_tui.project import Project, tag_lists
    from lora_tui.tagging.filter_scores import FilterScores

    corpus, path = session.corpus, getattr(args, "config", None)

    def facts(should_stop: Callable[[], bool]) -> FilterFacts:
        data = (load_config(path) if path else Config()).data
        return FilterFacts(corpus.root, [entry.name for entry in corpus.entries], data, on_progress, should_stop)

    if trigger is None:
        project = Project.find(corpus.root)
        trigger = project.trigger if project is not None else ""
    return Asking(
        session,
        trigger=trigger,
        lists=tag_lists(corpus.root),
        facts=FactsWhenAsked(facts),
        scores=FilterScores(corpus),
        on_lists=lambda: _reading(_("reading the lists of tags"), args),
        **lint,
    )


@contextmanager
def _reading(what: str, args: argparse.Namespace) -> Iterator[None]:
    """A line that says what is done, for as long as it takes."""
    from lora_tui.cli.output import Progress

    with Progress(what, quiet=args.json) as progress:
        progress.update(0)
        yield


def number_of(session: Session, name: str) -> int:
    """The number of an image by its name below the folder, or by its path.

    Raises:
        UserError: there is none.
    """
    corpus = session.corpus
    found = corpus.number_of(name)
    if found is None:
        path = Path(os.path.abspath(name))  # noqa: PTH100 - links stay
        if path.is_relative_to(corpus.root):
            found = corpus.number_of(path.relative_to(corpus.root).as_posix())
    if found is None:
        raise UserError(
            _("There is no such image in this folder."),
            place=plain(name),
            remedy=_("Name it as “captions list” does."),
            code="captions.image",
        )
    return found


def author(args: argparse.Namespace) -> str:
    """Who does this, for the journal."""
    try:
        return str(args.author or getpass.getuser())
    except (OSError, KeyError):
        return "?"


def report(
    finished: Sequence[Transaction],
    args: argparse.Namespace,
    *,
    extra: dict[str, Any] | None = None,
    refused: Sequence[tuple[int, UserError]] = (),
) -> int:
    """Say how transactions ended; the exit status: 1 when something was left undone."""
    from lora_tui.captions.journal.stack import REVIEWS
    from lora_tui.cli.output import print_json, say

    if args.json:
        print_json((extra or {}) | {"transactions": [_as_json(one) for one in finished], "refused": _refused(refused)})
    else:
        for one in finished:
            if one.record is not None and one.record.files:
                if one.record.kind in REVIEWS:
                    done = ngettext("{number}: {files} caption", "{number}: {files} captions", one.record.files)
                else:
                    done = ngettext(
                        "{number}: {files} file written", "{number}: {files} files written", one.record.files
                    )
                written = done.format(number=one.record.number, files=count(one.record.files))
                say(written + f"  ({plain(one.record.operation)})")
    return tell_losses(finished, args.directory, refused)


def tell_losses(finished: Sequence[Transaction], directory: Path, refused: Sequence[tuple[int, UserError]] = ()) -> int:
    """Say which files are not as transactions wanted them, and why; the exit status: 1 when there are any."""
    from lora_tui.cli.output import note

    lost = [one for one in finished if one.lost]
    for one in lost:
        if one.error is not None:
            note(str(one.error))
        for name in one.conflicts:
            note(plain(name) + ": " + _("another program changed it meanwhile; it was left as it is."))
        if one.contested:
            command = f"lora-tui captions conflicts {plain(str(directory))}"
            note(_("The edit waits; to merge or drop it: {command}").format(command=command))
        for name, reason in one.failures.items():
            note(plain(name) + ": " + _("it cannot be written: {reason}.").format(reason=reason))
        if one.failures and one.head.get("kind") in ("undo", "redo"):
            note(_("The same command tries these files again."))
    for one in finished:
        _tell_of_files(one)
    for _number, error in refused:
        note(str(error))
    return FAILED if lost or refused else 0


def _tell_of_files(one: Transaction) -> None:
    """What a person may not expect of files that were written."""
    from lora_tui.cli.output import note

    for names, text in (
        (one.parted, _("Other names of the file (hard links) keep the old caption: {names}")),
        (one.disowned, _("The file belonged to somebody else, and is yours now: {names}")),
    ):
        if names:
            shown = ", ".join(plain(name) for name in names[:_NAMED])
            note(text.format(names=shown + " …" * (len(names) > _NAMED)))


def _as_json(one: Transaction) -> dict[str, Any]:
    return {
        "number": one.record.number if one.record else None,
        "files": one.record.files if one.record else 0,
        "operation": one.head.get("operation", ""),
        "conflicts": list(one.conflicts),
        "failures": dict(one.failures),
        "parted": list(one.parted),
        "disowned": list(one.disowned),
        "error": one.error.as_dict() if one.error else None,
    }


def _refused(refused: Sequence[tuple[int, UserError]]) -> list[dict[str, str]]:
    return [error.as_dict() for _number, error in refused]
