"""A step of ours against any program's, started by its command line.

The command is run twice a pair, for few steps and for more, and the difference is divided by the steps between: what a
program takes to start is no part of a step.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lora_tui.bench.common import timed
from lora_tui.errors import UserError
from lora_tui.text import plain
from lora_tui.text.translate import _

PLACE = "--peer"
STEPS = "{steps}"


def words_of(command: str, known: Mapping[str, str]) -> list[str]:
    """The command's words, with ``{model}`` and ``{images}`` in them put in; ``{steps}`` stays.

    Raises:
        UserError: it does not say where its number of steps goes, or its quotes do not close.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(str(error), place=PLACE, code="bench.peer") from None
    if not any(STEPS in word for word in words):
        raise UserError(
            _("the command does not say how many steps it takes."),
            place=PLACE,
            remedy=_("Write {steps} where the number of steps goes.").replace("{steps}", STEPS),
            code="bench.peer",
        )
    for name, value in known.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    return words


def compare_with(
    words: Sequence[str],
    own: Callable[[int], object],
    pairs: int,
    steps: int,
    folder: Path,
    told: Callable[[int, int], None],
) -> tuple[list[float], list[float]]:
    """Ratios of a step of ``own`` to one of the command, in turns, and the seconds of the command's.

    Raises:
        UserError: the command fails, or takes no longer for more steps.
    """
    ratios, seconds = [], []

    def theirs() -> float:
        few, many = (timed(lambda count=count: _run(words, count, folder)) for count in (steps, 3 * steps))  # type: ignore[misc]
        if many <= few:
            raise UserError(
                _("three times the steps took no longer."),
                place=PLACE,
                remedy=_("Take more --steps."),
                code="bench.peer",
            )
        return (many - few) / (2 * steps)

    def ours() -> float:
        return timed(lambda: own(steps)) / steps

    for pair in range(pairs):
        told(pair + 1, pairs)
        if pair % 2:
            other, one = theirs(), ours()
        else:
            one, other = ours(), theirs()
        ratios.append(one / other)
        seconds.append(other)
    return ratios, seconds


def _run(words: Sequence[str], steps: int, folder: Path) -> None:
    command = [word.replace(STEPS, str(steps)) for word in words]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise UserError(f"{plain(command[0])}: {error.strerror}", place=PLACE, code="bench.peer") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()
        text = _("the command ended with {status}: {last}")
        said = plain(last[-1], limit=200) if last else ""
        raise UserError(text.format(status=done.returncode, last=said), place=PLACE, code="bench.peer")
