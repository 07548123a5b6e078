"""Grids whose files are damaged, that several ask for at once, that rest: what is said, and that nothing is lost."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grid_models import Nursery, Quiet, drawn, new_grid

from lora_tui.bench.model import write_lora
from lora_tui.errors import UserError
from lora_tui.generate.ask import Request, ordered
from lora_tui.generate.form import request_of
from lora_tui.grids.ask import Wanted, asked, check_sampler, made
from lora_tui.grids.begin import go_on
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.looking import GridReader, GridsReader
from lora_tui.grids.outlook import of_cells
from lora_tui.grids.work import work
from lora_tui.jobs.lock import RunLock
from lora_tui.tasks.folder import create


@pytest.mark.parametrize("damage", [
    {"settings": {}}, {"settings": {"prompt": "a", "strength": "much"}},
    {"axes": [{"kind": "seed", "values": []}]}, {"axes": [{"kind": "of tomorrow", "values": [["a", {}]]}]},
    {"axes": [{"kind": "seed", "values": [["1", 7]]}]},
])  # fmt: skip
def test_a_damaged_grid_is_told_as_that_wherever_it_is_read(
    nursery: Nursery, tmp_path: Path, damage: dict[str, Any]
) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1,2")
    told = json.loads((folder.root / "grid.json").read_text())
    (folder.root / "grid.json").write_text(json.dumps({**told, **damage}))
    (listed,) = GridsReader().read(tmp_path)
    assert listed.error is not None and listed.error.code == "grid.damaged" and listed.error.remedy
    with pytest.raises(UserError, match="cannot be read"):
        GridReader(folder).read()


def test_an_error_of_any_kind_fails_its_cell_alone(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_tui.sampling.renderer import Renderer

    several = Renderer.several

    def upset(self: Any, requests: Any, progress: Any) -> Any:
        if requests[0].prompt.seed == 1:
            raise KeyError("a layer that is not there")
        return several(self, requests, progress)

    monkeypatch.setattr(Renderer, "several", upset)
    folder = new_grid(nursery, tmp_path, "seed=1,2")
    result, _report = drawn(folder)
    assert (result["drawn"], result["failed"]) == (1, 1)


class Watching(Quiet):
    """Notes what a viewer would read of failures while the second cell is drawn."""

    def __init__(self, folder: GridFolder) -> None:
        super().__init__()
        self.folder = folder
        self.seen: dict[int, int] = {}

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        if phase == "drawing" and detail.endswith("1/2"):
            self.seen[done] = len(self.folder.failures())


def test_failures_can_be_read_while_the_rest_is_drawn(nursery: Nursery, tmp_path: Path) -> None:
    gone = write_lora(tmp_path / "loras" / "gone.safetensors", nursery.base, 8)
    folder = new_grid(nursery, tmp_path, f"lora={gone}, one")
    gone.unlink()
    report = Watching(folder)
    work({"folder": str(folder.root)}, report)  # type: ignore[arg-type]
    assert report.seen == {1: 1}


def test_failures_stay_told_when_the_drawing_is_stopped(nursery: Nursery, tmp_path: Path) -> None:
    gone = write_lora(tmp_path / "loras" / "gone.safetensors", nursery.base, 8)
    folder = new_grid(nursery, tmp_path, f"lora={gone}, one", "seed=1")
    gone.unlink()
    result, _report = drawn(folder, most=3)
    assert not result["complete"] and len(folder.failures()) == 1
    result, _report = drawn(folder, most=0)
    assert not result["complete"] and len(folder.failures()) == 1
    write_lora(gone, nursery.base, 8)
    drawn(folder)
    assert not folder.failures()


def test_values_that_two_add_at_once_are_both_there(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1")
    first, second = (
        asked(Wanted(str(folder.root), axes=(("--x", text),))) for text in ("seed=2", "seed=3")
    )  # fmt: skip
    made(first)
    made(replace(second, grid=replace(second.grid, baseline=True)))
    grid = folder.read()
    assert [value.label for value in grid.axes[0].values] == ["1", "2", "3"] and grid.baseline


def test_sheets_of_another_shape_go_and_strangers_stay(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1", "steps=1")
    drawn(folder)
    assert (folder.root / "sheet.png").exists()
    (folder.root / "sheet of mine.png").write_bytes(b"mine")
    made(asked(Wanted(str(folder.root), axes=(("--page", "guidance=2,3"),))))
    drawn(folder)
    assert sorted(path.name for path in folder.root.glob("sheet*.png")) == [
        "sheet of mine.png", "sheet-1.png", "sheet-2.png",
    ]  # fmt: skip


class Resting(Quiet):
    """Rests for a while in the middle of a picture."""

    def should_stop(self) -> bool:
        if self.left == 1 << 30:
            self.left = 5
        self.left -= 1
        if self.left == 2:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                os.sched_yield()
        return False


def test_a_rest_is_no_time_of_drawing(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[float] = []
    monkeypatch.setattr("lora_tui.grids.drawing.note_pace", lambda _family, seconds: noted.append(seconds))
    folder = new_grid(nursery, tmp_path, "seed=1")
    begun = time.monotonic()
    work({"folder": str(folder.root)}, Resting())  # type: ignore[arg-type]
    pixels = 64 * 64 * 2 / 1e6
    assert len(noted) == 1 and noted[0] * pixels <= time.monotonic() - begun - 1.5


def test_a_grid_that_another_draws_is_told_as_a_grid(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1")
    with RunLock.acquire(folder.lock_path), pytest.raises(UserError) as caught:
        drawn(folder)
    assert "grid" in caught.value.message and "train" not in caught.value.message and caught.value.remedy


def test_going_on_draws_although_a_scoring_came_to_nothing_since(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1")
    create(folder.root, "score", "small", {"folder": str(folder.root)})
    begun: list[str] = []
    monkeypatch.setattr("lora_tui.grids.begin.ask_task", lambda task, _what: begun.append(task.name))
    monkeypatch.setattr("lora_tui.grids.begin.start_task", lambda home, kind, *_more, **_named: begun.append(kind))
    go_on(folder, tmp_path)
    assert begun == ["grid"]


def test_a_large_order_of_pictures_speaks_of_pictures(nursery: Nursery, tmp_path: Path) -> None:
    grid = new_grid(nursery, tmp_path, "seed=1,2").read()
    words = of_cells([grid.cell(place) for place in grid.places()], "sd15", "", tmp_path).size_words()
    assert "2 pictures" in words and "cell" not in words


def test_a_guidance_that_is_no_number_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        request_of({"guidance": "much"}, (), tmp_path)
    assert "whole" not in caught.value.message and caught.value.remedy


@pytest.mark.parametrize("name", ["PLMS", "DPM++ 2M Karras", "DPM2 a"])
def test_a_sampler_that_is_another_one_in_the_family_is_not_drawn_under_its_name(name: str) -> None:
    with pytest.raises(UserError) as caught:
        check_sampler(Wanted("", sampler=name), "flux")
    assert name in caught.value.message and name not in caught.value.remedy and "Euler" in caught.value.remedy
    check_sampler(Wanted("", sampler=name), "sd15")


def test_grids_and_orders_refuse_it(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_tui.grids.axes.samplers_of", lambda _family: ("euler",))
    wanted = Wanted(str(nursery.config), prompts=("a disc",), sampler="PLMS")
    for ask in (lambda: ordered(Request(wanted, seeds="1", out=tmp_path)), lambda: asked(wanted)):
        with pytest.raises(UserError, match="no sampler of its own"):
            ask()
