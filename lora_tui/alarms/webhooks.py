"""Where notices are sent to, and in which form: ntfy, Discord, Slack, or plain JSON.

An address is a secret: who has it can write there. So it stands in the environment (``LORA_TUI_WEBHOOK``, several with
spaces between them) or in a file that nobody else can read (``webhooks`` in the folder of the settings, or what
``LORA_TUI_WEBHOOK_FILE`` names; one address a line), never in a configuration, and never whole in anything that is
written or shown. What it is follows from the host; ``ntfy+https://host/topic`` says it for a server of one's own.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.places import absolute
from lora_tui.settings import config_dir
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

VARIABLE, FILE_VARIABLE = "LORA_TUI_WEBHOOK", "LORA_TUI_WEBHOOK_FILE"
FORMATS = ("ntfy", "discord", "slack", "json")
SECRETS = (VARIABLE, FILE_VARIABLE)
"""Variables that no process gets whose output lies in a run folder."""
_LARGEST = 1 << 16
_MOST = 16
_PRIORITIES = {"error": 5, "warning": 4, "notice": 3}
_TAGS = {"error": "rotating_light", "warning": "warning", "notice": "information_source"}


@dataclass(frozen=True)
class Webhook:
    """One address: its form (one of :data:`FORMATS`) and the URL, which is secret."""

    form: str
    url: str

    @property
    def shown(self) -> str:
        """What may be shown of it: form and host."""
        return f"{self.form} {plain(urllib.parse.urlsplit(self.url).hostname or '?', limit=80)}"

    def request(self, notice: Mapping[str, Any]) -> tuple[str, bytes, dict[str, str]]:
        """URL, body and headers that tell ``notice``, see :func:`lora_tui.alarms.courier.notice_of`."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        url = urllib.parse.urlunsplit(parts._replace(netloc=host))
        headers = {"Content-Type": "application/json", "User-Agent": "lora-tui"}
        password = urllib.parse.unquote(parts.password or "")
        if parts.username:
            pair = f"{urllib.parse.unquote(parts.username)}:{password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        elif password:  # as ntfy has its access tokens: https://:tk_…@host/topic
            headers["Authorization"] = f"Bearer {password}"
        if self.form == "ntfy":
            url, topic = _topic(url)
            body = _ntfy(notice, topic)
        else:
            body = _FORMS[self.form](notice)
        return url, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), headers


def parse_webhook(text: str) -> Webhook:
    """The webhook that an address means.

    Raises:
        UserError: ``webhook.address``, which does not repeat the address.
    """
    said = text.strip()
    form, plus, rest = said.partition("+")
    named = form.lower() if plus and form.lower() in FORMATS else ""
    url = rest if named else said
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
        _port = parts.port
    except ValueError:
        good = False
    if not good or " " in url:
        raise _bad(_("An address of a webhook begins with https:// or http:// and names a host."))
    found = Webhook(named or _form_of(parts.hostname or "", parts.path), url)
    if found.form == "ntfy" and not parts.path.strip("/"):
        raise _bad(_("An address of ntfy ends with its topic: https://ntfy.sh/my-topic."))
    return found


def webhooks_file() -> Path:
    """The file of addresses, which may not be there."""
    named = os.environ.get(FILE_VARIABLE, "")
    return absolute(named, FILE_VARIABLE) if named else config_dir() / "webhooks"


def any_webhook() -> bool:
    """Whether somebody gave an address, right or wrong: cheap enough to ask before each notice."""
    with contextlib.suppress(UserError, OSError):
        return bool(os.environ.get(VARIABLE, "").strip()) or webhooks_file().exists()
    return False


def known_webhooks() -> tuple[tuple[Webhook, ...], tuple[UserError, ...]]:
    """The webhooks of environment and file, each once, and what is wrong with the others. Never raises."""
    wrong: list[UserError] = []
    found: dict[str, Webhook] = {}
    texts = [(VARIABLE, text) for text in os.environ.get(VARIABLE, "").split()]
    try:
        path = webhooks_file()
        texts += [(f"{plain(str(path))}:{number}", line) for number, line in file_lines(path)]
    except UserError as error:
        wrong.append(error)
    for place, text in texts:
        try:
            webhook = parse_webhook(text)
            found.setdefault(webhook.url, webhook)
        except UserError as error:
            wrong.append(UserError(error.message, place=place, remedy=error.remedy, code=error.code))
    return tuple(found.values())[:_MOST], tuple(wrong)


def file_lines(path: Path) -> list[tuple[int, str]]:
    """The addresses in the file with their line numbers; none where there is no file.

    Raises:
        UserError: it cannot be read, or others can read it (``webhook.mode``).
    """
    try:
        with open_file(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_LARGEST)
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = error.strerror or str(error)
        raise _unread(path, _("The webhooks cannot be read: {reason}.").format(reason=reason), "") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        remedy = _("Let nobody else read it: chmod 600 {file}").format(file=plain(str(path)))
        raise _unread(path, _("Others can read this file, so that what stands in it is no secret."), remedy)
    lines = data.decode("utf-8", "replace").splitlines()
    return [(n, line.strip()) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]


def _form_of(host: str, path: str) -> str:
    host = host.lower()
    if host in ("discord.com", "discordapp.com") or host.endswith((".discord.com", ".discordapp.com")):
        return "discord"
    if host == "hooks.slack.com" or host.endswith(".slack.com"):
        return "slack"
    if host == "ntfy.sh" or host.startswith("ntfy."):
        return "ntfy"
    return "json"


def _topic(url: str) -> tuple[str, str]:
    """The server of an ntfy address, and its topic: JSON goes to the server, which takes any language in titles."""
    parts = urllib.parse.urlsplit(url)
    folder, _slash, topic = parts.path.rstrip("/").rpartition("/")
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, folder + "/", "", "")), urllib.parse.unquote(topic)


def _ntfy(notice: Mapping[str, Any], topic: str) -> dict[str, Any]:
    level = str(notice.get("level"))
    return {
        "topic": topic,
        "title": notice["title"][:250],
        "message": notice["text"][:3500],
        "priority": _PRIORITIES.get(level, 3),
        "tags": [_TAGS.get(level, "information_source")],
    }


def _discord(notice: Mapping[str, Any]) -> dict[str, Any]:
    words = f"**{_unmarked(notice['title'])}**\n{_unmarked(notice['text'])}"
    return {"content": words[:2000], "allowed_mentions": {"parse": []}}


def _unmarked(text: str) -> str:
    """Text that Discord shows as it is: names of runs have signs that it takes for emphasis."""
    return "".join(f"\\{sign}" if sign in "\\*_~`|>#[]" else sign for sign in text)


def _slack(notice: Mapping[str, Any]) -> dict[str, Any]:
    words = f"{notice['title']}\n{notice['text']}"
    return {"text": words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:3000], "mrkdwn": False}


_FORMS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "discord": _discord,
    "slack": _slack,
    "json": dict,
}


def _bad(message: str) -> UserError:
    return UserError(message, remedy=_("Such as https://ntfy.sh/my-topic."), code="webhook.address")


def _unread(path: Path, message: str, remedy: str) -> UserError:
    return UserError(message, place=plain(str(path)), remedy=remedy, code="webhook.mode" if remedy else "webhook.file")
