"""The dispatcher: which command was meant, its errors as one line, its exit status.

Only the module of the chosen command is imported, so that ``lora-tui --version`` and the status line of a
terminal cost what Python itself costs. A command is a module with ``build(parser)`` and ``run(args) -> int``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lora_tui import __version__
from lora_tui.errors import UserError
from lora_tui.text.plain import plain, sentences
from lora_tui.text.translate import N_, _, set_language

COMMANDS: dict[str, tuple[str, str]] = {
    "new": ("lora_tui.cli.project", N_("make a project in a folder")),
    "demo": ("lora_tui.cli.demo", N_("make a small complete project and open it")),
    "doctor": ("lora_tui.cli.doctor", N_("look at this machine and say what is missing")),
    "dataset": ("lora_tui.cli.dataset", N_("check a folder of images, show its buckets")),
    "tag": ("lora_tui.cli.tag", N_("let models write tags and captions")),
    "captions": ("lora_tui.cli.captions", N_("list, edit and check captions; undo, history, export")),
    "config": ("lora_tui.cli.config", N_("make, check and plan a configuration")),
    "train": ("lora_tui.cli.train", N_("start or resume a training")),
    "sweep": ("lora_tui.cli.sweep", N_("several runs that differ in some settings, and their table of results")),
    "runs": ("lora_tui.cli.runs", N_("list runs, show one, ask it to stop, pause, save …")),
    "queue": ("lora_tui.cli.queue", N_("jobs that wait for a GPU or for each other: add, list, move, hold …")),
    "watch": ("lora_tui.cli.watch", N_("follow a run as lines, or as one status line")),
    "notify": ("lora_tui.cli.notify", N_("where notices of alarms go: webhooks, and a trial")),
    "attach": ("lora_tui.cli.attach", N_("open the app on a running training")),
    "serve": ("lora_tui.cli.serve", N_("the app in a browser on this machine, for an SSH tunnel")),
    "grid": ("lora_tui.cli.grid", N_("pictures of checkpoints against strength, and of whatever else varies")),
    "generate": ("lora_tui.cli.generate", N_("images from a base model and any LoRA files, as pictures in a folder")),
    "tasks": ("lora_tui.cli.tasks", N_("tagging and preparing in the background: list, follow, stop")),
    "cache": ("lora_tui.cli.cache", N_("what is kept on disk to be used again: list it, let go of some")),
    "lora": ("lora_tui.cli.lora", N_("look into LoRA files")),
    "bench": ("lora_tui.cli.bench", N_("measure this machine")),
}
"""Name of each command: the module that has it, and one line of help."""

DONE, FAILED, WRONG, PROBLEMS = 0, 1, 2, 3
"""Exit statuses: done; it failed while running; the input is wrong; a check found problems."""

INTERRUPTED, NO_READER = 130, 141


class Usage(UserError):
    """The command line itself is wrong."""

    def __init__(self, message: str, *, command: str) -> None:
        remedy = _("See: {command} --help").format(command=f"lora-tui {command}".strip())
        super().__init__(message, remedy=remedy, code="usage")


class HelpFormatter(argparse.HelpFormatter):
    """Help in the person's language."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """As argparse, with its own word translated."""
        super().add_usage(usage, actions, groups, _("usage: ") if prefix is None else prefix)


class TextFormatter(HelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The same, with the lines of texts as they are."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours: one line, no usage dump, exit status 2.

    Options are not abbreviated: what a script wrote must not change its meaning when another option comes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(
            *args, **{"allow_abbrev": False, "formatter_class": HelpFormatter, **options, "add_help": False}
        )
        self.add_argument("-h", "--help", action="help", help=_("show this help and end"))
        self._positionals.title, self._optionals.title = _("arguments"), _("options")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but what nobody knows is an error of the command that was given it, not of the one above."""
        known, unknown = super().parse_known_args(args, namespace)
        self.refuse(unknown)
        return known, unknown

    def refuse(self, unknown: Sequence[str]) -> None:
        """Words that nobody knows are an error."""
        if unknown:
            self.error(_("unknown arguments: {words}").format(words=" ".join(unknown)))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse, but a command that there is none of is told with the one that was probably meant."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise self._asked(_("There is no such command."), f"{self.prog} {value}", str(value))
        super()._check_value(action, value)

    def _asked(self, message: str, words: str, meant: str = "") -> UserError:
        """What is said where a command of this one is missing or is none: those that there are."""
        tables = (action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction))
        names = list(next(tables, {}))
        known = _("There are: {names}.").format(names=", ".join(names))
        see = _("See: {command} --help").format(command=self.prog)
        remedy = sentences(_did_you_mean(meant, names), known, see)
        place = plain(words.removeprefix("lora-tui "), limit=200)
        return UserError(message, place=place, remedy=remedy, code="usage")

    def error(self, message: str) -> NoReturn:
        if message.endswith(": COMMAND"):  # argparse misses it
            raise self._asked(_("Which command?"), self.prog)
        raise Usage(f"{message}.", command=self.prog.removeprefix("lora-tui").strip())

    def _print_message(self, message: str, file: object = None) -> None:
        """Help and version, by the way of everything that is printed: argparse's own hides that it failed."""
        from lora_tui.cli.output import note, say

        (say if file is sys.stdout else note)(message.rstrip("\n"))


def run(argv: Sequence[str]) -> int:
    """Run the command line ``argv`` (without the program's name); return the exit status. Never raises."""
    from lora_tui.cli.output import OutputError, finish, hold_streams, let_go, note

    hold_streams()
    try:
        status = _run(argv)
        finish()
        return status
    except BrokenPipeError:
        let_go(sys.stdout)
        return NO_READER
    except OutputError as error:
        let_go(sys.stdout)
        told = _("Nothing can be written to standard output: {reason}.").format(reason=error)
        note(f"lora-tui: {told}")
        return FAILED


def _run(argv: Sequence[str]) -> int:
    from lora_tui.cli.output import OutputError

    try:
        set_language(_wanted_language())
        return _dispatch(list(argv))
    except (BrokenPipeError, OutputError):
        raise
    except UserError as error:
        _report(error.as_dict(), str(error), argv)
        return WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # a word of the command line that was taken for a path
            return _crashed(error, argv)
        told = UserError(
            _("The name is too long for a file or folder."), place=plain(str(error.filename), limit=200), code="usage"
        )
        _report(told.as_dict(), str(told), argv)
        return WRONG
    except Exception as error:
        return _crashed(error, argv)


def _dispatch(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        name, module = argv[0], importlib.import_module(COMMANDS[argv[0]][0])
        parser = Parser(prog=f"lora-tui {name}", description=_(COMMANDS[name][1]))
        module.build(parser)
        words = getattr(module, "words", list)(argv[1:])
        args = _parse(parser, words)
        if args is not None:
            _tell_of_folder(name)
        return DONE if args is None else int(module.run(args))
    word = argv[0] if argv else ""
    if len(argv) > 1 and not word.startswith("-") and not {"-h", "--help", "--version"} & set(argv):
        from lora_tui.places import is_folder

        if not is_folder(Path(word)):
            raise _nothing_called(word)
    parser = Parser(
        prog="lora-tui",
        description=_("A terminal studio for the whole life of an image LoRA."),
        epilog=_command_list(),
        formatter_class=TextFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"lora-tui {__version__}", help=_("print the version and end")
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", help=_("project or folder of images to open"))
    args = _parse(parser, argv)
    return DONE if args is None else open_app(Path(args.directory or "."), given=args.directory)


def _tell_of_folder(name: str) -> None:
    """Say that a word was taken for the command where a project of that name lies here."""
    if os.path.exists(os.path.join(name, "lora-tui.toml")):  # noqa: PTH110, PTH118 - pathlib would cost every start
        from lora_tui.cli.output import note

        note(_("{name} is the command; the project of this name opens with: lora-tui ./{name}").format(name=name))


def _parse(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace | None:
    """The arguments; none when ``--help`` or ``--version`` has printed what was asked for."""
    try:
        return parser.parse_args(_with_filters(argv))
    except SystemExit:
        return None


def open_app(directory: Path, *, given: str | None = None, screen: str = "home", run: Path | None = None) -> int:
    """Open the app on a folder; with ``run`` on that run's screen.

    Raises:
        UserError: ``app.directory`` when there is no such folder.
    """
    from lora_tui.places import is_folder

    if not is_folder(directory):
        raise _nothing_called(given or str(directory))
    from lora_tui.tui.app import run_app

    return int(run_app(directory.resolve(), screen=screen, run=run))


def _nothing_called(word: str) -> UserError:
    return UserError(
        _("There is no such folder, and no command of this name."),
        place=plain(word, limit=200),
        remedy=sentences(_did_you_mean(word, list(COMMANDS)), _("Name a folder, or see: lora-tui --help")),
        code="app.directory",
    )


def _did_you_mean(word: str, names: Sequence[str]) -> str:
    """The question after the name that is nearest to a word; empty where none is near."""
    import difflib

    close = difflib.get_close_matches(word, names, n=1, cutoff=0.65)
    return _("Did you mean {name}?").format(name=close[0]) if close else ""


def _command_list() -> str:
    lines = [_("commands:")]
    lines += [f"  {name:<10} {_(text)}" for name, (_module, text) in COMMANDS.items()]
    return "\n".join([*lines, "", _("Each has --help. Without a command the app opens on DIR, or here.")])


def _wanted_language() -> str:
    """The language of the user's settings; a settings file that cannot be read is no reason to stop a command."""
    if os.environ.get("LORA_TUI_LANG"):
        return ""
    try:
        from lora_tui.settings import load_settings

        return load_settings().language
    except (UserError, OSError):
        return ""


def _with_filters(argv: list[str]) -> list[str]:
    """The words with ``--where -solo`` as ``--where=-solo``: argparse takes no value that begins with a minus."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in ("--where", "--sort") and word.startswith("-") and not word.startswith("--"):
            joined[-1] += "=" + word
        else:
            joined.append(word)
    return joined


def _report(error: dict[str, str], line: str, argv: Sequence[str]) -> None:
    from lora_tui.cli.output import note, print_json

    if "--json" in argv:
        print_json({"error": error})
    else:
        note(plain(f"lora-tui: {line}"))


def _platform() -> str:
    import platform

    return platform.platform()


def _crashed(error: Exception, argv: Sequence[str]) -> int:
    """A defect of ours: one line and a file with the traceback, which a person can send."""
    message = f"{type(error).__name__}: {error}"
    place = ""
    with contextlib.suppress(Exception):
        from lora_tui.settings import state_dir

        file = state_dir() / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        text = f"lora-tui {__version__}, Python {sys.version}\n{_platform()}\n{list(argv)}\n\n{traceback.format_exc()}"
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
        place = str(file)
    known = UserError(
        _("An error inside lora-tui: {message}.").format(message=message),
        remedy=_("Please report it with {file}.").format(file=place) if place else "",
        code="internal",
    )
    with contextlib.suppress(Exception):
        _report(known.as_dict(), str(known), argv)
    return FAILED
