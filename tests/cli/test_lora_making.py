"""``lora merge``, ``lora resize`` and ``lora convert`` as commands: processes of their own, files, words and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lora_files import added, apart, by_hand, layers, places, written

from lora_tui.cli.main import run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    targets = places("sdxl", 6)
    return tuple(  # type: ignore[return-value]
        written(tmp_path / f"{name}.safetensors", "sdxl", layers(targets, rank, 2.0, rank))
        for name, rank in (("a", 4), ("b", 3))
    )


def test_merge_and_resize_with_its_curve_and_convert(
    files: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = files
    out, cut, new = (tmp_path / f"{name}.safetensors" for name in ("out", "cut", "new"))
    assert run(["lora", "merge", str(out), f"{one}=0.7", f"{other}=-0.4", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["complete"] and found["error"] < 1e-6 and found["size"] == out.stat().st_size
    targets = places("sdxl", 6)
    first, second = layers(targets, 4, 2.0, 4), layers(targets, 3, 2.0, 3)
    wanted = {place: 0.7 * by_hand(first[place]) - 0.4 * by_hand(second[place]) for place in first}
    assert apart(wanted, added(out, "sdxl")) < 1e-6
    assert run(["lora", "resize", str(out), str(cut), "--rank", "2", "--curve"]) == 0
    told = capfd.readouterr().out
    assert "of the norm is kept" in told and "spread best" in told and any(ord(c) >= 0x2800 for c in told)
    before = one.read_bytes()
    assert run(["lora", "convert", str(one), str(new), "--to", "onetrainer"]) == 0
    assert "exact" in capfd.readouterr().out and one.read_bytes() == before


def test_lerp_goes_from_one_file_to_another(files: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = (added(file, "sdxl") for file in files)
    out = tmp_path / "out.safetensors"
    assert run(["lora", "merge", str(out), *map(str, files), "--lerp", "0.25"]) == 0
    assert apart({place: 0.75 * one[place] + 0.25 * other[place] for place in one}, added(out, "sdxl")) < 1e-6


def test_what_is_wrong_is_one_line_with_the_place_and_the_remedy(
    files: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = map(str, files)
    out = str(tmp_path / "out.safetensors")
    shutil.copy(one, out)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(files[0].read_bytes()[:-7])
    for command in (
        ["merge", out, one, other],
        ["merge", str(tmp_path / "x.safetensors"), one, "nowhere.safetensors"],
        ["merge", str(tmp_path / "x.safetensors"), one, f"{other}=much"],
        ["merge", str(tmp_path / "x.safetensors"), one, "--lerp", "0.5"],
        ["resize", one],
        ["resize", one, str(tmp_path / "x.safetensors")],
        ["resize", str(torn), str(tmp_path / "x.safetensors"), "--rank", "1"],
        ["convert", one, str(tmp_path / "x.safetensors")],
    ):
        assert run(["lora", *command]) == 2, command
        said = capfd.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("lora-tui: ") and "Traceback" not in said
    assert not (tmp_path / "x.safetensors").exists() and Path(out).read_bytes() == files[0].read_bytes()


def test_options_stand_before_between_and_after_the_files(
    files: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = map(str, files)
    out = str(tmp_path / "out.safetensors")
    for words in (
        ["info", one, "--json", other],
        ["resize", one, "--rank", "2", out, "--dry-run"],
        ["merge", out, f"{one}=0.5", "--average", f"{other}=-0.4", "--dry-run"],
        ["convert", "--to", "onetrainer", "--", one, out],
    ):
        assert run(["lora", *words]) == 0, words
    capfd.readouterr()
    for words in (["info", one, "--jsno", other], ["resize", one, out, other, "--rank", "2"], ["info", "--", "-x"]):
        assert run(["lora", *words]) == 2, words
        assert "lora-tui: " in capfd.readouterr().err
