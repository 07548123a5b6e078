"""What Slurm says of its jobs, asked for all of them at once and not too often, and never waited for long.

A controller that thousands use must not be asked by every look at a list. Answers are good for some seconds; a thread
of its own asks, so that a controller in trouble holds nobody up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.calls import Listed

GOOD = 10.0
"""Seconds that an answer is good for."""
FORGET = 60.0
"""Seconds after which a job that nobody looks at is not asked about any more."""
WAIT = 3.0
"""Seconds after a question is asked in which those who know nothing of their job yet wait for the answer."""

UNKNOWN = Listed("", "UNKNOWN")
"""Slurm answers and knows no such job."""

Ask = Callable[[Iterable[str], str], dict[str, Listed] | None]


@dataclass
class _Cluster:
    """What is known of the jobs of one cluster; times are those of ``time.monotonic()``.

    Attributes:
        looked: when each job was looked at.
        answers: to the last question; ``silent``: Slurm gave none.
        asked, answered: when that was.
        asking: set when the answer to the question that is asked now is there.
    """

    looked: dict[str, float] = field(default_factory=dict)
    answers: dict[str, Listed] = field(default_factory=dict)
    silent: bool = False
    asked: float = -1e9
    answered: float = -1e9
    asking: threading.Event | None = None


class Board:
    """Looks at jobs for all of a process. Safe between threads."""

    def __init__(self, ask: Ask = calls.ask, look_up: Ask = calls.look_up) -> None:
        self._ask = ask
        self._look_up = look_up
        self._guard = threading.Lock()
        self._clusters: dict[str, _Cluster] = {}

    def look(self, job: str, cluster: str = "") -> Listed | None:
        """What Slurm says of a job, some seconds old at most; :data:`UNKNOWN`, or none where it does not answer."""
        now = time.monotonic()
        with self._guard:
            known = self._clusters.setdefault(cluster, _Cluster())
            known.looked[job] = now
            if now - known.answered < GOOD and (known.silent or job in known.answers):
                return known.answers.get(job)
            if known.asking is None:
                known.asking, known.asked = threading.Event(), now
                threading.Thread(target=self._refresh, args=(cluster, known), name="slurm", daemon=True).start()
            asking, left = known.asking, known.asked + WAIT - now
            waits = left > 0 and job not in known.answers
        if waits:
            asking.wait(left)
        with self._guard:
            return known.answers.get(job)

    def forget(self, job: str, cluster: str = "") -> None:
        """Ask anew at the next look: something was done to the job."""
        with self._guard:
            known = self._clusters.get(cluster)
            if known is not None:
                known.answers.pop(job, None)
                known.silent = False

    def _refresh(self, cluster: str, known: _Cluster) -> None:
        with self._guard:
            now = time.monotonic()
            known.looked = {job: when for job, when in known.looked.items() if now - when < FORGET}
            jobs = list(known.looked)
        found = self._ask(jobs, cluster)
        lost = [job for job in jobs if found is not None and job not in found]
        past = self._look_up(lost, cluster) if lost else None
        with self._guard:
            known.silent = found is None
            known.answers = {
                job: (found or {}).get(job) or (past or {}).get(job) or UNKNOWN for job in jobs if not known.silent
            }
            known.answered = time.monotonic()
            asking, known.asking = known.asking, None
        if asking is not None:
            asking.set()


BOARD = Board()
"""That of this process."""
