"""A systemd user unit that starts the queue with the machine: its text, and putting it in its place."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.python import python_command
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

NAME = "lora-tui-queue.service"

KEPT = (
    "LORA_TUI_HOME",
    "LORA_TUI_CONFIG",
    "HF_HOME",
    "HF_ENDPOINT",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
)
"""Variables of today's environment without which the queue would look elsewhere."""

_PATIENCE = 20.0


def unit_text() -> str:
    """The unit. Its jobs are sessions of their own and go on when the unit is stopped or started anew."""
    lines = [
        "[Unit]",
        "Description=lora-tui queue",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_quoted(word) for word in python_command('-m', 'lora_tui.jobs.queue', '--stay'))}",
        *(f"Environment={_quoted(f'{name}={os.environ[name]}')}" for name in KEPT if os.environ.get(name)),
        "KillMode=process",
        "Restart=on-failure",
        "RestartSec=10",
        "RestartPreventExitStatus=2",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def unit_path() -> Path:
    """Where a user's units lie."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(home) if home else Path.home() / ".config") / "systemd" / "user" / NAME


def install() -> tuple[Path, str]:
    """Write the unit and enable it; return its place, and why it was not enabled (empty if it was).

    Raises:
        UserError: ``queue.unit`` when it cannot be written.
    """
    path = unit_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, unit_text().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UserError(
            _("The unit cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            remedy=_("Print it with lora-tui queue unit, and put it in its place by hand."),
            code="queue.unit",
        ) from error
    for words in (["daemon-reload"], ["enable", NAME]):
        if reason := _systemctl(words):
            return path, reason
    return path, ""


def has_systemd() -> bool:
    """Whether this machine was started by systemd; containers often were not."""
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def cron_line() -> str:
    """What does the same in a crontab, where there is no systemd."""
    kept = " ".join(_quoted(f"{name}={os.environ[name]}") for name in KEPT if os.environ.get(name))
    words = " ".join(_quoted(word) for word in python_command("-m", "lora_tui", "queue", "start"))
    return f"@reboot {f'env {kept} ' if kept else ''}{words}"


def _systemctl(words: list[str]) -> str:
    if not has_systemd():
        return _("this machine was not started by systemd")
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words],
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return plain(str(error), limit=300)
    if done.returncode == 0:
        return ""
    told = done.stderr.decode("utf-8", "replace").strip()
    return plain(told.splitlines()[-1] if told else str(done.returncode), limit=300)


def _quoted(word: str) -> str:
    """A word as systemd reads it: within quotes, with its own signs doubled."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$").replace("\n", "\\n")
    return f'"{text}"' if text != word or " " in word or not word else text
