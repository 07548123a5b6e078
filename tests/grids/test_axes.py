"""What people write for axes: read as they mean it, or refused with its place before anything is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from grid_models import Nursery, new_grid
from run_builders import add_lines, event_line, make_run

from lora_tui.config.load import load_config
from lora_tui.config.write import save_config
from lora_tui.errors import UserError
from lora_tui.grids.ask import Wanted, asked
from lora_tui.grids.axes import Ground, read_axis
from lora_tui.grids.cell import Cell
from lora_tui.grids.files import RunFile
from lora_tui.grids.grid import replace_all
from lora_tui.grids.outlook import lines, outlook
from lora_tui.grids.plan import ordered, together

FILES = tuple(RunFile(Path(f"/run/a-{step:06d}.safetensors"), step, step // 100) for step in (100, 200, 300, 400, 500))


def labels(text: str, **more: Any) -> list[str]:
    ground = Ground("sd15", checkpoints=FILES, prompts=("red, a red disc",), **more)
    return [value.label for value in read_axis(text, ground, "--x").values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("strength=0-1 [6]", "0 0.2 0.4 0.6 0.8 1"),
        ("strength = 0-1 (+0.3)", "0 0.3 0.6 0.9"),
        ("weight=0.1-0.5 (+0.1)", "0.1 0.2 0.3 0.4 0.5"),
        ("steps=10-1 (-2)", "10 8 6 4 2"),
        ("seed=1, 2, 2, 5-7", "1 2 5 6 7"),
        ("strength=-0.5, 1.5", "-0.5 1.5"),
        ("size=64, 512x768", "64x64 512x768"),
        ("checkpoint=all", "100 200 300 400 500"),
        ("checkpoint=last", "500"),
        ("checkpoint=epoch 2-3", "200 300"),
        ("checkpoint=100-500 [3]", "100 300 500"),
        ("checkpoint=200, a-000400", "200 400"),
        ("sampler=euler_a, DPM++ 2M Karras", "Euler a|DPM++ 2M Karras"),
        ("scheduler=karras, SGM uniform", "Karras|SGM Uniform"),
        ('prompt="a, b", c', "a, b|c"),
        ('sr="red", blue, "green, large"', "red|blue|green, large"),
        ("lbw=ALL; 1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0; IN01-M00=0.5", None),
    ],
)
def test_values(text: str, expected: str | None) -> None:
    found = labels(text)
    if expected is None:
        assert len(found) == 3
    else:
        assert found == expected.split("|" if "|" in expected else " ")


def test_values_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("# mine\na cat, 一只猫\n\nb\n", encoding="utf-8-sig")
    assert labels(f"prompt=@{tmp_path / 'prompts.txt'}") == ["a cat, 一只猫", "b"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("strength=", "grid.empty"),
        ("nothing=1", "grid.axis"),
        ("strength", "grid.axis"),
        ("strength=0-1 (-0.2)", "grid.value"),
        ("strength=much", "grid.value"),
        ("strength=11", "grid.value"),
        ("seed=0-99999999", "grid.too_many"),
        ("steps=1.5", "grid.value"),
        ("sampler=fast", "grid.sampler"),
        ("schedule=fast", "grid.schedule"),
        ("checkpoint=7", "grid.checkpoint"),
        ("lora=nowhere", "lora.missing"),
        ("base=/nowhere/model", "grid.base"),
        ("vae=/nowhere/vae", "grid.vae"),
        ("prompt=@/nowhere.txt", "grid.file"),
        ("sr=yellow, red", "grid.value"),
        ("blocks=1,2,3", "lora.blocks"),
        ('blocks="1,2,3"', "lora.blocks"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, code: str) -> None:
    with pytest.raises(UserError) as caught:
        labels(text)
    assert caught.value.code == code
    assert caught.value.place.startswith("--x") and (caught.value.remedy or "\n" not in caught.value.message)


def test_replacements_happen_at_once() -> None:
    """Neither order of two axes may change what comes of them."""
    swapped = {"cat": "dog", "dog": "cat"}
    assert replace_all("a cat and a dog", swapped) == "a dog and a cat"
    assert replace_all("a cat and a dog", dict(reversed(swapped.items()))) == "a dog and a cat"
    assert replace_all("ab a", {"a": "x", "ab": "y"}) == "y x"


def test_a_lora_of_another_family_is_refused(nursery: Nursery, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "flux.safetensors"
    name = "transformer.single_transformer_blocks.0.attn.to_q"
    save_file({f"{name}.lora_A.weight": torch.zeros(2, 8), f"{name}.lora_B.weight": torch.zeros(8, 2)}, path)
    with pytest.raises(UserError) as caught:
        new_grid(nursery, tmp_path, f"lora={path}")
    assert caught.value.code == "lora.family" and not (tmp_path / "grids").exists()


@pytest.mark.parametrize(
    ("axes", "code"),
    [
        (("strength=0,1", "strength=2"), "grid.twice"),
        (("strength=0,1",), "grid.no_lora"),
        (("size=65x64",), "grid.size"),
        (("sampler=Euler, DDIM", "schedule=Automatic, Karras"), "grid.schedule"),
        (("checkpoint=all",), "grid.checkpoint"),
        (("prompt=<lora:nowhere:1>, x",), "lora.missing"),
    ],
)
def test_a_grid_that_cannot_be_drawn_is_refused(
    nursery: Nursery, tmp_path: Path, axes: tuple[str, ...], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        new_grid(nursery, tmp_path, *axes)
    assert caught.value.code == code


def test_a_million_cells_are_told_at_once_and_asked_for(nursery: Nursery) -> None:
    seen = outlook(
        asked(
            Wanted(
                str(nursery.config), axes=(("--x", "seed=1-1000"), ("--y", "steps=1-1000"), ("--z", "cfg=1,2")),
            )
        )
    )  # fmt: skip
    assert seen.cells == 2_000_000 and seen.large
    assert "2,000,000" in lines(seen)[0] and "2,000,000" in seen.size_words()


def test_the_dearest_changes_seldomest() -> None:
    cells = [Cell(base=base, prompt=prompt, seed=seed) for seed in (1, 2) for prompt in "ab" for base in ("x", "y")]
    found = ordered(cells)
    assert sorted(map(repr, found)) == sorted(map(repr, cells))
    assert [cell.base for cell in found] == ["x"] * 4 + ["y"] * 4
    assert [cell.prompt for cell in found] == ["a", "a", "b", "b"] * 2
    batches = list(together(found, 3))
    assert [len(batch) for batch in batches] == [3, 1, 3, 1]
    assert [cell for batch in batches for cell in batch] == found


def test_a_run_without_axes_is_its_checkpoints_against_strength(nursery: Nursery, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    save_config(load_config(nursery.config), run.config_path)
    for step, file in ((10, nursery.one), (20, nursery.two)):
        path = run.checkpoints_dir / f"small-{step:06d}.safetensors"
        shutil.copy(file, path)
        add_lines(run, [event_line("checkpoint", step=step, epoch=1, path=f"checkpoints/{path.name}")])
    found = asked(Wanted(str(run.root)))
    assert [axis.kind for axis in found.grid.shown] == ["strength", "checkpoint"]
    seen = outlook(found)
    assert (seen.cells, seen.pictures, seen.loras) == (12, 11, 2)  # at strength 0 both are the base
    assert found.project == tmp_path
