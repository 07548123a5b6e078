"""``lora-tui captions``: list, show, edit, undo, blame and export the captions of a folder of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Corpus
    from lora_tui.captions.transaction import Preview

_SHOWN = 200


def build(parser: argparse.ArgumentParser) -> None:
    from lora_tui.cli import (
        captions_advice,
        captions_conflicts,
        captions_endings,
        captions_filters,
        captions_import,
        captions_lint,
        captions_past,
        captions_tables,
    )

    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help=_("list images with their tags, or the tags with their counts"))
    add_scope(listing)
    listing.add_argument("--tags", action="store_true", help=_("list the tags of these images and how many have each"))
    listing.add_argument("--all", action="store_true", help=_("list everything, not only the first"))
    listing.set_defaults(action=_list)
    show = commands.add_parser("show", help=_("show a caption: its text, its tags and what is odd about it"))
    add_folder(show)
    show.add_argument("images", metavar="IMAGE", nargs="+", help=_("names of images in the folder"))
    show.set_defaults(action=_show)
    captions_endings.add(commands)
    _build_edit(commands)
    captions_past.build(commands)
    captions_conflicts.add(commands)
    review = commands.add_parser(
        "review", help=_("note that captions were looked at; a filter finds them as is:reviewed")
    )
    add_scope(review)
    review.add_argument("--undo", action="store_true", help=_("undo it"))
    review.add_argument("--author", default="", metavar="NAME", help=_("who is doing this, for the journal"))
    review.set_defaults(action=_review)
    captions_lint.add(commands)
    captions_advice.add(commands)
    captions_filters.add(commands)
    captions_tables.add(commands)
    captions_import.add(commands)
    export = commands.add_parser("export", help=_("write the captions as one file for other programs"))
    add_scope(export)
    export.add_argument("output", metavar="FILE", type=Path, help=_("the file to write"))
    export.add_argument(
        "--format", default="", metavar="F", help=_("kohya-json, jsonl or csv; else by the file's name")
    )
    export.add_argument("--full-path", action="store_true", help=_("name images by their whole path"))
    export.set_defaults(action=_export)


def _build_edit(commands: Any) -> None:
    from lora_tui.captions.verbs import VERBS
    from lora_tui.cli.main import TextFormatter

    operations = "\n".join(f"  {_(text)}" for _verb, text in VERBS.values())
    edit = commands.add_parser(
        "edit",
        help=_("change captions: which ones, and what is done to them"),
        formatter_class=TextFormatter,
        epilog=_("operations, several with “;” between them:") + "\n" + operations,
    )
    add_scope(edit)
    edit.add_argument("--do", required=True, metavar="OPERATION", help=_('what is done, such as: add "hatgirl" front'))
    edit.add_argument("--dry-run", action="store_true", help=_("say what would change, and change nothing"))
    edit.add_argument("--samples", type=int, default=5, metavar="N", help=_("show this many of the changes"))
    edit.add_argument("--author", default="", metavar="NAME", help=_("who is doing this, for the journal"))
    edit.set_defaults(action=_edit)


def run(args: argparse.Namespace) -> int:
    return int(args.action(args))


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help=_("a folder of images"))
    parser.add_argument("--profile", default="ours", metavar="P", help=_("the trainer that will read the captions"))
    parser.add_argument(
        "--extensions", "--extension", metavar="LIST", help=_("endings of caption files, such as .txt,.caption")
    )
    parser.add_argument("--line", default="", metavar="N", help=_("the captions on this line of the files, or on all"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def add_scope(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("--where", default="", metavar="FILTER", help=_("only images that this filter finds"))
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=_("the configuration whose buckets a filter means; else the usual ones"),
    )
    parser.add_argument("--image", action="append", default=[], metavar="NAME", help=_("only this image; repeatable"))


def _list(args: argparse.Namespace) -> int:
    from lora_tui.cli.captions_open import chosen, open_session
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.text import count

    session = open_session(args)
    numbers = chosen(session, args)
    corpus = session.corpus
    if args.tags:
        counts = corpus.index.counts_in(numbers)
        rows = sorted(((tag, found, corpus.index.count(tag)) for tag, found in counts.items()), key=lambda row: -row[1])
        if args.json:
            print_json([{"tag": tag, "images": found, "of": total} for tag, found, total in rows])
            return 0
        shown: list[tuple[Any, ...]] = [(count(found), count(total), tag) for tag, found, total in rows]
        headings = (_("here"), _("in all"), _("tag"))
    else:
        if args.json:
            print_json([_as_json(corpus.entries[number]) for number in numbers])
            return 0
        entries = [corpus.entries[number] for number in numbers]
        shown = [(entry.name, len(entry.tags), _caption_line(entry)) for entry in entries]
        headings = (_("image"), _("tags"), _("caption"))
    limit = len(shown) if args.all else _SHOWN
    say(table(shown[:limit], headings, right=(0, 1) if args.tags else (1,)))
    if len(shown) > limit:
        say(_("and {number} more; --all lists them").format(number=count(len(shown) - limit)))
    return 0


def _caption_line(entry: Any) -> str:
    from lora_tui.text import plain

    if entry.problem is not None:
        return str(entry.problem.message)
    return _("(no caption)") if entry.document is None else plain(entry.document.text, limit=100)


def _as_json(entry: Any) -> dict[str, Any]:
    return {
        "image": entry.name,
        "caption": entry.caption_name if entry.document is not None else None,
        "text": entry.document.text if entry.document is not None else None,
        "tags": list(entry.tags),
        "problems": list(entry.document.problems) if entry.document is not None else [],
        "error": entry.problem.as_dict() if entry.problem is not None else None,
    }


def _show(args: argparse.Namespace) -> int:
    from lora_tui.captions.document import problem_text
    from lora_tui.captions.tokens import sd15_tokens
    from lora_tui.captions.variants import shown_text
    from lora_tui.captions.view import view, without_marks
    from lora_tui.cli.captions_open import number_of, open_session
    from lora_tui.cli.output import print_json, say
    from lora_tui.text import plain

    session = open_session(args)
    entries = [session.corpus.entries[number_of(session, name)] for name in args.images]
    documents = []
    for entry in entries:
        seen = view(entry.document.text, session.corpus.profile) if entry.document else None
        trained = without_marks(shown_text(entry.document, session.corpus.profile), session.corpus.profile)
        tokens = sd15_tokens().count(trained)
        tags = [{"tag": item.text, "zone": item.zone, "line": item.line} for item in seen.items] if seen else []
        document = _as_json(entry) | {"tags": tags, "as_trained": trained, "tokens": tokens}
        document["prose"] = bool(seen and seen.is_prose)
        documents.append(document)
        if args.json:
            continue
        say(plain(entry.name))
        if entry.document is None:
            say("  " + _caption_line(entry))
            continue
        say("  " + plain(entry.caption_name) + f"  {entry.document.encoding}")
        for line in entry.document.text.splitlines():
            say("  | " + plain(line))
        say("  " + _("tags: {tags}, tokens: {tokens}").format(tags=len(tags), tokens=tokens))
        for code in entry.document.problems:
            say("  ! " + problem_text(code))
    if args.json:
        print_json(documents)
    return 0


def _edit(args: argparse.Namespace) -> int:
    from lora_tui.captions.language import parse_operation
    from lora_tui.captions.transaction import preview
    from lora_tui.cli.captions_open import asking_of, author, chosen, open_session, report

    operation = parse_operation(args.do)
    session = open_session(args)
    numbers = chosen(session, args)
    scope = " ".join([f"where {args.where}"] * bool(args.where) + [f"image {name}" for name in args.image]) or "all"
    found = preview(
        session.corpus,
        numbers,
        operation,
        context=asking_of(session, args).operation_context(),
        operation_text=args.do,
        scope_text=scope,
    )
    if not args.json:
        say_preview(found, len(numbers), args.samples, dry=args.dry_run)
    if args.dry_run or not found.changes:
        return report([], args, extra=_preview_json(found, len(numbers), args), refused=found.refused)
    session.apply(found, author(args))
    return report(session.close(), args, extra=_preview_json(found, len(numbers), args), refused=found.refused)


def _preview_json(found: Preview, scope: int, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "operation": args.do,
        "scope": found.scope_text,
        "in_scope": scope,
        "images": found.images,
        "occurrences": found.occurrences,
        "dry_run": args.dry_run,
        "samples": [
            {"image": one.name, "before": one.before, "after": one.after} for one in found.samples(max(args.samples, 0))
        ],
    }


def say_preview(found: Preview, scope: int, limit: int, *, dry: bool) -> None:
    """Some of the changes, and how many there are in how many images of the scope."""
    from lora_tui.cli.output import say
    from lora_tui.text import count, ngettext, plain

    for sample in found.samples(max(limit, 0)):
        say(plain(sample.name))
        say("  - " + (_("(no caption)") if sample.before is None else plain(sample.before)))
        say("  + " + (_("(no caption)") if sample.after is None else plain(sample.after)))
    if not found.changes:
        text = ngettext("Nothing changes in {scope} image.", "Nothing changes in {scope} images.", scope)
        say(text.format(scope=count(scope)))
        return
    text = (
        ngettext("{images} of {scope} image would change", "{images} of {scope} images would change", scope)
        if dry
        else ngettext("{images} of {scope} image changes", "{images} of {scope} images change", scope)
    )
    places = ngettext("{number} place", "{number} places", found.occurrences)
    say(
        text.format(images=count(found.images), scope=count(scope))
        + ", "
        + places.format(number=count(found.occurrences))
    )


def _review(args: argparse.Namespace) -> int:
    from lora_tui.cli.captions_open import author, chosen, open_session, report

    session = open_session(args)
    numbers = chosen(session, args)
    session.review(numbers, author(args), right=not args.undo)
    entries = (session.corpus.entries[number] for number in numbers)
    unread = [(entry.number, entry.problem) for entry in entries if entry.problem is not None]
    return report(session.close(), args, refused=unread)


def _export(args: argparse.Namespace) -> int:
    from lora_tui.captions.export import FORMATS, export
    from lora_tui.cli.captions_open import chosen, open_session
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.dataset.notes import names_left_out
    from lora_tui.errors import UserError
    from lora_tui.files import write_atomic
    from lora_tui.text import count, ngettext, plain

    form = args.format or {".json": "kohya-json", ".jsonl": "jsonl", ".csv": "csv"}.get(args.output.suffix.lower(), "")
    if form not in FORMATS:
        raise UserError(
            _("There is no such format."),
            place=plain(args.format or str(args.output)),
            remedy=_("Choose one of: {names}.").format(names=", ".join(FORMATS)),
            code="captions.format",
        )
    session = open_session(args)
    wanted = chosen(session, args)
    unused = names_left_out(session.corpus.root, [session.corpus.entries[number].name for number in wanted])
    numbers = [number for number in wanted if session.corpus.entries[number].name not in unused]
    _refuse_to_replace(session.corpus, args.output)
    text = export(session.corpus, numbers, form, full_paths=args.full_path)
    try:
        write_atomic(args.output, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            _("The file cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(args.output)),
            remedy=_("Name another place."),
            code="captions.export",
        ) from error
    if args.json:
        told = {"file": args.output.absolute(), "format": form, "images": len(numbers)}
        print_json({**told, "left_out": len(wanted) - len(numbers)})
    else:
        done = ngettext("{file}: {number} caption written", "{file}: {number} captions written", len(numbers))
        say(done.format(file=plain(str(args.output)), number=count(len(numbers))))
        if len(numbers) < len(wanted):
            left = ngettext("{number} image is left out by hand.", "{number} images are left out by hand.", len(unused))
            note(left.format(number=count(len(unused))))
    return 0


def _refuse_to_replace(corpus: Corpus, output: Path) -> None:
    """Raises UserError: the file is an image, or a caption of the dataset, which no undo would bring back."""
    from lora_tui.captions.corpus import IMAGE_SUFFIXES
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    real = output.resolve()
    is_caption = any(entry.caption.resolve() == real for entry in corpus.entries if entry.caption.name == real.name)
    if output.suffix.lower() in IMAGE_SUFFIXES or is_caption:
        raise UserError(
            _("This is the name of an image or of a caption, which would be lost."),
            place=plain(str(output)),
            remedy=_("Name another place."),
            code="captions.export",
        )
