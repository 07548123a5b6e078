"""Drawing a grid: it goes on where it was, grows without drawing again, says why a cell failed, and loads the least."""

from __future__ import annotations

import json
import os
import random
import signal
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_models import Nursery, Quiet, drawn, new_grid, picture
from PIL import Image
from support import until

from lora_tui.bench.model import write_lora
from lora_tui.errors import UserError
from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.work import work
from lora_tui.jobs.lock import RunLock, holder
from lora_tui.tasks.start import resume_task, start_task
from lora_tui.tasks.status import task_status


def pictures_of(folder: GridFolder) -> dict[str, bytes]:
    """Every picture, byte for byte."""
    return {path.name: path.read_bytes() for path in folder.cells.iterdir()}


def test_loads_and_encodings_are_those_of_the_plan(nursery: Nursery, tmp_path: Path) -> None:
    """Files with and without a text encoder, two of them at once, prompts: each is loaded once."""
    folder = new_grid(
        nursery, tmp_path, "strength=0,0.5,1", "lora=one, plain", "lora2=none,two", "prompt=a disc, a ring"
    )
    result, report = drawn(folder)
    assert result["loads"] == result["planned"]
    # texts: the base's, one's at two strengths, with and without two's, each of three texts; plain's are the base's
    assert result["planned"] == {"bases": 1, "loras": 3, "vaes": 0, "texts": 3 * (1 + 2 + 1 + 2)}
    assert result["complete"] and not report.warnings
    assert result["drawn"] == result["pictures"] == len(list(folder.cells.iterdir())) < result["cells"]


def test_stopped_and_killed_and_resumed_it_gives_the_same_files(nursery: Nursery, tmp_path: Path) -> None:
    axes = ("strength=0,0.6,1", "lora=one,two", "seed=1,2")
    whole = new_grid(nursery, tmp_path / "whole", *axes)
    drawn(whole)
    folder = new_grid(nursery, tmp_path / "killed", *axes)
    chance = random.Random(3)
    for _life in range(4):
        drawn(folder, most=chance.randint(1, 9))
    result, _report = drawn(folder)
    assert result["complete"] and result["kept"] > 0
    assert pictures_of(folder) == pictures_of(whole)
    assert (folder.root / "sheet-1.png").read_bytes() == (whole.root / "sheet-1.png").read_bytes()
    again, _report = drawn(folder)
    assert again["drawn"] == 0 and again["loads"]["bases"] == 0


def test_a_process_of_its_own_is_killed_and_goes_on(nursery: Nursery, tmp_path: Path) -> None:
    axes = ("seed=1-6", "strength=0.5,1")
    more: dict[str, Any] = {"loras": (str(nursery.one),)}
    whole = new_grid(nursery, tmp_path / "whole", *axes, **more)
    drawn(whole)
    folder = new_grid(nursery, tmp_path / "killed", *axes, **more)
    task = start_task(folder.root, "grid", "small", {"folder": str(folder.root)})
    until(lambda: len(folder.there()) >= 2, 120)
    os.kill(_holder(task.root / "lock"), signal.SIGKILL)
    until(lambda: not task.alive(), 60)
    assert task_status(task).state == "died"
    resume_task(task)
    until(lambda: task_status(task).state == "finished", 120)
    assert pictures_of(folder) == pictures_of(whole)
    assert not [path for path in folder.cells.iterdir() if path.suffix != ".png"]


def _holder(lock: Path) -> int:
    found = holder(lock)
    assert found
    return found


def test_it_grows_by_new_values_and_draws_only_those(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "strength=0,1", "lora=one")
    drawn(folder)
    before = {path.name: path.stat().st_mtime_ns for path in folder.cells.iterdir()}
    made(asked(Wanted(str(folder.root), axes=(("--x", "strength=0.5"), ("--y", "lora=two")))))
    result, _report = drawn(folder)
    assert [value.label for value in folder.read().axes[0].values] == ["0", "0.5", "1"]
    assert (result["kept"], result["drawn"]) == (2, 3)
    after = {path.name: path.stat().st_mtime_ns for path in folder.cells.iterdir()}
    assert {name: after[name] for name in before} == before


def test_a_cell_that_fails_says_why_and_the_others_are_drawn(nursery: Nursery, tmp_path: Path) -> None:
    """One LoRA file vanishes, one turns into that of another model, after the grid was asked for."""
    for name, seed in (("gone", 8), ("strange", 9)):
        write_lora(tmp_path / "loras" / f"{name}.safetensors", nursery.base, seed)
    names = ",".join(str(path) for path in (*sorted((tmp_path / "loras").iterdir()), nursery.one))
    folder = new_grid(nursery, tmp_path, f"lora={names}")
    (tmp_path / "loras" / "gone.safetensors").unlink()
    _turn_strange(tmp_path / "loras" / "strange.safetensors")
    result, report = drawn(folder)
    assert (result["drawn"], result["failed"]) == (1, 2)
    assert len(report.warnings) == 2 and picture(folder, 2).std() > 0
    told = json.loads((folder.root / "cells.json").read_text())
    assert [one["state"] for one in told["cells"]] == ["failed", "failed", "drawn"]
    assert "gone.safetensors" in told["cells"][0]["why"] and "fit none" in told["cells"][1]["why"]
    write_lora(tmp_path / "loras" / "gone.safetensors", nursery.base, 8)
    write_lora(tmp_path / "loras" / "strange.safetensors", nursery.base, 9)
    result, _report = drawn(folder)
    assert (result["drawn"], result["failed"]) == (2, 0)


def _turn_strange(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name.replace("down_blocks", "far_blocks"): tensor for name, tensor in load_file(path).items()}, path)


def test_out_of_memory_fewer_at_once_then_it_says_so(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lora_tui.sampling.painter import Painter
    from lora_tui.sampling.renderer import Renderer

    several, spare = Renderer.several, Painter.spare
    taken: list[weakref.ref[Any]] = []
    freed: list[bool] = []

    def scarce(self: Any, requests: Any, progress: Any) -> Any:
        if len(requests) > 1 or requests[0].prompt.width > 64:
            latents = torch.zeros(1)
            taken.append(weakref.ref(latents))
            raise torch.OutOfMemoryError("no room")
        return several(self, requests, progress)

    def seen(self: Painter) -> None:
        freed.append(all(one() is None for one in taken))
        spare(self)

    monkeypatch.setattr(Renderer, "several", scarce)
    monkeypatch.setattr(Painter, "spare", seen)
    folder = new_grid(nursery, tmp_path, "seed=1,2,3", "size=64x64,128x128")
    result = work({"folder": str(folder.root), "batch": 3}, Quiet())  # type: ignore[arg-type]
    assert (result["drawn"], result["failed"]) == (3, 3)
    assert "memory" in next(iter(folder.failures().values()))["message"]
    assert len(freed) > 5 and all(freed), "what a try held is gone before the next one, which needs it"


def test_pictures_tell_their_settings(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "sampler=DPM++ 2M Karras", negative="blur", loras=(f"{nursery.one}=0.7,0.5",))
    drawn(folder)
    with Image.open(next(folder.cells.iterdir())) as found:
        text, own = found.info["parameters"], json.loads(found.info["lora-tui"])
    assert text == (
        "a red disc <lora:one:0.5:0.7>\nNegative prompt: blur\nSteps: 2, Sampler: DPM++ 2M Karras, CFG scale: 3, "
        "Seed: 5, Size: 64x64, Model: base, Clip skip: 1"
    )
    assert own["cell"]["loras"][0] == {"file": "one.safetensors", "strength": 0.7, "text": 0.5, "blocks": ""}
    assert str(tmp_path) not in json.dumps(own)


def test_two_at_once_do_not_draw_one_grid(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1")
    with RunLock.acquire(folder.lock_path), pytest.raises(UserError) as caught:
        drawn(folder)
    assert caught.value.code == "run.locked"


def test_sheets_have_every_cell_and_the_page_works_from_disk(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "seed=1,2", "steps=1,2", "prompt=a </script><b>, 一只猫")
    drawn(folder)
    sheets = sorted(path.name for path in folder.root.glob("sheet*.png"))
    assert sheets == ["sheet-1.png", "sheet-2.png"]
    with Image.open(folder.root / "sheet-1.png") as sheet:
        found = np.asarray(sheet.convert("RGB"), dtype=np.float32)
    for column in range(2):
        for row in range(2):
            cell = picture(folder, column, row)
            top, left = found.shape[0] - (2 - row) * 68, found.shape[1] - (2 - column) * 68
            assert np.array_equal(found[top : top + 64, left : left + 64], cell)
    page = (folder.root / "index.html").read_text()
    data = page.partition('id="data">')[2].partition("</script>")[0]
    told = json.loads(data)
    assert len(told["cells"]) == 8 and all((folder.root / one["file"]).is_file() for one in told["cells"])
    assert "http" not in page.replace("http-equiv", "")
    csv = (folder.root / "cells.csv").read_text(encoding="utf-8-sig")
    assert csv.count("\n") == 9 and "一只猫" in csv
