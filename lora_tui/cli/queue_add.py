"""``lora-tui queue add`` and ``lora-tui train --queue``: what is wrong with a job is said when it is added."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.jobs.queue.door import Wish

_VALUES = ("--after", "--if-failed", "--gpus", "--title")
_FLAGS = ("--hold", "--next", "--json")
"""The queue's own options: they may stand before and behind the command, but not behind ``--``."""

_SHORT = {"prepare": ("dataset", "prepare")}


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.jobs.queue.record import IF_FAILED

    parser.add_argument("--after", action="append", default=[], metavar="ID", help=_("when these are done; repeatable"))
    parser.add_argument(
        "--if-failed", choices=IF_FAILED, default="wait",
        help=_("when one of them fails: wait for a person (the default), run all the same, or be removed, too"),
    )  # fmt: skip
    parser.add_argument("--hold", action="store_true", help=_("put aside until it is released"))
    parser.add_argument("--next", action="store_true", help=_("before all that waits"))
    parser.add_argument("--gpus", type=int, metavar="N", help=_("GPUs that it has for itself; 0 for none"))
    parser.add_argument("--title", default="", help=_("a name for it; else that of the run, or the command"))
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND …",
        help=_("train CONFIG, tag DIR, prepare SRC DST, or -- and any command of lora-tui that ends by itself"),
    )  # fmt: skip
    parser.set_defaults(action=run)


def run(args: argparse.Namespace) -> int:
    """Check the command and add it."""
    from lora_tui.cli.main import Parser, Usage

    own, words = split(args.words)
    if own:  # those that stood behind the command
        again = Parser(prog="lora-tui queue add")
        build(again)
        again.add_argument("--json", action="store_true")
        told = again.parse_args(own)
        args.after += told.after
        args.if_failed = told.if_failed if any(one.startswith("--if-failed") for one in own) else args.if_failed
        args.hold, args.next, args.json = args.hold or told.hold, args.next or told.next, args.json or told.json
        args.gpus = told.gpus if told.gpus is not None else args.gpus
        args.title = told.title or args.title
    if not words:
        raise Usage(_("Say what is to be done: train CONFIG, tag DIR, prepare SRC DST, …"), command="queue add")
    words = [*_SHORT.get(words[0], (words[0],)), *words[1:]]
    after = _numbers(args.after)
    wish = _training(words[1:], checked=not after) if words[0] == "train" else _command(words, checked=not after)
    return put(wish, args, after)


def put(wish: Wish, args: argparse.Namespace, after: tuple[int, ...] = ()) -> int:
    """Add a job with what the queue's own options say of it, and tell its number."""
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.cli.queue import job_json
    from lora_tui.jobs.queue.door import add
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.jobs.queue.process import word
    from lora_tui.jobs.queue.record import MOST_GPUS

    gpus = getattr(args, "gpus", None)
    if gpus is not None and not 0 <= gpus <= MOST_GPUS:
        raise UserError(
            _("{count} GPUs cannot be.").format(count=gpus),
            place="--gpus",
            remedy=_("Give a number from 0 to {most}.").format(most=MOST_GPUS),
            code="usage",
        )
    wish = replace(
        wish,
        title=getattr(args, "title", "") or wish.title,
        gpus=wish.gpus if gpus is None else gpus,
        after=after,
        if_failed=getattr(args, "if_failed", "wait"),
        held=getattr(args, "hold", False),
        first=getattr(args, "next", False),
    )
    (job,) = add([wish])
    queue, said = read_queue(), word()
    if args.json:
        print_json(job_json(job, queue, said))
        return 0
    before = [one.id for one in queue.waiting()]
    place = before.index(job.id) + 1 if job.id in before else 1
    say(_("Queued as job {number}, number {place} of those that wait: {title}").format(
        number=job.id, place=place, title=job.title
    ))  # fmt: skip
    if queue.stopped and not said.alive:
        note(_("The queue is stopped. Start it: lora-tui queue start"))
    return 0


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The queue's own options among the words of a command line, and the rest; what follows ``--`` is the command's."""
    own: list[str] = []
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            rest += left
            break
        if word in _FLAGS or (name in _VALUES and name != word):
            own.append(word)
        elif name in _VALUES:
            own += [word, *left[:1]]
            del left[:1]
        else:
            rest.append(word)
    return own, rest


def _numbers(texts: Sequence[str]) -> tuple[int, ...]:
    found = []
    for text in texts:
        for part in text.replace(",", " ").split():
            if not (part.isascii() and part.isdigit()) or len(part) > 12:
                raise UserError(
                    _("{text} is no number of a job.").format(text=part[:40]),
                    place="--after",
                    remedy=_("See: lora-tui queue list"),
                    code="usage",
                )
            found.append(int(part))
    return tuple(found)


def _training(words: Sequence[str], *, checked: bool) -> Wish:
    """The wish for ``train WORDS``."""
    from lora_tui.cli import train
    from lora_tui.cli.main import Parser

    parser = Parser(prog="lora-tui train")
    train.build(parser)
    return training_wish(parser.parse_args(list(words)), checked=checked)


def training_wish(args: argparse.Namespace, *, checked: bool = True) -> Wish:
    """The wish for a training, from the arguments of ``train``; its configuration is checked, and kept as it is now.

    Args:
        checked: false for one that comes after other jobs, which may make what is missing now; only what cannot be
            read at all is refused then, the rest is said.

    Raises:
        UserError: the configuration is wrong, or both a run and a configuration are named.
    """
    from lora_tui.cli import slurm_options
    from lora_tui.cli.main import Usage
    from lora_tui.cli.output import note
    from lora_tui.config.load import load_config, set_values
    from lora_tui.jobs.queue.door import training
    from lora_tui.jobs.slurm.calls import require
    from lora_tui.jobs.slurm.line import words_of
    from lora_tui.runs.choose import runs_dir_for
    from lora_tui.runs.start import require_startable

    if bool(args.config) == bool(args.resume):
        raise Usage(_("Name a configuration, or a run with --resume."), command="queue add train")
    if args.dry_run:
        raise Usage(
            _("--dry-run shows what train would send to Slurm; the queue starts nothing now."),
            command="queue add train",
        )
    if args.resume:
        return _resumption(args)
    slurm = slurm_options.of_start(args, command="queue add train")
    if slurm is not None:
        require()
    path = Path(args.config)
    more = [f"ending.budget={args.budget}"] if args.budget else []
    config = set_values(load_config(path), [*args.values, *more])
    runs_dir = Path(args.runs) if args.runs else runs_dir_for(path)
    try:
        for finding in require_startable(config, runs_dir.absolute(), force=args.force, here=slurm is None):
            note(f"{finding.message} {finding.remedy}")
    except UserError as error:
        if checked:
            raise
        note(_("As things are now it could not start: {reason}").format(reason=error))
    cluster = () if slurm is None else words_of(slurm)
    return training(config, runs_dir, source=str(path.absolute()), force=args.force, cluster=cluster)


def _resumption(args: argparse.Namespace) -> Wish:
    """The wish to go on with a run."""
    from lora_tui.cli.main import Usage
    from lora_tui.jobs.queue.door import Wish
    from lora_tui.runs.choose import choose_run

    if args.values or args.runs:
        raise Usage(_("--set changes a new run; a resumed one keeps its settings."), command="queue add train")
    run_folder = choose_run(args.resume, Path.cwd())
    more = [*(["--force"] if args.force else []), *(["--budget", args.budget] if args.budget else [])]
    return Wish(
        ("train", "--resume", str(run_folder.root.absolute()), *more),
        title=_("{run}, resumed").format(run=run_folder.name),
        source=str(run_folder.root.absolute()),
    )


def _command(words: Sequence[str], *, checked: bool) -> Wish:
    """The wish for any other command; what its own parser refuses is refused now, and so is what it lacks.

    Args:
        checked: false for one that comes after other jobs, which may make what is missing now; it is only said then.
    """
    from importlib import import_module

    from lora_tui.cli.main import COMMANDS, Parser, Usage
    from lora_tui.cli.output import note
    from lora_tui.jobs.queue.door import Wish
    from lora_tui.jobs.queue.kinds import NEVER, kind_named, kind_of

    name = words[0]
    if name not in COMMANDS or name in NEVER:
        raise Usage(_("{name} is no command that can be queued.").format(name=name[:40]), command="queue add")
    module = import_module(COMMANDS[name][0])
    parser = Parser(prog=f"lora-tui {name}")
    module.build(parser)
    wanted = [word for word in words if word not in kind_named(kind_of(words)).background]
    try:
        told = parser.parse_args(getattr(module, "words", list)(wanted[1:]))
    except SystemExit as error:  # --help
        raise Usage(_("A request for help cannot be queued."), command="queue add") from error
    if require := getattr(told, "require", None):
        try:
            require(told)
        except UserError as error:
            if checked:
                made = _("If an earlier job makes it, name that job: --after ID")
                raise UserError(error.message, place=error.place, remedy=f"{error.remedy} {made}",
                                code=error.code) from error  # fmt: skip
            note(_("As things are now it could not start: {reason}").format(reason=error))
    gpus = 0 if getattr(told, "device", "") == "cpu" else None
    return Wish(tuple(wanted), folder=str(Path.cwd()), gpus=gpus)
