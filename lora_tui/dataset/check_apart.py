"""The checks of a large dataset in a process of its own, so that an app stays quick while they run.

A thread would hold the interpreter that the app draws with. The images go to the process as lines of JSON on its
standard input and the problems come back as lines of JSON: nothing is pickled, and nothing of the scan is read again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, fields
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lora_tui.config.schema import Config, as_plain
from lora_tui.dataset.buckets import Box
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.scan import DatasetImage, Problem, Scan, Stop
from lora_tui.python import python_command
from lora_tui.text.translate import language, set_language

APART_FROM = 2_000
"""Images; fewer are checked sooner than a process is started."""
LINE = 128
"""Images or problems on one line: a line is written or read in a fraction of a millisecond."""
DECODED_APART_FROM = 100
"""Images; the same where every one of them is decoded."""
POLL_SECONDS = 0.05
BEHIND = 10
"""How far the process stands back for others: the app that waits for it, and a training."""
FIELDS = fields(Problem)


def check_dataset_apart(
    scan: Scan,
    *,
    config: Config,
    purpose: str = "",
    trigger: str = "",
    decode: bool = False,
    closeups: Collection[Path] = (),
    should_stop: Stop | None = None,
) -> tuple[Problem, ...]:
    """What :func:`~lora_tui.dataset.checks.check_dataset` finds, found by another process when there is much to do.

    Once ``should_stop`` says yes, the process is ended and nothing but the scan's own problems is returned. If the
    process cannot be started or fails, the checks run here.
    """

    def here() -> tuple[Problem, ...]:
        return check_dataset(
            scan,
            config=config,
            purpose=purpose,
            trigger=trigger,
            decode=decode,
            closeups=closeups,
            should_stop=should_stop,
        )

    if len(scan.images) < (DECODED_APART_FROM if decode else APART_FROM):
        return here()
    request = {
        "config": as_plain(config),
        "purpose": purpose,
        "trigger": trigger,
        "decode": decode,
        "closeups": [str(path) for path in closeups],
        "language": language(),
    }
    try:
        with tempfile.TemporaryFile() as answer:
            if not _run(request, scan, answer, should_stop):
                return scan.problems
            answer.seek(0)
            return tuple(_problems(answer))
    except (OSError, ValueError, TypeError, subprocess.CalledProcessError):
        return here()


def _run(request: dict[str, Any], scan: Scan, answer: IO[bytes], should_stop: Stop | None) -> bool:
    """Let the process work until it has ended well; false when it was stopped.

    Raises:
        OSError: it cannot be started, or has ended early.
        subprocess.CalledProcessError: it failed.
    """
    command = python_command("-m", "lora_tui.dataset.check_apart")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=answer, stderr=subprocess.DEVNULL)
    try:
        assert process.stdin is not None
        with process.stdin as stream:
            for line in _request_lines(request, scan):
                if should_stop is not None and should_stop():
                    return False
                stream.write(line)
        while True:
            try:
                status = process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if should_stop is not None and should_stop():
                    return False
                continue
            if status:
                raise subprocess.CalledProcessError(status, command)
            return True
    finally:
        process.kill()  # one that has ended is let be
        process.wait()


def _request_lines(request: dict[str, Any], scan: Scan) -> Iterator[bytes]:
    yield _line(request)
    yield from _problem_lines(scan.problems)
    yield _line(None)
    for images in _chunks(scan.images):
        yield _line([_image_as_data(image) for image in images])


def _image_as_data(image: DatasetImage) -> tuple[object, ...]:
    facts, caption = image.facts, image.caption_path
    return (
        str(image.path),
        image.relative,
        image.dataset,
        image.repeats,
        None if caption is None else str(caption),
        facts.width,
        facts.height,
        facts.format,
        facts.alpha,
        facts.animated,
        facts.orientation,
        facts.size,
        facts.mtime_ns,
        facts.complete,
        facts.colours,
        None if image.crop is None else astuple(image.crop),
    )


def _image_of(data: list[Any]) -> DatasetImage:
    path, relative, dataset, repeats, caption, *facts, crop = data
    caption_path = None if caption is None else Path(caption)
    box = None if crop is None else Box(*crop)
    return DatasetImage(Path(path), relative, dataset, repeats, ImageFacts(*facts), caption_path, box)


def _problem_lines(problems: Iterable[Problem]) -> Iterator[bytes]:
    for some in _chunks(problems):
        yield _line([{item.name: _plain_value(getattr(problem, item.name)) for item in FIELDS} for problem in some])


def _plain_value(value: object) -> object:
    """Paths as texts; everything else of a problem is a text."""
    if isinstance(value, tuple):
        return [str(path) for path in value]
    return str(value) if isinstance(value, Path) else value


def _problem_of(data: dict[str, Any]) -> Problem:
    values: dict[str, Any] = {}
    for name, value in data.items():
        values[name] = tuple(map(Path, value)) if isinstance(value, list) else value
    return Problem(**{**values, "path": Path(data["path"])})


def _problems(lines: Iterable[bytes]) -> Iterator[Problem]:
    """The problems of each line, up to the line ``null``."""
    for line in lines:
        some = json.loads(line)
        if some is None:
            return
        yield from map(_problem_of, some)
    raise ValueError("the answer has no end")


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while some := list(islice(rest, LINE)):
        yield some


def _line(value: object) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def main() -> int:
    """The process: read what to check, check it, write what was found; ended early once nobody waits for that."""
    parent = os.getppid()
    with suppress(OSError):
        os.nice(BEHIND)
    lines = iter(sys.stdin.buffer)
    request = json.loads(next(lines))
    set_language(request["language"])
    problems = tuple(_problems(lines))
    images = tuple(_image_of(data) for line in lines for data in json.loads(line))
    config = Config.model_validate(request["config"], strict=True)
    wanted = {name: request[name] for name in ("purpose", "trigger", "decode")}
    wanted["closeups"] = frozenset(map(Path, request["closeups"]))
    found = check_dataset(Scan(images, problems), config=config, should_stop=lambda: os.getppid() != parent, **wanted)
    for line in (*_problem_lines(found), _line(None)):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
