"""The checks of a large dataset in a process of its own, so that an app stays quick while they run.

A thread would hold the interpreter that the app draws with. The images go to the process as lines of JSON on its
standard input and the problems come back as lines of JSON: nothing is pickled, and nothing of the scan is read again.

When an image takes the process down, others look at one image after the other until it is found; it is named, and the
rest is checked without it. What killed one process is never tried within the app.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import astuple, fields, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lora_tui.background import courteous, uncollected
from lora_tui.config.schema import Config, as_plain
from lora_tui.dataset.buckets import Box
from lora_tui.dataset.checks import check_dataset, order
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.fingerprints import FingerprintStore
from lora_tui.dataset.pixel_checks import check_pixels
from lora_tui.dataset.scan import DatasetImage, Problem, Scan, Stop
from lora_tui.dataset.set_checks import Told
from lora_tui.dataset.verdicts import crashed
from lora_tui.python import python_command
from lora_tui.text import _
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
MOST_SUSPECTS = 64
"""Images that are looked at one by one after a death: it was over one of the first that nobody has decoded yet."""
MOST_DEATHS = 32
"""Images that may take a process down in one check."""


def check_dataset_apart(
    scan: Scan,
    *,
    config: Config,
    purpose: str = "",
    trigger: str = "",
    decode: bool = False,
    closeups: Collection[Path] = (),
    told: Told | None = None,
    should_stop: Stop | None = None,
    turn: AbstractContextManager[object] | None = None,
) -> tuple[Problem, ...]:
    """What :func:`~lora_tui.dataset.checks.check_dataset` finds, found by another process when there is much to do.

    Once ``should_stop`` says yes, the process is ended and nothing but the scan's own problems is returned. If the
    process cannot be started or fails, the checks run here, unless a signal has ended it.

    Args:
        turn: is entered wherever this process computes; not while it waits for the other one.
    """

    def here() -> tuple[Problem, ...]:
        return check_dataset(
            scan,
            config=config,
            purpose=purpose,
            trigger=trigger,
            decode=decode,
            closeups=closeups,
            told=told,
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
        "told": [(str(path), list(tags)) for path, tags in (told or {}).items()],
        "language": language(),
    }
    try:
        return _with_crashes(request, scan, should_stop, turn or nullcontext())
    except (OSError, ValueError, TypeError, subprocess.CalledProcessError):
        return here()


def _with_crashes(
    request: dict[str, Any], scan: Scan, should_stop: Stop | None, turn: AbstractContextManager[object]
) -> tuple[Problem, ...]:
    """The problems that processes find, those of images included over which one died.

    Raises:
        OSError, ValueError, TypeError, subprocess.CalledProcessError: a process cannot be started, or fails by itself.
    """
    left, bad, riddles = scan, list[Problem](), 0
    while True:
        try:
            with tempfile.TemporaryFile() as answer:
                if not _run(request, left, answer, should_stop, turn):
                    return scan.problems
                answer.seek(0)
                with turn, uncollected():
                    return tuple(sorted([*_problems(answer), *bad], key=order))
        except subprocess.CalledProcessError as error:
            if error.returncode >= 0:
                raise
            found = _culprits(request, left.images, should_stop, MOST_DEATHS - len(bad)) if request["decode"] else []
            riddles += not found
            if riddles > 1 or len(bad) + len(found) >= MOST_DEATHS or (not found and not request["decode"]):
                return tuple(sorted([*scan.problems, *bad, *found, _died(scan, error.returncode)], key=order))
        bad += found
        paths = {problem.path for problem in bad}
        left = replace(left, images=tuple(image for image in left.images if image.path not in paths))


def _culprits(
    request: dict[str, Any], images: Sequence[DatasetImage], should_stop: Stop | None, most: int
) -> list[Problem]:
    """The images over which a process dies, of the next that were not decoded yet."""
    with FingerprintStore() as store:
        known = store.get_many(images)
    rest = [image for image, cells in zip(images, known, strict=True) if cells is None][:MOST_SUSPECTS]
    found: list[Problem] = []
    while rest and len(found) < most:
        with tempfile.TemporaryFile() as answer:
            try:
                _run({**request, "alone": True}, Scan(tuple(rest), ()), answer, should_stop, nullcontext())
                return found
            except subprocess.CalledProcessError as error:
                answer.seek(0)
                done = sum(1 for _line in answer) - 1
                if error.returncode >= 0 or done < 0:
                    return found
                reason = crashed(rest[done].path, error.returncode)
        found.append(Problem(rest[done].path, reason.code, reason.message, reason.remedy))
        rest = rest[done + 1 :]
    return found


def _died(scan: Scan, status: int) -> Problem:
    """That the checks have come to no end."""
    message = _("The process that checked the images died (status {status}).").format(status=status)
    return Problem(scan.images[0].path.parent, "check.died", message, _("Free some memory, and check again."))


def _run(
    request: dict[str, Any],
    scan: Scan,
    answer: IO[bytes],
    should_stop: Stop | None,
    turn: AbstractContextManager[object],
) -> bool:
    """Let the process work until it has ended well; false when it was stopped.

    It starts up while the request is written, which goes to a file first: the process reads more slowly than that, and
    the turn is not to be kept for so long.

    Raises:
        OSError: it cannot be started, or has ended early.
        subprocess.CalledProcessError: it failed.
    """
    command = python_command("-m", "lora_tui.dataset.check_apart")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=answer, stderr=subprocess.DEVNULL)
    try:
        assert process.stdin is not None
        with process.stdin as stream, tempfile.TemporaryFile() as asked:
            with turn:
                for line in _request_lines(request, scan):
                    if should_stop is not None and should_stop():
                        return False
                    asked.write(line)
            asked.seek(0)
            shutil.copyfileobj(asked, stream)
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
    for images in _chunks(courteous(scan.images)):
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
    if request.get("alone"):
        for image in images:
            sys.stdout.buffer.write(_line(None))  # as many lines as images that were begun
            sys.stdout.buffer.flush()
            list(check_pixels([image]))
        return 0
    config = Config.model_validate(request["config"], strict=True)
    wanted = {name: request[name] for name in ("purpose", "trigger", "decode")}
    wanted["closeups"] = frozenset(map(Path, request["closeups"]))
    wanted["told"] = {Path(path): tags for path, tags in request["told"]}
    found = check_dataset(Scan(images, problems), config=config, should_stop=lambda: os.getppid() != parent, **wanted)
    for line in (*_problem_lines(found), _line(None)):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
