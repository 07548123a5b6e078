"""The terminal under the app: whether there is one, whether it is still there, and leaving it in order."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_tui import __version__
from lora_tui.alarms.terminal import through_tmux
from lora_tui.errors import UserError
from lora_tui.settings import state_dir
from lora_tui.text import _

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_crashes = itertools.count(1)

STUCK_SECONDS = 4.0
"""How long a closing app may wait for a terminal that takes no more output."""

BEHIND_FRAMES = 2
"""Frames that may wait for the terminal before drawing pauses: more, and what is seen is seconds old."""


def check_terminal() -> None:
    """Refuse to start where nothing could be seen or pressed.

    Raises:
        UserError: input or output is no terminal, or the terminal cannot move its cursor.
    """
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver"):
        return  # a browser is the terminal
    remedy = _("Run it in a terminal; lora-tui --help lists the commands that need none.")
    if not (sys.__stdin__ and sys.__stdin__.isatty()):
        raise UserError(_("The app needs a terminal to read keys from."), remedy=remedy, code="terminal.input")
    if not (sys.__stderr__ and sys.__stderr__.isatty() and sys.__stdout__ and sys.__stdout__.isatty()):
        raise UserError(_("The app needs a terminal to draw on."), remedy=remedy, code="terminal.output")
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise UserError(
            _("This terminal cannot move its cursor (TERM is {term}).").format(term=os.environ.get("TERM") or "''"),
            remedy=_("Set TERM to what it is, such as xterm-256color, or use the commands of lora-tui --help."),
            code="terminal.dumb",
        )


def draws_unicode() -> bool:
    """Whether the locale of the terminal is UTF-8; output is made UTF-8 in any case.

    Textual draws on standard error. Python may have chosen another encoding for it, which would show
    escapes such as ``\\u2502`` in place of lines.
    """
    named = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    encoding = (getattr(sys.__stderr__, "encoding", "") or "").lower().replace("-", "")
    if encoding != "utf8" and sys.__stderr__ is not None:
        with contextlib.suppress(AttributeError, OSError):
            sys.__stderr__.reconfigure(encoding="utf-8")
    lowered = named.lower().replace("-", "")
    legacy = "." in lowered and "utf8" not in lowered
    return not legacy


def hung_up() -> bool:
    """Whether the terminal is gone: reading from it would give nothing for ever."""
    try:
        poll = select.poll()
        poll.register(0, 0)
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _fd, event in poll.poll(0))
    except OSError:
        return True


def on_ending_signals(leave: Callable[[int], None]) -> None:
    """Call ``leave`` with the signal's number on the running event loop instead of dying in raw mode.

    Handlers of the loop itself would never run while the loop waits for a terminal that takes no output;
    these do, and see to it that the process ends all the same.
    """
    import asyncio

    loop = asyncio.get_running_loop()

    def received(number: int, _frame: object) -> None:
        end_if_stuck(128 + number)
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is ending already
            loop.call_soon_threadsafe(leave, number)

    for number in ENDING_SIGNALS:
        signal.signal(number, received)


def on_sleeping_and_waking(app: Any) -> None:
    """Leave the terminal in order before a stop (``SIGTSTP``), and take it again in order when the process goes on,
    also after a stop that nothing could be done about (``kill -STOP``).

    Textual knows only the stop that it was asked for. After another it would read keys in two threads, and take
    raw mode for what the terminal was like before the app. Its handlers also write while the signal is handled:
    when the signal comes while the app is handing over output, and a terminal that is closed sends ``SIGCONT`` at
    such a time, they wait for ever for a lock that their own thread holds. These leave all work to the event loop.
    """
    import asyncio

    loop = asyncio.get_running_loop()

    def sleep() -> None:
        if app._driver is not None and not hung_up():
            app._driver._sigtstp_application()

    def wake() -> None:
        driver = app._driver
        if driver is None or not getattr(driver, "_auto_restart", True) or hung_up():
            return
        if not getattr(driver, "_must_signal_resume", False):
            driver.suspend_application_mode()
        driver.resume_application_mode()
        app.repaint()

    def later(do: Callable[[], None]) -> Callable[[int, object], None]:
        waiting: list[None] = []  # one entry while it is to be done: many signals are answered once

        def answer() -> None:
            waiting.clear()
            do()

        def received(_number: int, _frame: object) -> None:
            if waiting:
                return
            with contextlib.suppress(RuntimeError):  # the loop is closed: the app is ending
                waiting.append(None)
                loop.call_soon_threadsafe(answer)

        return received

    signal.signal(signal.SIGTSTP, later(sleep))
    signal.signal(signal.SIGCONT, later(wake))


def end_if_stuck(status: int) -> None:
    """End the process after a while, whatever it waits for: a dead terminal must not keep it."""

    def end() -> None:
        time.sleep(STUCK_SECONDS)
        os._exit(status)

    threading.Thread(target=end, daemon=True, name="end-if-stuck").start()


def frames_waiting(app: Any) -> int:
    """Frames that the terminal has not taken yet; 0 when that cannot be known."""
    try:
        return int(app._driver._writer_thread._queue.qsize())
    except AttributeError:
        return 0


def write_crash_file(error: BaseException) -> Path | None:
    """Keep the traceback for a report; none when no folder can be written."""
    import platform
    from importlib.metadata import version

    text = "".join(traceback.format_exception(origin(error)))
    head = (
        f"lora-tui {__version__}, Python {sys.version.split()[0]}, Textual {version('textual')}\n"
        f"{platform.platform()}, TERM={os.environ.get('TERM', '')}\n{sys.argv[1:]}\n\n"
    )
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{next(_crashes)}.txt"
    try:
        folder = state_dir() / "crashes"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(head + text, encoding="utf-8", errors="backslashreplace")
    except (OSError, UserError):
        return None
    return path


def origin(error: BaseException) -> BaseException:
    """The error itself where Textual hands over one that a worker met: its wrapper was never raised, so that it has
    neither a traceback nor a cause."""
    inner = getattr(error, "error", None)
    return inner if isinstance(inner, BaseException) and type(error).__name__ == "WorkerFailed" else error


def crash_message(error: BaseException, path: Path | None) -> str:
    """What a person reads after a crash: one line of what, one of where."""
    from lora_tui.text import plain

    cause = origin(error)
    what = _("lora-tui ended because of an error of its own: {name}: {text}").format(
        name=type(cause).__name__, text=plain(str(cause), limit=300)
    )
    if path is None:
        return what
    return what + "\n" + _("The details are in {path}; please send them with a report.").format(path=plain(str(path)))


def clipboard_escape(text: str, environment: Mapping[str, str]) -> str:
    """What puts ``text`` into a terminal's clipboard (OSC 52).

    tmux takes it itself with ``set-clipboard on``, and passes it on wrapped where ``allow-passthrough`` is on: there it
    is said in both ways.
    """
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    escape = f"\x1b]52;c;{encoded}\a"
    return escape + through_tmux(escape) if environment.get("TMUX") else escape
