"""The processes that make images: whatever becomes of one, a preparation ends and can be stopped."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support import until

from lora_tui.dataset.prepare import crew
from lora_tui.dataset.prepare.carry import Progress, carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import Plan, make_plan
from lora_tui.errors import UserError

from .conftest import hashes

MakeImage = Callable[..., Path]


@pytest.fixture
def plan(tmp_path: Path, make_image: MakeImage) -> Plan:
    for number in range(5):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    return make_plan(tmp_path / "src", Options(size=128))


BEFORE: set[int] = set()
"""Processes that other tests have left to serve again."""


@pytest.fixture(autouse=True)
def others() -> None:
    BEFORE.clear()
    BEFORE.update(child.pid for child in psutil.Process().children())


def own_children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.pid not in BEFORE]


def hang(now: Progress) -> bool:
    """Hold up the process that makes images, as a decoder does that finds no end; once, after the first image."""
    if now.fresh != 1:
        return False
    (child,) = own_children()
    child.suspend()
    return True


def test_a_decoder_that_hangs_can_be_stopped(tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(crew, "END_SECONDS", 0.2)
    stop = threading.Event()

    def tell(now: Progress) -> None:
        if hang(now):
            stop.set()

    begun = time.monotonic()
    outcome = carry_out(plan, tmp_path / "dst", workers=1, on_progress=tell, should_stop=stop.is_set)
    assert time.monotonic() - begun < 8
    assert (outcome.complete, outcome.failed) == (False, ())
    until(lambda: not [one for one in own_children() if one.status() != psutil.STATUS_ZOMBIE])
    assert carry_out(plan, tmp_path / "dst", workers=1).complete
    assert len(hashes(tmp_path / "dst")) == 5


def test_a_decoder_that_hangs_costs_one_image(tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "IMAGE_SECONDS", 2.0)
    monkeypatch.setattr(crew, "PIECE_SECONDS", 0.0)
    outcome = carry_out(plan, tmp_path / "dst", workers=1, on_progress=hang)
    assert outcome.complete
    assert [problem.code for problem in outcome.failed] == ["image.late"]
    assert len(hashes(tmp_path / "dst")) >= 4  # the late one may have been written before its maker was held up


def test_a_thread_that_fails_at_once_ends_the_preparation(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when there are no descriptors left, or no folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(UserError) as raised:
        carry_out(plan, tmp_path / "dst", workers=2)
    assert raised.value.code == "prepare.start"
