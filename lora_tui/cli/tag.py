"""``lora-tui tag``: captions by models, shown first or written, one step to take back."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.cli.captions import add_scope
from lora_tui.errors import UserError
from lora_tui.text import N_, _

if TYPE_CHECKING:
    from lora_tui.captions.transaction import Session
    from lora_tui.tagging.request import ModelChoice, Request
    from lora_tui.tagging.run import Outcome

_INTERRUPTED = 130
_STEPS = tuple(step / 100 for step in range(5, 100, 5))
_TAGS_SHOWN, _FAILED_SHOWN = 12, 30
_PHASES = {
    "fetching": N_("fetching"),
    "loading": N_("loading the model"),
    "tagging": N_("tagging"),
    "writing": N_("writing captions"),
}


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.tagging.request import EXISTING, KINDS

    add_scope(parser)
    parser.add_argument(
        "--tagger", choices=KINDS, default="auto", help=_("kind of the models; found out by their files where not said")
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="[KIND:]NAME[@THRESHOLD]",
        help=_("folder, name on the hub, TOML description, or a server's name for it; repeatable"),
    )  # fmt: skip
    parser.add_argument(
        "--combine", choices=("union", "intersection", "vote"), default="union",
        help=_("tags of several models: of any, of all, of most"),
    )  # fmt: skip
    parser.add_argument("--votes", type=int, default=0, metavar="N", help=_("how many models are enough for vote"))
    parser.add_argument(
        "--existing", choices=EXISTING, default="skip", help=_("what becomes of captions that are there")
    )
    parser.add_argument(
        "--trigger", metavar="WORD",
        help=_('word put first in every caption that is written; else the project\'s; "" for none'),
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help=_("say what would change, and change nothing"))
    parser.add_argument("--samples", type=int, default=5, metavar="N", help=_("show this many of the changes"))
    parser.add_argument("--tune", action="store_true", help=_("show how many tags each threshold gives, and end"))
    parser.add_argument("--detach", action="store_true", help=_("go on in the background; see: lora-tui tasks"))
    parser.add_argument("--again", action="store_true", help=_("ask the models even where their answers are kept"))
    _build_rules(parser)
    _build_prose(parser)
    _build_machine(parser)


def _build_rules(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("from scores to tags"))
    for name, default, text in (
        ("--threshold", "0.35", _("least score of general tags, and of others where not said")),
        ("--character-threshold", "0.85", _("least score of characters")),
        ("--rating-threshold", "0", _("least score of the rating")),
        ("--other-threshold", "", _("least score of copyright, artist, meta and further categories")),
    ):
        group.add_argument(name, type=float, default=float(default) if default else None, metavar="N", help=text)
    group.add_argument("--mcut", action="store_true", help=_("cut each image's scores at their greatest gap instead"))
    group.add_argument(
        "--rating", choices=("off", "first", "last"), default="off", help=_("where the likeliest rating is put")
    )
    group.add_argument(
        "--order", choices=("confidence", "vocabulary"), default="confidence", help=_("order of the tags")
    )
    group.add_argument("--character-first", action="store_true", help=_("characters before everything else"))
    group.add_argument(
        "--undesired", action="append", default=[], metavar="TAGS",
        help=_("tags never written, with commas; * and ? are wild"),
    )  # fmt: skip
    group.add_argument(
        "--first", action="append", default=[], metavar="TAGS", help=_("tags that go to the front where they are found")
    )
    group.add_argument(
        "--replace", action="append", nargs=2, default=[], metavar=("TAG", "TEXT"), help=_("another text for a tag")
    )
    group.add_argument("--expand-characters", action="store_true", help=_("behind name_(series) also write the series"))
    group.add_argument("--underscores", action="store_true", help=_("keep underscores; else they become blanks"))
    group.add_argument("--escape", action="store_true", help=_("a backslash before brackets"))


def _build_prose(parser: argparse.ArgumentParser) -> None:
    from lora_tui.tagging.request import DETAILS, Endpoint, Prose

    prose, endpoint = Prose(), Endpoint()
    group = parser.add_argument_group(_("sentences: florence2 and blip"))
    group.add_argument("--detail", choices=DETAILS, default=prose.detail, help=_("how much Florence-2 tells"))
    group.add_argument("--begin", default="", metavar="TEXT", help=_("words that the caption of BLIP begins with"))
    group.add_argument("--beams", type=int, default=prose.beams, metavar="N", help=_("beams of the search for words"))
    group.add_argument("--words", type=int, default=prose.words, metavar="N", help=_("tokens written at most"))
    group.add_argument(
        "--longest", type=int, default=prose.longest, metavar="N", help=_("characters of a caption at most")
    )
    group = parser.add_argument_group(_("sentences: a server that speaks OpenAI's protocol"))
    group.add_argument("--url", default="", help=_("its address, such as http://localhost:8000/v1"))
    group.add_argument(
        "--key-env", default=endpoint.key_variable, metavar="NAME", help=_("environment variable with its key")
    )
    group.add_argument("--key-file", default="", metavar="FILE", help=_("file with its key, readable by you alone"))
    group.add_argument("--prompt", metavar="TEXT", help=_("what is asked, with {tags}, {name} and {trigger} filled in"))
    group.add_argument("--prompt-file", type=Path, metavar="FILE", help=_("the same from a file"))
    group.add_argument("--timeout", type=float, default=endpoint.timeout, metavar="SECONDS", help=_("for an answer"))
    group.add_argument(
        "--retries", type=int, default=endpoint.retries, metavar="N", help=_("after failures that may pass")
    )
    group.add_argument(
        "--retry-wait", type=float, default=endpoint.wait, metavar="SECONDS",
        help=_("before the first of them; then doubled"),
    )  # fmt: skip
    group.add_argument("--parallel", type=int, default=endpoint.parallel, metavar="N", help=_("requests at a time"))
    group.add_argument(
        "--max-side", type=int, default=endpoint.side, metavar="PX", help=_("longer side of what is sent")
    )
    group.add_argument("--max-tokens", type=int, default=endpoint.tokens, metavar="N", help=_("of an answer"))
    group.add_argument("--temperature", type=float, default=endpoint.temperature, metavar="N", help=_("0 to 2"))


def _build_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("the machine"))
    group.add_argument("--device", default="auto", metavar="D", help=_("auto, cpu, cuda or cuda:1"))
    group.add_argument("--batch", type=int, default=0, metavar="N", help=_("images at once; 0 for what suits"))
    group.add_argument("--threads", type=int, default=0, metavar="N", help=_("of the calculation; 0 for what suits"))


def run(args: argparse.Namespace) -> int:
    """Tag, or show what tagging would give."""
    from lora_tui.cli.captions_open import chosen, open_session

    asked = request(args)
    session = open_session(args)
    asked = _with_trigger(asked, args, session)
    numbers = chosen(session, args) if args.image or args.where else _in_use(args, session)
    if args.detach:
        return _detach(args, asked, session, numbers)
    return _tune(args, asked, session, numbers) if args.tune else _tag(args, asked, session, numbers)


def request(args: argparse.Namespace) -> Request:
    """What the arguments ask for.

    Raises:
        UserError: a value cannot be, a file cannot be read.
    """
    from lora_tui.tagging.request import Endpoint, ModelChoice, Prose, Request, choice
    from lora_tui.tagging.rules import Rules, Thresholds, split

    rules = Rules(
        thresholds=Thresholds(args.threshold, args.character_threshold, args.other_threshold, args.rating_threshold),
        mcut=args.mcut, rating=args.rating, order=args.order, character_first=args.character_first,
        undesired=tuple(tag for text in args.undesired for tag in split(text)),
        first=tuple(tag for text in args.first for tag in split(text)),
        replace=tuple((old, new) for old, new in args.replace), expand_characters=args.expand_characters,
        underscores=args.underscores, escape=args.escape,
    )  # fmt: skip
    endpoint = Endpoint(
        url=args.url, key_variable=args.key_env, key_file=args.key_file, prompt=_prompt(args),
        timeout=args.timeout, retries=args.retries, wait=args.retry_wait, parallel=args.parallel, side=args.max_side,
        tokens=args.max_tokens, temperature=args.temperature,
    )  # fmt: skip
    return Request(
        models=tuple(choice(text, args.tagger) for text in args.model) or (ModelChoice(args.tagger),),
        rules=rules, combine=args.combine, votes=args.votes, existing=args.existing, trigger=args.trigger or "",
        prose=Prose(args.detail, args.begin, args.beams, args.words, args.longest), endpoint=endpoint,
        device=args.device, batch=args.batch, threads=args.threads, again=args.again,
    ).checked()  # fmt: skip


def _prompt(args: argparse.Namespace) -> str:
    from lora_tui.tagging.request import PROMPT
    from lora_tui.text import plain

    if args.prompt_file is None:
        return PROMPT if args.prompt is None else str(args.prompt)
    try:
        return str(args.prompt_file.read_text("utf-8-sig")).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(
            _("The prompt cannot be read: {reason}.").format(reason=plain(reason)),
            place=plain(str(args.prompt_file)),
            code="tagger.prompt",
        ) from error


def _with_trigger(asked: Request, args: argparse.Namespace, session: Session) -> Request:
    """The request with the project's trigger word where none is said; that is told."""
    from dataclasses import replace

    from lora_tui.cli.output import note
    from lora_tui.project import Project
    from lora_tui.text import plain

    if args.trigger is not None:
        return asked
    project = Project.find(session.corpus.root)
    if project is None or not project.trigger:
        return asked
    told = _('The project\'s trigger word goes first: {word} (--trigger "" leaves it out).')
    if not args.json:
        note(told.format(word=plain(project.trigger)))
    return replace(asked, trigger=project.trigger)


def _in_use(args: argparse.Namespace, session: Session) -> list[int]:
    """The images that are tagged where none are named; how many are left out is told."""
    from lora_tui.cli.output import note
    from lora_tui.tagging.run import images_in_use
    from lora_tui.text import count, ngettext

    found = images_in_use(session.corpus)
    out = len(session.corpus.entries) - len(found)
    if out and not args.json:
        told = ngettext(
            "{count} image that is left out is not tagged; --where is:excluded chooses it.",
            "{count} images that are left out are not tagged; --where is:excluded chooses them.",
            out,
        )
        note(told.format(count=count(out)))
    return found


def _tag(args: argparse.Namespace, asked: Request, session: Session, numbers: list[int]) -> int:
    from lora_tui.cli.captions_open import FAILED, report
    from lora_tui.tagging.run import tag_dataset

    scope = _scope(args)
    with _watched(args) as watched:
        outcome = tag_dataset(
            session, numbers, asked, dry_run=args.dry_run, scope=scope, on_progress=watched.progress,
            should_stop=watched.stopped.is_set, on_warning=watched.warn,
        )  # fmt: skip
    if not args.json:
        _say(outcome, session, args)
    finished = session.close()
    transactions = [outcome.transaction] if outcome.transaction is not None else finished
    status = report(transactions, args, extra=_as_json(outcome, session, args) | {"warnings": watched.warnings})
    if outcome.stopped:
        return _INTERRUPTED
    return FAILED if outcome.failed else status


def _scope(args: argparse.Namespace) -> str:
    """How the images were chosen, for the journal."""
    return " ".join([f"where {args.where}"] * bool(args.where) + [f"image {name}" for name in args.image]) or "all"


def _detach(args: argparse.Namespace, asked: Request, session: Session, numbers: list[int]) -> int:
    """Tag in the background, under a keeper of its own."""
    from lora_tui.cli.tasks import start_detached
    from lora_tui.text import count, ngettext

    if args.dry_run or args.tune:
        raise UserError(
            _("With --detach captions are written: --dry-run and --tune only show."), place="--detach", code="usage"
        )
    corpus = session.corpus
    session.close()
    options: dict[str, Any] = {
        "dataset": str(corpus.root.absolute()),
        "request": _placed(asked).as_options(),
        "scope": _scope(args),
        "profile": args.profile,
    }
    if args.extensions:
        options["extensions"] = [part.strip() for part in args.extensions.split(",") if part.strip()]
    if args.where or args.image:
        options["images"] = [corpus.entries[number].name for number in numbers]
    names = ", ".join(model.name or model.kind for model in asked.models)
    title = ngettext("{models}: {number} image", "{models}: {number} images", len(numbers))
    title = title.format(models=names, number=count(len(numbers)))
    return start_detached(session.home, "tag", title, options, json=args.json, about=[corpus.root.absolute()])


def _placed(asked: Request) -> Request:
    """The request with models that lie here by their whole paths: the work is done in another folder."""
    from dataclasses import replace

    from lora_tui.places import absolute, expand

    def placed(one: ModelChoice) -> ModelChoice:
        lies_here = one.name and one.kind != "endpoint" and os.path.lexists(expand(one.name))
        return replace(one, name=str(absolute(one.name))) if lies_here else one

    return replace(asked, models=tuple(placed(one) for one in asked.models))


def _as_json(outcome: Outcome, session: Session, args: argparse.Namespace) -> dict[str, Any]:
    from lora_tui.tagging.summary import summary

    samples = outcome.preview.samples(max(args.samples, 0)) if outcome.preview is not None else []
    return summary(outcome, session.corpus) | {
        "dry_run": args.dry_run,
        "samples": [{"image": one.name, "before": one.before, "after": one.after} for one in samples],
    }


def _say(outcome: Outcome, session: Session, args: argparse.Namespace) -> None:
    from lora_tui.cli.captions import say_preview
    from lora_tui.cli.output import note, say
    from lora_tui.tagging.summary import new_tags
    from lora_tui.text import count, ngettext, plain

    for one in outcome.models:
        told = ngettext("{model}: {number} image", "{model}: {number} images", one.answered)
        details = [_("{number} kept from before").format(number=count(one.kept))] if one.kept else []
        details += [plain(one.told)] if one.told else []
        line = told.format(model=plain(one.name), number=count(one.answered))
        note(line + (f" ({', '.join(details)})" if details else ""))
    for number, error in sorted(outcome.failed.items())[:_FAILED_SHOWN]:
        note(f"{plain(session.corpus.entries[number].name)}: {error.message} {error.remedy}".rstrip())
    if (more := len(outcome.failed) - _FAILED_SHOWN) > 0:
        note(_("and {number} more; --json lists them").format(number=count(more)))
    if outcome.skipped:
        told = ngettext(
            "{number} image has a caption and is left alone (--existing says otherwise)",
            "{number} images have captions and are left alone (--existing says otherwise)",
            outcome.skipped,
        )
        note(told.format(number=count(outcome.skipped)))
    if outcome.cropped:
        told = ngettext(
            "{number} image was looked at as it is cropped by hand",
            "{number} images were looked at as they are cropped by hand",
            outcome.cropped,
        )
        note(told.format(number=count(outcome.cropped)))
    if outcome.empty:
        told = ngettext(
            "{number} image got no tag; its caption stays",
            "{number} images got no tag; their captions stay",
            len(outcome.empty),
        )
        note(told.format(number=count(len(outcome.empty))))
    if outcome.preview is None:
        note(_("Stopped. What was answered is kept; the same command goes on."))
        return
    say_preview(outcome.preview, outcome.wanted, args.samples, dry=args.dry_run)
    if tags := new_tags(outcome, session.corpus).most_common(_TAGS_SHOWN):
        listed = ", ".join(f"{plain(tag, limit=60)} {count(number)}" for tag, number in tags)
        say(_("new tags: {tags}").format(tags=listed))


def _tune(args: argparse.Namespace, asked: Request, session: Session, numbers: list[int]) -> int:
    """How many tags each threshold gives to all images, and how many come or go against the one that is set."""
    from dataclasses import replace

    from lora_tui.cli.output import print_json, say, table
    from lora_tui.tagging.hub import StoppedError
    from lora_tui.tagging.run import score_table
    from lora_tui.text import count

    with _watched(args) as watched:
        try:
            scores = score_table(
                session.corpus,
                numbers,
                replace(asked, existing="replace"),
                on_progress=watched.progress,
                should_stop=watched.stopped.is_set,
                on_warning=watched.warn,
            )
        except StoppedError:
            return _INTERRUPTED
    session.close()
    rows = []
    now = asked.rules.thresholds
    for step in _STEPS:
        other = replace(now, general=step, other=step if now.other is not None else None)
        level, change = scores.at_threshold(other), scores.difference(now, other)
        rows.append({
            "threshold": step, "tags": level.tags, "mean": round(level.mean, 2), "without": level.without,
            "come": change.come.total(), "gone": change.gone.total(), "images": change.images,
            "character": scores.curve("character", (step,))[0] if "character" in scores.categories else 0,
        })  # fmt: skip
    if args.json:
        print_json({"images": scores.images, "thresholds": rows})
        return 0
    headings = (_("threshold"), _("tags"), _("an image"), _("without tags"), _("come"), _("go"), _("characters at it"))
    shown = [
        (f"{row['threshold']:.2f}", count(row["tags"]), f"{row['mean']:.1f}", count(row["without"]), count(row["come"]),
         count(row["gone"]), count(row["character"]))
        for row in rows
    ]  # fmt: skip
    say(table(shown, headings, right=range(7)))
    return 0


class _Watched:
    """Progress on the terminal, and whether Ctrl+C was pressed."""

    def __init__(self, progress: Any) -> None:
        self.stopped = threading.Event()
        self.warnings: list[dict[str, str]] = []
        self._progress = progress

    def progress(self, phase: str, done: int, total: int, detail: str) -> None:
        self._progress.update(done, total, detail, label=_(_PHASES.get(phase, phase)), guess=phase == "tagging")

    def warn(self, error: UserError) -> None:
        self.warnings.append(error.as_dict())
        self._progress.line(str(error))


@contextmanager
def _watched(args: argparse.Namespace) -> Iterator[_Watched]:
    """While it lasts, Ctrl+C and SIGTERM ask to stop; a second Ctrl+C ends at once."""
    from lora_tui.cli.output import Progress

    with Progress(_(_PHASES["loading"]), quiet=args.json) as progress:
        watched = _Watched(progress)
        before: dict[int, Any] = {}

        def stop(number: int, _frame: object) -> None:
            watched.stopped.set()
            signal.signal(number, before[number])

        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop)
        try:
            yield watched
        finally:
            for caught, handler in before.items():
                signal.signal(caught, handler)
