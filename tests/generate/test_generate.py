"""Pictures into a folder: what is asked for is drawn, nothing is replaced, and an order goes on where it was."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_models import Nursery, Quiet, drawn, new_grid, picture
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lora_tui.cli.main import run
from lora_tui.config.load import load_config, save_config
from lora_tui.errors import UserError
from lora_tui.generate.ask import Order, Request, ordered
from lora_tui.generate.start import options_of
from lora_tui.generate.work import work
from lora_tui.grids.ask import Wanted
from lora_tui.project import Project


def order_of(nursery: Nursery, out: Path, *prompts: str, seeds: str = "5", **more: Any) -> Order:
    named = {name: more.pop(name) for name in ("prompt_file", "count", "picture", "name") if name in more}
    wanted = Wanted(str(nursery.config), prompts=prompts, **{"folders": (nursery.root / "loras",), **more})
    return ordered(Request(wanted, seeds=seeds, out=out, **named))


def done(options: dict[str, Any], most: int = 1 << 30) -> dict[str, Any]:
    return work(options, Quiet(most))  # type: ignore[arg-type]


def pixels(path: Path) -> Any:
    with Image.open(path) as found:
        return np.asarray(found.convert("RGB"), dtype=np.float32)


def test_prompts_flags_seeds_and_loras_are_those_of_a_grid_with_the_same_settings(
    nursery: Nursery, tmp_path: Path
) -> None:
    lines = tmp_path / "prompts.txt"
    lines.write_text("# mine\na ring --n dust --h 96 --s 3 --l 6 --d 9\n", "utf-8")
    order = order_of(nursery, tmp_path / "out", "a red disc <lora:one:0.7>", seeds="5, 6", prompt_file=lines)
    assert [cell.seed for cell in order.cells] == [5, 6, 5, 6]  # seeds that are asked for go before those of lines
    result = done(options_of(order))
    assert result["drawn"] == 4 and result["loads"] == result["planned"]
    files = [tmp_path / "out" / name for name in result["files"]]
    assert [path.name.split("-", 2)[2] for path in files] == ["0001-5.png", "0002-6.png", "0003-5.png", "0004-6.png"]
    first = new_grid(nursery, tmp_path / "a", "seed=5,6", loras=(f"{nursery.one}=0.7",), prompts=("a red disc",))
    drawn(first)
    for number in range(2):
        assert np.array_equal(pixels(files[number]), picture(first, number))
    other = new_grid(nursery, tmp_path / "b", "seed=6", negative="dust", size="64x96", steps=3, guidance=6.0,
                     prompts=("a ring",))  # fmt: skip
    drawn(other)
    assert np.array_equal(pixels(files[3]), picture(other, 0))


def test_stopped_and_resumed_it_gives_the_same_files_and_replaces_none(nursery: Nursery, tmp_path: Path) -> None:
    whole = options_of(order_of(nursery, tmp_path / "whole", "a", "b", seeds="1-2", name="p"))
    done(whole)
    options = options_of(order_of(nursery, tmp_path / "stopped", "a", "b", seeds="1-2", name="p"))
    stranger = tmp_path / "stopped" / "p-0003-1.png"
    stranger.write_bytes(b"mine")
    (tmp_path / "stopped" / ".p-0001-1.png.p.12345678.lora-tui").write_bytes(b"half")
    assert not done(options, most=5)["complete"]
    result = done(options)
    assert result["complete"] and result["kept"] > 0 and result["kept"] + result["drawn"] == 4
    assert stranger.read_bytes() == b"mine"
    assert result["files"] == ["p-0001-1.png", "p-0002-2.png", "p-0003-1-2.png", "p-0004-2.png"]
    for ours, theirs in zip(result["files"], sorted(path.name for path in (tmp_path / "whole").glob("*.png")),
                            strict=True):  # fmt: skip
        assert (tmp_path / "stopped" / ours).read_bytes() == (tmp_path / "whole" / theirs).read_bytes()
    again = done(options)
    assert again["drawn"] == 0 and again["files"] == result["files"]


def test_two_orders_never_have_one_name(nursery: Nursery, tmp_path: Path) -> None:
    orders = [options_of(order_of(nursery, tmp_path, "a", name="same")) for _twice in range(2)]
    assert [one["pictures"][0]["file"] for one in orders] == ["same-0001-5.png", "same-2-0001-5.png"]
    unnamed = {options_of(order_of(nursery, tmp_path, "a"))["start"] for _many in range(4)}
    assert len(unnamed) == 4


def test_a_picture_gives_its_settings(nursery: Nursery, tmp_path: Path) -> None:
    order = order_of(nursery, tmp_path, "a (ring:1.2), large", loras=(f"{nursery.one}=0.7,0.5", f"{nursery.two}=-0.2"),
                     negative="blur", sampler="Heun", schedule="SGM Uniform", size="64x96", clip_skip=2)  # fmt: skip
    path = tmp_path / done(options_of(order))["files"][0]
    again = order_of(nursery, tmp_path, seeds="", picture=path)
    assert again.cells == order.cells and not again.notes
    other = order_of(nursery, tmp_path, seeds="7", picture=path, sampler="Euler", loras=("none",))
    assert other.cells == (replace(order.cells[0], seed=7, sampler="euler", loras=()),)
    for number, name in enumerate(("20260101-old", "20260102-new")):  # a grid's LoRA files are those of runs
        files = tmp_path / "runs" / name / "checkpoints"
        files.mkdir(parents=True)
        (files.parent / "config.toml").write_text("")
        shutil.copy((nursery.one, nursery.two)[number], files / nursery.one.name)
        shutil.copy(nursery.two, files)
    of_runs = ordered(Request(Wanted(str(nursery.base), here=tmp_path), picture=path, out=tmp_path))
    assert [one.path for one in of_runs.cells[0].loras] == [files / name.name for name in (nursery.one, nursery.two)]
    with Image.open(path) as found:
        text = found.info["parameters"]
        bare = PngInfo()
        bare.add_text("parameters", f"{text}, Hires upscale: 2")
        found.save(tmp_path / "theirs.png", pnginfo=bare)
    theirs = order_of(nursery, tmp_path, seeds="", picture=tmp_path / "theirs.png")
    assert theirs.cells == order.cells


def test_texts_of_other_programs_are_read() -> None:
    from lora_tui.generate.read import told_by

    told = told_by(
        "a cat,\n<lora:x:0.8:1.2:lbw=MIDD>, hat\nNegative prompt: blurry,\nlow quality\nSteps: 28, Sampler: DPM++ 2M, "
        'Schedule type: Karras, CFG scale: 5.5, Seed: 12, Size: 512x768, Model hash: abc, Model: "a, b", '
        "Clip skip: 2, Version: v1.10"
    )
    assert told is not None
    assert told.prompt == "a cat,\n, hat <lora:x:0.8:1.2:lbw=MIDD>" and told.negative == "blurry,\nlow quality"
    assert (told.settings["sampler"], told.settings["spacing"]) == ("dpmpp_2m", "karras") and told.base == "a, b"
    numbers = {"steps": 28, "guidance": 5.5, "seed": 12, "width": 512, "height": 768, "clip_skip": 2}
    assert {name: told.settings[name] for name in numbers} == numbers
    assert told_by("a cat") is None and told_by("") is None


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"prompts": ("a --q 3 --w 64",)}, "samples.flags"),
        ({"prompts": ("a --w 63",)}, "grid.size"),
        ({"prompts": ("a <lora:nowhere:1>",)}, "lora.missing"),
        ({"prompts": ("a",), "sampler": "fast"}, "grid.sampler"),
        ({"prompts": ("a",), "seeds": "x"}, "grid.value"),
        ({"prompts": ("a",), "seeds": "1-9999", "count": 9}, "generate.too_many"),
        ({"prompts": ("a",), "count": 0}, "generate.count"),
        ({"prompts": ("a",), "picture": Path("/nowhere.png")}, "generate.picture"),
        ({"prompts": ("a",), "prompt_file": Path("/nowhere.txt")}, "samples.unreadable"),
        ({"prompts": ("a",), "vae": "/nowhere"}, "grid.vae"),
        ({"prompts": ("a",), "clip_skip": 99}, "grid.value"),
        ({"prompts": ("a",), "steps": 0}, "grid.value"),
        ({"prompts": ("a",), "sampler": "DDIM", "schedule": "Karras"}, "grid.schedule"),
        ({"prompts": ("a",), "changes": ("model.base=/nowhere",)}, "model.not_found"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(
    nursery: Nursery, tmp_path: Path, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        order_of(nursery, tmp_path / "out", *more.pop("prompts"), **more)
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()


def test_without_a_prompt_those_of_the_samples_are_drawn(nursery: Nursery, tmp_path: Path) -> None:
    assert [cell.prompt for cell in order_of(nursery, tmp_path).cells] == ["a red disc"]


def test_a_bare_model_is_enough(nursery: Nursery, tmp_path: Path) -> None:
    order = ordered(Request(Wanted(str(nursery.base), here=tmp_path, prompts=("a",), size="64", steps=1), seeds="-1"))
    assert order.cells[0].base == str(nursery.base) and order.cells[0].clip_skip == 1
    assert order.folder == tmp_path / "generated" and order.config.model.family == "sd15"


def test_a_picture_that_fails_says_why_and_the_others_are_drawn(nursery: Nursery, tmp_path: Path) -> None:
    gone = tmp_path / "gone.safetensors"
    shutil.copy(nursery.one, gone)
    order = order_of(nursery, tmp_path / "out", "a", "a <lora:gone:1>", folders=(tmp_path,), seeds="1")
    gone.unlink()
    result = done(options_of(order))
    assert (result["drawn"], result["failed"]) == (1, 1)
    assert "gone" in json.dumps(result["failures"])


def test_the_command_alone_draws_nothing_and_says_what_it_needs(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project.create(tmp_path / "own")
    save_config(load_config(nursery.config), project.configs / "own.toml")
    monkeypatch.chdir(project.root)
    assert run(["generate"]) == 2
    assert run(["generate", "--count", "4"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "--prompt" in said[0]
    assert not (project.root / "generated").exists()
    assert run(["generate", "--dry-run"]) == 0
    assert "generated" in capsys.readouterr().out
