"""``notify``: where notices of alarms and of the end of runs go, and whether they arrive."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.alarms.webhooks import Webhook


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help=_("the webhooks, by form and host; an address is never shown"))
    adding = commands.add_parser("add", help=_("add a webhook: ntfy, Discord, Slack, or any that takes JSON"))
    adding.add_argument(
        "address",
        nargs="?",
        default="",
        metavar="URL",
        help=_("such as https://ntfy.sh/my-topic or ntfy+https://host/topic; asked for when left out"),
    )
    removing = commands.add_parser("remove", help=_("remove a webhook of the file"))
    removing.add_argument("number", type=int, metavar="N", help=_("its number in the list"))
    testing = commands.add_parser("test", help=_("send a notice to all, ring the bell, notify the desktop"))
    for command in (listing, adding, removing, testing):
        command.add_argument("--json", action="store_true", help=_("the result as JSON"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return {"list": _list, "add": _add, "remove": _remove, "test": _test}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from lora_tui.alarms.webhooks import known_webhooks, webhooks_file
    from lora_tui.cli.output import note, print_json, say

    found, wrong = known_webhooks()
    if args.json:
        print_json(
            {
                "file": webhooks_file(),
                "webhooks": [{"number": n, "webhook": hook.shown} for n, hook in enumerate(found, 1)],
                "wrong": [str(error) for error in wrong],
            }
        )
    else:
        for number, hook in enumerate(found, 1):
            say(f"{number}  {hook.shown}")
        for error in wrong:
            note(f"{error.place}: {error.message} {error.remedy}")
        if not found and not wrong:
            note(_none_set())
    return 3 if wrong else 0


def _add(args: argparse.Namespace) -> int:
    from lora_tui.alarms.webhooks import file_lines, parse_webhook, webhooks_file
    from lora_tui.cli.output import print_json, say
    from lora_tui.text.plain import plain

    address = args.address or _asked()
    webhook = parse_webhook(address)
    path = webhooks_file()
    known = [line for _number, line in file_lines(path)]
    if address.strip() not in known:
        _write(path, [*known, address.strip()])
    if args.json:
        print_json({"file": path, "webhook": webhook.shown})
    else:
        say(_("Notices go to {webhook}. Try it: lora-tui notify test").format(webhook=webhook.shown))
        say(_("The address is kept in {file}, which nobody else can read.").format(file=plain(str(path))))
    return 0


def _remove(args: argparse.Namespace) -> int:
    from lora_tui.alarms.webhooks import file_lines, known_webhooks, parse_webhook, webhooks_file
    from lora_tui.cli.output import print_json, say

    found, _wrong = known_webhooks()
    if not 1 <= args.number <= len(found):
        raise UserError(_("There is no webhook with this number."), remedy=_("See: lora-tui notify list"), code="usage")
    webhook = found[args.number - 1]

    def meant(line: str) -> bool:
        try:
            return bool(parse_webhook(line).url == webhook.url)
        except UserError:
            return False

    path = webhooks_file()
    lines = [line for _number, line in file_lines(path)]
    kept = [line for line in lines if not meant(line)]
    if len(kept) == len(lines):
        raise UserError(
            _("This webhook is set by the environment."), remedy=_("Unset LORA_TUI_WEBHOOK."), code="notify.environment"
        )
    _write(path, kept)
    if args.json:
        print_json({"file": path, "removed": webhook.shown})
    else:
        say(_("Removed {webhook}.").format(webhook=webhook.shown))
    return 0


def _none_set() -> str:
    from lora_tui.alarms.webhooks import webhooks_file
    from lora_tui.text.plain import plain

    text = _("No webhook is set. Add one: lora-tui notify add (it is kept in {file}).")
    return text.format(file=plain(str(webhooks_file())))


def _test(args: argparse.Namespace) -> int:
    from lora_tui.alarms.alarm import NOTICE, Alarm
    from lora_tui.alarms.courier import notice_of
    from lora_tui.alarms.send import send
    from lora_tui.alarms.terminal import announcement
    from lora_tui.alarms.webhooks import known_webhooks
    from lora_tui.cli.output import note, print_json, say
    from lora_tui.settings import usable_settings

    words = _("This is a trial: notices arrive.")
    alarm = Alarm("test", NOTICE, words, "", time=time.time())
    if not args.json and sys.stdout.isatty():
        sys.stdout.write(announcement("lora-tui", words, usable_settings()[0], os.environ))
    hooks: tuple[Webhook, ...] = known_webhooks()[0]
    failures = send(notice_of(alarm, run="lora-tui", number=0, folder=""))
    if args.json:
        print_json({"sent": len(hooks), "failures": failures})
    else:
        for failure in failures:
            note(_("Not taken by {webhook}: {reason}.").format(**failure))
        taken = len(hooks) - len([one for one in failures if any(one["webhook"] == hook.shown for hook in hooks)])
        say(_("{count} of {total} webhooks took the notice.").format(count=taken, total=len(hooks)))
        if not hooks:
            note(_none_set())
    return 1 if failures else 0


def _asked() -> str:
    """The address from standard input, unseen on a terminal, so that no shell remembers it."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(_("Address of the webhook: "))
    return sys.stdin.readline().strip()


def _write(path: Path, lines: list[str]) -> None:
    """Replace the file of addresses, which nobody else can read from its first byte on.

    Raises:
        UserError: the folder cannot be written.
    """
    from lora_tui.files import write_atomic
    from lora_tui.text.plain import plain

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))  # a replaced file keeps its mode
        write_atomic(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise UserError(
            _("The webhooks cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            remedy=_("Set LORA_TUI_WEBHOOK_FILE to a file that can be written."),
            code="webhook.write",
        ) from error
