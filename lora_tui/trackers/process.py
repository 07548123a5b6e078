"""Telling others of a run, in a process of its own beside the trainer: ``python -m lora_tui.trackers.process RUN_DIR``.

It reads the events as any terminal does, so a step never waits for it, a network that hangs stops nothing, and its
death is nobody else's. What goes wrong is told once as a warning of the run. It ends when the run has ended and all is
told; where it was is kept in ``tracking.json``, so that a resumed run goes on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_append
from lora_tui.jobs.events import EventWriter, as_count
from lora_tui.jobs.job import environment, read_job, trainer_alive
from lora_tui.python import python_command
from lora_tui.runs.folder import RunFolder, read_json, write_json
from lora_tui.text.plain import plain
from lora_tui.text.translate import _
from lora_tui.toml_files import TomlError, read_toml
from lora_tui.trackers.feed import Feed, Writer

STATE, LOCK, LOG = "tracking.json", "tracking.lock", "tracking.log"
POLL_SECONDS = 1.0
LINGER_SECONDS = 5.0
"""How long after the trainer's end it is looked for last words, and for another life."""

CLOSING_SECONDS = 120.0
"""How long a service may take to let go once the run has ended."""


def wanted(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Which trackers a ``[tracking]`` table asks for."""
    return tuple(name for name in ("tensorboard", "wandb") if settings.get(name) is True)


def start(run: RunFolder) -> bool:
    """Start the process for ``run`` where its configuration asks for one; whether it was started. Never raises."""
    names = wanted(settings_of(run))
    if not names:
        return False
    try:
        with open_append(run.root / LOG) as log:
            subprocess.Popen(
                python_command("-m", __name__, str(run.root)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
            )
    except OSError as error:
        for name in names:
            _warn(run, name, error)
        return False
    return True


def settings_of(run: RunFolder) -> Mapping[str, Any]:
    """The ``[tracking]`` of its configuration; empty where there is none."""
    try:
        found = read_toml(run.config_path).get("tracking")
    except (OSError, UnicodeDecodeError, TomlError):
        return {}
    return found if isinstance(found, dict) else {}


def track(run: RunFolder) -> None:
    """Tell the others of ``run`` until it has ended. Returns at once where another process does it already."""
    settings = settings_of(run)
    with _alone(run) as mine:
        if not mine:
            return
        writers = [writer for name in wanted(settings) if (writer := _open(run, name, settings)) is not None]
        try:
            if writers:
                _follow(run, writers, images=settings.get("samples") is not False)
        finally:
            _close(writers)


def _follow(run: RunFolder, writers: list[tuple[str, Writer]], *, images: bool) -> None:
    feed = Feed(run, start=as_count(read_json(run.root / STATE).get("offset")), images=images)
    ended: float | None = None
    while writers and run.root.is_dir():
        alive = trainer_alive(run.root, read_job(run.root))  # asked before reading: last words come before the end
        for told in feed.poll():
            ended = None  # somebody writes, whether or not a keeper knows of it
            for name, writer in list(writers):
                with _or_without(run, name, writers):
                    writer.take(told)
        for name, writer in list(writers):
            with _or_without(run, name, writers):
                writer.flush()
        with contextlib.suppress(OSError):
            write_json(run.root / STATE, {"offset": feed.offset}, durable=False)
        if alive:
            ended = None
        elif feed.at_end:
            ended = ended if ended is not None else time.monotonic()
            if time.monotonic() - ended >= LINGER_SECONDS:
                return
        if feed.at_end:
            time.sleep(POLL_SECONDS)


def _open(run: RunFolder, name: str, settings: Mapping[str, Any]) -> tuple[str, Writer] | None:
    try:
        if name == "tensorboard":
            from lora_tui.trackers.tensorboard import FOLDER, EventFile, config_text

            return name, EventFile(run.root / FOLDER, config=config_text(run))
        from lora_tui.trackers.wandb_run import WandbRun

        return name, WandbRun(run, str(settings.get("wandb_project", "")))
    except Exception as error:  # a service fails in its own ways, and none of them is the run's
        _warn(run, name, error)
        return None


@contextlib.contextmanager
def _or_without(run: RunFolder, name: str, writers: list[tuple[str, Writer]]) -> Iterator[None]:
    """Go on without a tracker that fails."""
    try:
        yield
    except Exception as error:
        writers[:] = [one for one in writers if one[0] != name]
        _warn(run, name, error)


def _close(writers: list[tuple[str, Writer]]) -> None:
    import threading

    for _name, writer in writers:
        done = threading.Thread(target=_quietly, args=(writer,), daemon=True)
        done.start()
        done.join(CLOSING_SECONDS)


def _quietly(writer: Writer) -> None:
    with contextlib.suppress(Exception):
        writer.close()


def _warn(run: RunFolder, name: str, error: Exception) -> None:
    """Say it once among the run's own warnings, without the key should a library have put it into its error."""
    from lora_tui.trackers.keys import find_key
    from lora_tui.trackers.wandb_run import KEY

    message = error.message if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    remedy = error.remedy if isinstance(error, UserError) else ""
    key = find_key(KEY, "wandb") if name == "wandb" else ""
    text = plain(message.replace(key, "***") if key else message, limit=400)
    with contextlib.suppress(OSError):
        events = EventWriter(run.events_path)
        words = _("{name} gets nothing more: {reason}").format(name=name, reason=text)
        events.emit("warning", code=f"tracking.{name}", message=words, remedy=remedy)
        events.close()


@contextlib.contextmanager
def _alone(run: RunFolder) -> Iterator[bool]:
    """Whether this is the only such process of the run."""
    descriptor = os.open(run.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    track(RunFolder(Path(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)  # a thread of a library that hangs holds nobody
