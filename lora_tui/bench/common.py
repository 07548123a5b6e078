"""What measurements share: figures with the bar they are held to, paired timing, and their table.

Times vary from minute to minute on a shared machine, so two things are compared in interleaved pairs, and the
median of the ratios is given with an interval that holds it with 95% or more, whatever the distribution.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal

from lora_tui.errors import UserError
from lora_tui.text.formats import bytes_text, duration, number
from lora_tui.text.translate import _

Unit = Literal["s", "ms", "bytes", "ratio", "bytes/s", "share", "count", "number"]


@dataclass(frozen=True)
class Measure:
    """One figure.

    Attributes:
        name: what was measured, translated.
        value: the figure in ``unit`` (``share`` is a fraction of one).
        unit: how it is shown.
        bar: what it is held to; none when there is no bar.
        least: the bar is a lower one.
        low, high: interval of the value, when it has one.
        detail: how it was measured, in words.
    """

    name: str
    value: float
    unit: Unit
    bar: float | None = None
    least: bool = False
    low: float | None = None
    high: float | None = None
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bar; true without one."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.least else self.value <= self.bar

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}

    def cells(self) -> tuple[str, str, str, str]:
        """Name, value with its interval, bar and verdict, for a table."""
        value = amount(self.value, self.unit)
        if self.low is not None and self.high is not None:
            value += f" ({amount(self.low, self.unit)} - {amount(self.high, self.unit)})"
        if self.bar is None:
            return self.name, value, "", ""
        limit = _("at least {value}") if self.least else _("at most {value}")
        verdict = _("holds") if self.holds else _("MISSED")
        return self.name, value, limit.format(value=amount(self.bar, self.unit)), verdict


def amount(value: float, unit: Unit) -> str:
    """``value`` with its unit as a person reads it."""
    if not math.isfinite(value):
        return number(value)
    if unit == "s":
        return f"{value:.2f} s" if value < 60 else duration(value)
    if unit == "ms":
        return f"{value:.1f} ms"
    if unit == "bytes":
        return bytes_text(value)
    if unit == "bytes/s":
        return f"{bytes_text(value)}/s"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "number":
        return number(value)
    return f"{value:,.0f}" if unit == "count" else f"{value:.3f}x"


def home_for_torch() -> tempfile.TemporaryDirectory[str]:
    """A folder that is gone at the end, for a measurement that computes in this process; the user's own stay as they
    are, and nothing is fetched.

    Raises:
        UserError: the libraries for training are not installed.
    """
    if find_spec("torch") is None:
        raise UserError(_("torch is not installed."), remedy=_("pip install 'lora-tui[train]'"), code="missing.train")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found = tempfile.TemporaryDirectory(prefix="lora-tui-bench-")
    os.environ["LORA_TUI_HOME"] = found.name
    return found


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def tell(text: str) -> None:
    """Say on standard error what is being done, for whoever waits; the figures go to standard output."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def tell_pair(number: int, pairs: int) -> None:
    """Say which pair of measurements begins."""
    tell(_("pair {number} of {pairs}").format(number=number, pairs=pairs))


@dataclass(frozen=True)
class Pairs:
    """What two ways took that were gone in turns, each a list of seconds by the clock and of seconds that all threads
    of this process computed meanwhile."""

    ours: list[tuple[float, float]]
    theirs: list[tuple[float, float]]

    @property
    def ratios(self) -> list[float]:
        """By the clock."""
        return [own / other for (own, _own), (other, _other) in zip(self.ours, self.theirs, strict=True)]

    @property
    def processor(self) -> list[float]:
        """Of time on the processor."""
        return [own / other for (_own, own), (_other, other) in zip(self.ours, self.theirs, strict=True)]


def paired(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    pairs: int = 15,
    told: Callable[[int, int], None] = tell_pair,
) -> Pairs:
    """What ``ours`` and ``theirs`` take, measured in turns; who goes first alternates.

    ``told`` hears before each pair its number (from 1) and how many there are.
    """
    found = Pairs([], [])
    for pair in range(pairs):
        told(pair + 1, pairs)
        turns = [(ours, found.ours), (theirs, found.theirs)]
        for work, kept in reversed(turns) if pair % 2 else turns:
            computed = time.process_time()
            seconds = timed(work)
            kept.append((seconds, time.process_time() - computed))
    return found


def processor_measure(ratios: Sequence[float], *, bar: float) -> Measure:
    """The ratios of :attr:`Pairs.processor` as a figure."""
    told = _("of all threads of the process; what others do there counts less")
    return ratio_measure(_("the same in time of the processor"), ratios, bar=bar, detail=told)


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median and the order statistics around it that hold the true median with 95% or more.

    The chance that it lies outside the k-th smallest and k-th largest is twice the binomial tail
    P(X < k) with p = 1/2 (the sign test). With fewer than six values the interval is their range.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    total = len(ordered)
    outside, keep = 0.0, 0
    for k in range(total // 2):
        outside += math.comb(total, k) * 0.5**total
        if 2 * outside > 0.05:
            break
        keep = k
    return statistics.median(ordered), ordered[keep], ordered[total - 1 - keep]


def ratio_measure(name: str, ratios: Sequence[float], *, bar: float | None, detail: str = "") -> Measure:
    """The median of paired ratios as a figure with its interval."""
    median, low, high = median_interval(ratios)
    return Measure(name, median, "ratio", bar=bar, low=low, high=high, detail=detail)


def answered(name: str, times: list[float], bar: float | None = None) -> Measure:
    """The time under which 95 of 100 keys were answered, with the median."""
    ordered = sorted(times)
    slow = ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)] * 1e3
    detail = _("95 of 100 of {count} keys; the median is {median} ms, the slowest {slowest} ms")
    said = detail.format(
        count=len(ordered), median=f"{statistics.median(ordered) * 1e3:.1f}", slowest=f"{ordered[-1] * 1e3:.1f}"
    )
    return Measure(name, slow, "ms", bar=bar, detail=said)
