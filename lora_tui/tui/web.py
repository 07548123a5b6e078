"""The app in a browser: textual-serve on the loopback address, behind a secret of its own.

Whoever reaches the app can delete files and have commands run. So it listens on 127.0.0.1 alone, and takes nobody
without the token of its address: other people of the machine do not know it, and pages of other sites, which a browser
lets ask for anything on the loopback address, neither know it nor come with the right ``Origin`` and ``Host``.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text import _, plain

LOOPBACK = "127.0.0.1"
COOKIE = "lora-tui"
_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_STYLES = "style-src 'self' 'unsafe-inline'; font-src 'self' data:; frame-ancestors 'none'"
"""The page names a font of another site, which nobody here should be told of."""

_INHERITED = ("TMUX", "TMUX_PANE", "STY", "TERM_PROGRAM", "VTE_VERSION", "KITTY_WINDOW_ID", "WEZTERM_PANE")
"""Variables of the terminal that this was started in, which is not the one that the app is seen in."""


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; ``port`` 0 takes any free one.

    Raises:
        UserError: ``serve.port``, when the port cannot be used.
    """
    ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        ours.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        ours.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            _("Port {port} cannot be used: {reason}.").format(port=port, reason=plain(reason.rstrip("."))),
            place="--port",
            remedy=_("Name another one with --port, or 0 for any."),
            code="serve.port",
        ) from error
    return ours


def serve(directory: Path, ours: socket.socket, said: Callable[[str], None]) -> None:
    """Serve the app on ``directory`` until Ctrl+C or SIGTERM; ``said`` is called with its address.

    Raises:
        UserError: ``serve.missing`` without the extra.
    """
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise UserError(
            _("The app in a browser needs textual-serve."),
            remedy=_('Install it: pip install "lora-tui[serve]"'),
            code="serve.missing",
        ) from error
    port, token = ours.getsockname()[1], secrets.token_urlsafe(18)
    _leave_the_terminal()

    class Loopback(Server):  # type: ignore[misc]
        """The server as it is, whose addresses follow the request, so that a tunnel may have another port."""

        async def on_startup(self, app: Any) -> None:
            """Nothing is printed here."""

        async def handle_index(self, request: Any) -> Any:
            """The page, with its addresses as the browser reaches us."""
            self.public_url = f"http://{request.host}"
            return await super().handle_index(request)

        async def _make_app(self) -> Any:
            app = await super()._make_app()
            app.middlewares.append(_guard(web, token))
            return app

    command = shlex.join(python_command("-m", "lora_tui", str(directory)))
    server = Loopback(command, host=LOOPBACK, port=port, title="lora-tui")
    said(f"http://{LOOPBACK}:{port}/?token={token}")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(server._make_app(), sock=ours, print=None, access_log=None, loop=loop)


def _guard(web: Any, token: str) -> Any:
    """Take only requests to a loopback name, from its own page, with the token in the address or in the cookie."""

    @web.middleware  # type: ignore[untyped-decorator,unused-ignore]
    async def guard(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        origin = request.headers.get("Origin")
        if request.host.rpartition(":")[0] not in _NAMES or origin not in (None, f"http://{request.host}"):
            raise web.HTTPForbidden(text="lora-tui")
        given = request.query.get("token", "")
        if given and hmac.compare_digest(given.encode(), token.encode()):
            answer = web.HTTPFound("/")
            answer.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            raise answer
        if not hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
            raise web.HTTPForbidden(text="lora-tui: open the whole address that lora-tui serve printed\n")
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = _STYLES
        return response

    return guard


def _leave_the_terminal() -> None:
    """What the browser shows is a terminal of its own: colourful, in UTF-8, in no tmux."""
    for name in _INHERITED:
        os.environ.pop(name, None)
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", PYTHONUTF8="1")
    if "utf" not in (os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "").lower():
        os.environ["LC_ALL"] = "C.UTF-8"
    sys.stdout.flush()
