"""``train`` under a launcher of several processes, such as ``accelerate launch``: one run that all of them share.

The first process starts the run as ever, and is watched here; the others become what its trainer lets in. The run
belongs to the launcher: where that is asked to end, the run is asked to stop, which saves it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.jobs.launcher import Launched
    from lora_tui.runs.folder import RunFolder

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def place_of(*, detach: bool) -> Launched | None:
    """This process among those of a launcher, if one started several; one that is not the first does not come back.

    Raises:
        UserError: the launcher's environment is wrong.
        Usage: it is to go on without the launcher.
    """
    from lora_tui.cli.main import Usage
    from lora_tui.jobs.launcher import launched

    place = launched()
    if place is not None and detach:
        raise Usage(_("A run that a launcher shares ends with it: leave --detach out."), command="train")
    if place is not None and place.number > 0:
        _follow_first()
    return place


def command() -> list[str]:
    """The trainer's command line under a launcher, without the run folder."""
    from lora_tui.jobs.keeper import trainer_command

    return [*trainer_command(), "--launched"]


def require_at_rest(run: RunFolder) -> None:
    """Whether nobody trains the run: the processes of a launcher cannot join one that goes on.

    Raises:
        UserError: ``run.locked``.
    """
    from lora_tui.errors import UserError
    from lora_tui.runs.choose import shell_name
    from lora_tui.runs.status import inspect, state_word

    status = inspect(run)
    if status.alive:
        raise UserError(
            _("It is running: {state}.").format(state=state_word(status.state)),
            place=run.name,
            remedy=_("Stop it first: lora-tui runs stop {run}").format(run=shell_name(run)),
            code="run.locked",
        )


@contextlib.contextmanager
def stopping(run: RunFolder) -> Iterator[None]:
    """Hand the launcher's wish to end on to the run, as a stop that saves."""
    from lora_tui.jobs.control import request

    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            with contextlib.suppress(OSError):
                request(run.root, "stop")

    before = {number: signal.signal(number, ask) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow_first() -> NoReturn:
    """Become a process of the run that the first one starts."""
    from lora_tui.jobs.job import environment
    from lora_tui.python import python_command

    sys.stdout.flush()
    os.execve(sys.executable, python_command("-m", "lora_tui.trainer.follower", "--launched"), environment())
