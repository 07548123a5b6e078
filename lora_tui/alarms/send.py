"""A process that sends one notice to all webhooks and ends: ``python -m lora_tui.alarms.send``, the notice on stdin.

It is a process of its own because a name that does not resolve and a server that trickles hold up whoever asks, and
only a process can be ended whatever it waits for. It says on stdout what failed, a JSON object a line, without the
address.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from lora_tui.alarms.webhooks import Webhook, known_webhooks
from lora_tui.text.translate import _, set_language

TRIES = 3
TIMEOUT = 6.0
"""Seconds that a try may wait for the connection or for more of the answer."""
PAUSES = (1.0, 3.0)
"""Seconds before the second try and the third."""
TOO_MANY, SERVER_ERROR = 429, 500


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An address is posted to, not followed: elsewhere it would be another's."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


def post(webhook: Webhook, notice: Mapping[str, Any]) -> str:
    """Send a notice, trying again where that may help; return why it failed, empty when it was taken."""
    url, body, headers = webhook.request(notice)
    opener = urllib.request.build_opener(_NoRedirect)
    reason = ""
    for number in range(TRIES):
        if number:
            time.sleep(PAUSES[number - 1])
        try:
            request = urllib.request.Request(url, data=body, headers=headers, method="POST")
            with opener.open(request, timeout=TIMEOUT):
                return ""
        except urllib.error.HTTPError as error:
            reason = _("it answered {code}").format(code=error.code)
            if error.code < SERVER_ERROR and error.code != TOO_MANY:
                break
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = _why(getattr(error, "reason", None) or error)
    return reason


def _why(error: object) -> str:
    """Why there was no answer, in words that never have the address."""
    if isinstance(error, TimeoutError):
        return _("no answer within {count} s").format(count=f"{TIMEOUT:g}")
    if isinstance(error, http.client.HTTPException):
        return _("it does not answer as a web server does")
    return str(getattr(error, "strerror", "") or type(error).__name__)


def send(notice: Mapping[str, Any]) -> list[dict[str, str]]:
    """Send a notice to all webhooks at once; return the failures, each with ``webhook`` (form and host) and ``reason``.

    A webhook that hangs holds up no other: what this returns is complete only when all have answered or given up.
    """
    hooks, wrong = known_webhooks()
    failures = [{"webhook": error.place, "reason": error.message} for error in wrong]

    def one(webhook: Webhook) -> None:
        reason = post(webhook, notice)
        if reason:
            failures.append({"webhook": webhook.shown, "reason": reason})

    threads = [threading.Thread(target=one, args=(webhook,), daemon=True) for webhook in hooks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def main() -> int:
    """Send what stands on stdin; the exit status is 0 when every webhook took it."""
    set_language()
    failures = send(json.loads(sys.stdin.buffer.read()))
    for failure in failures:
        print(json.dumps(failure), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
