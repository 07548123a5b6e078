"""``lora-tui captions prune``, ``trigger`` and ``phrases``: advice on tags; nothing here changes a caption.

The dispatcher of ``captions`` calls :func:`add` for the command line; each command is ``args.action``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import N_, _

if TYPE_CHECKING:
    from lora_tui.captions.complete import TagList
    from lora_tui.captions.corpus import Corpus
    from lora_tui.captions.prune import Advice, Plan

PROBLEMS = 3

_HEADINGS: dict[Advice, str] = {"absorb": N_("remove"), "perhaps": N_("perhaps remove"), "keep": N_("keep")}
_SHOWN = 12


def add(commands: Any) -> None:
    """Declare the commands among the subcommands of ``captions``."""
    prune = commands.add_parser("prune", help=_("say which tags a LoRA should absorb, and which should stay"))
    _add_common(prune)
    prune.add_argument("--purpose", default="", metavar="P", help=_("what the LoRA is for; a project knows it"))
    prune.add_argument("--trigger", default="", metavar="W", help=_("the trigger word; a project knows it"))
    prune.add_argument("--share", type=int, default=50, metavar="PERCENT", help=_("least share of captions to remove"))
    prune.set_defaults(action=_prune)
    trigger = commands.add_parser("trigger", help=_("say whether a word is fit to be a trigger word"))
    trigger.add_argument("word", metavar="WORD", help=_("the word"))
    _add_common(trigger)
    trigger.add_argument("--tags", type=Path, action="append", metavar="FILE", help=_("a list of tags (CSV)"))
    trigger.set_defaults(action=_trigger)
    phrases = commands.add_parser("phrases", help=_("list the phrases of captions that are written in sentences"))
    _add_common(phrases)
    phrases.add_argument("--least", type=int, default=2, metavar="N", help=_("captions that a phrase stands in"))
    phrases.add_argument("--longest", type=int, default=5, metavar="N", help=_("words in a phrase"))
    phrases.set_defaults(action=_phrases)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help=_("a folder of images"))
    parser.add_argument("--profile", default="ours", metavar="P", help=_("the trainer that will read the captions"))
    parser.add_argument(
        "--extensions", "--extension", metavar="LIST", help=_("endings of caption files, such as .txt,.caption")
    )
    parser.add_argument("--image", action="append", default=[], metavar="NAME", help=_("look at this image only"))
    parser.add_argument("--where", default="", metavar="FILTER", help=_("look at these captions only"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def _prune(args: argparse.Namespace) -> int:
    from lora_tui.captions.prune import prune_plan
    from lora_tui.errors import UserError
    from lora_tui.project import Project, checked_purpose

    if not 1 <= args.share <= 100:
        raise UserError(_("A share is from 1 to 100 percent."), place=f"--share {args.share}", code="usage")
    project = Project.find(args.directory)
    purpose = checked_purpose(args.purpose) if args.purpose else (project.purpose if project else "")
    if not purpose:
        raise UserError(
            _("What the LoRA is for is not known."), remedy=_("Say it: --purpose character"), code="prune.purpose"
        )
    corpus, numbers = _opened(args)
    trigger = args.trigger or (project.trigger if project else "")
    plan = prune_plan(corpus.index, purpose, trigger=trigger, numbers=numbers, least_share=args.share / 100)
    if args.json:
        from dataclasses import asdict

        from lora_tui.cli.output import print_json

        rows = [asdict(one) for one in plan.candidates]
        print_json({"purpose": purpose, "captions": plan.captions, "operation": plan.operation(), "tags": rows})
    else:
        _say_plan(plan)
    return 0


def _say_plan(plan: Plan) -> None:
    from lora_tui.captions.prune import MEANINGS
    from lora_tui.captions.traits import GROUPS
    from lora_tui.cli.output import say
    from lora_tui.text import plain

    for advice, meaning in MEANINGS.items():
        groups = plan.groups(advice)
        if not groups:
            continue
        say(f"{_(_HEADINGS[advice])}: {_(meaning)}")
        for group, members in groups.items():
            shown = ", ".join(f"{plain(one.tag)} {one.share:.0%}" for one in members[:_SHOWN])
            say(f"    {_(GROUPS[group])}: {shown}" + (" …" if len(members) > _SHOWN else ""))
        say()
    if operation := plan.operation():
        say(_("operation: {operation}").format(operation=plain(operation)))


def _trigger(args: argparse.Namespace) -> int:
    from lora_tui.captions.tokens import sd15_tokens
    from lora_tui.captions.trigger import check_trigger

    corpus, numbers = _opened(args)
    tokens = sd15_tokens().count
    found = check_trigger(
        args.word, corpus.index, total=len(numbers), known=_tag_lists(args.tags or (), args.directory), tokens=tokens
    )
    if args.json:
        from dataclasses import asdict

        from lora_tui.cli.output import print_json

        print_json({"word": args.word, "tokens": tokens(args.word), "problems": [asdict(one) for one in found]})
        return PROBLEMS if found else 0
    from lora_tui.cli.output import say

    for problem in found:
        say(f"{'×' if problem.severity == 'error' else '!'} {problem.message}")
    if not found:
        say(_("Nothing speaks against this word."))
    return PROBLEMS if found else 0


def _tag_lists(paths: Sequence[Path], folder: Path) -> TagList:
    from lora_tui.captions.complete import load_tag_list
    from lora_tui.project import tag_lists

    return load_tag_list(paths or tag_lists(folder))


def _phrases(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from lora_tui.captions.prose import phrases
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.errors import UserError

    if args.least < 1 or not 1 <= args.longest <= 12:
        place = f"--least {args.least} --longest {args.longest}"
        raise UserError(_("A phrase has 1 to 12 words and stands somewhere."), place=place, code="usage")
    corpus, numbers = _opened(args)
    documents = (corpus.entries[number].document for number in numbers)
    texts = (document.text for document in documents if document is not None)
    found = phrases(texts, least=args.least, longest=args.longest)
    if args.json:
        print_json({"captions": len(numbers), "phrases": [asdict(phrase) for phrase in found]})
    elif found:
        say(table([(phrase.captions, phrase.text) for phrase in found], (_("captions"), _("phrase")), right=(0,)))
    else:
        say(_("No phrase stands in so many captions."))
    return 0


def _opened(args: argparse.Namespace) -> tuple[Corpus, list[int]]:
    """The captions of the folder, and the numbers of those that were asked for."""
    from lora_tui.cli.captions_open import chosen, open_session

    session = open_session(args)
    return session.corpus, chosen(session, args)
