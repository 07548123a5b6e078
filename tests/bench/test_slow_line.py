"""What is on a terminal is known from what was sent to it, and how old that is from when it was made."""

from __future__ import annotations

import math

from lora_tui.bench.slow_line import Shown, oldest


def test_the_step_is_read_off_what_was_painted_in_pieces() -> None:
    shown = Shown(40, 4)
    assert shown.step is None
    shown.take("\x1b[2J\x1b[2;3H\x1b[1;32mstep 20,119 of 40,000\x1b[0m")
    assert shown.step == 20_119
    shown.take("\x1b[2;12H20\x1b[3;1H⣀⣤ else\x1b]8;;")
    assert shown.step == 20_120
    shown.take("x\x07\x1b[2;1")
    shown.take("3H1\x1b[9;90Hbeyond the edge")
    assert shown.step == 20_121
    shown.take("\x1b[2J")
    assert shown.step is None


def test_what_is_seen_is_as_old_as_the_first_step_that_is_not() -> None:
    made = {1: 10.0, 2: 10.5, 3: 11.0, 4: 11.5}
    assert oldest([(10.1, 1), (10.7, 2), (13.0, 4), (14.0, 4)], made) == 2.0
    assert oldest([(9.0, None), (10.1, 1), (10.6, 2)], made) < 0.2
    assert oldest([(9.0, None), (20.0, None)], made) == math.inf
