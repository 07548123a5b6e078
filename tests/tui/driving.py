"""Driving the app in tests: start it, wait for what it reads, see what it shows."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation
from textual.pilot import Pilot

import lora_tui.tui.app
from lora_tui.settings import Settings
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens import base

_parse_anew = Stylesheet._parse_rules
_parsed: dict[object, list[RuleSet]] = {}


def _parse_once(sheet: Stylesheet, css: str, read_from: CSSLocation, *rest: Any, **more: Any) -> list[RuleSet]:
    """What the same text with the same colours came to before.

    Each app parses every sheet several times, a fifth of what its start costs; rules do not change once they are read.
    """
    key = (css, read_from, rest, *more.items(), *sheet._variables.items())
    if key not in _parsed:
        _parsed[key] = _parse_anew(sheet, css, read_from, *rest, **more)
    return _parsed[key]


Stylesheet._parse_rules = _parse_once  # type: ignore[method-assign]


async def soon(pilot: Pilot[Any], predicate: Callable[[], object], seconds: float = 40.0) -> None:
    """Let the app run until ``predicate`` is true; fail with the screen after ``seconds``."""
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {seconds} s; the screen:\n{screen_text(pilot.app)}")
        await pilot.pause(0.01)
    await pilot.pause()


def forget_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was just done, and what is wrong, is said for a second: for tests of what is written below it."""
    monkeypatch.setattr(base, "TOLD_SECONDS", 1.0)
    monkeypatch.setattr(lora_tui.tui.app, "WARNED_SECONDS", 1.0)


def screen_text(app: App[Any]) -> str:
    """What is on the screen, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@asynccontextmanager
async def running(
    directory: Path, *, size: tuple[int, int] = (80, 24), settings: Settings | None = None, screen: str = "home"
) -> AsyncIterator[tuple[LoraTuiApp, Pilot[int | None]]]:
    """The app on a project, once it has read images, plan and runs (or found that it cannot)."""
    app = LoraTuiApp(directory, screen=screen, settings=settings)
    async with app.run_test(size=size, notifications=True) as pilot:
        await soon(pilot, lambda: settled(app))
        yield app, pilot


def settled(app: LoraTuiApp) -> bool:
    """Whether everything that is read in the background has been read."""
    work = app.workspace
    if work.project is None:
        return bool(work.trouble)
    images = work.images
    checked = images is None or images.decoded or (images.checked and not images.decodable)
    return work.scanned < 0 and checked and work.planned is not None and work.runs is not None
