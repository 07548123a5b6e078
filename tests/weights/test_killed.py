"""Work on LoRA files killed at every moment: a result is there whole or not at all, and sources are as they were."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lora_models import lora, written
from safetensors.torch import load_file

from lora_tui.families.unet.model_file import write_single_file

HERE = Path(__file__).parent
TIMES = 12
"""Kills of each operation at a moment by chance, besides one before each change to a file."""


@pytest.fixture(scope="module")
def dying() -> Iterator[Any]:
    """Does work that dies, see :mod:`dying`."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "dying.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None

    def do(**asked: Any) -> tuple[int, int]:
        process.stdin.write(json.dumps(asked) + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        status, count = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        return status, count

    yield do
    process.stdin.close()
    process.wait(10)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    base = written("sd15", folder / "base")
    write_single_file(base, folder / "base.safetensors")
    lora(folder / "a.safetensors", "sd15", base, seed=1, rank=4)
    lora(folder / "b.safetensors", "sd15", base, seed=2)
    return folder


def asked(name: str, sources: Path) -> dict[str, Any]:
    """The options of an operation; those of ``bake folder`` make a folder."""
    one, other = ({"file": str(sources / f"{letter}.safetensors"), "strength": 0.7} for letter in "ab")
    file, base = one["file"], str(sources / "base.safetensors")
    return {
        "merge": {"loras": [one, other]},
        "resize": {"source": file, "keep": {"rule": "rank", "value": 2}},
        "convert": {"source": file, "to": "diffusers"},
        "blocks": {"file": file, "weights": "INS"},
        "bake": {"base": base, "loras": [one]},
        "bake folder": {"base": str(sources / "base"), "loras": [one], "precision": "fp32"},
        "extract": {"base": base, "tuned": str(sources / "tuned.safetensors"), "value": 2},
    }[name] | {"operation": name.partition(" ")[0]}


def contents(place: Path) -> dict[str, Any]:
    """What is in a result but for its metadata, which tell the time."""
    if place.is_file():
        return {name: one.tobytes() for name, one in _arrays(place).items()}
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): contents(path) if path.suffix == ".safetensors" else path.read_bytes()
            for path in files}  # fmt: skip


def _arrays(path: Path) -> dict[str, Any]:
    return {name: one.float().numpy() for name, one in load_file(path).items()}


def digests(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["merge", "resize", "convert", "blocks", "bake", "bake folder", "extract"])
def test_a_killed_operation_leaves_a_whole_result_or_none(dying: Any, sources: Path, tmp_path: Path, name: str) -> None:
    if name == "extract" and not (sources / "tuned.safetensors").exists():
        status, _count = dying(options={**asked("bake", sources), "target": str(sources / "tuned.safetensors")})
        assert status == 0
    target = tmp_path / ("out" if name == "bake folder" else "out.safetensors")
    options, before = {**asked(name, sources), "target": str(target)}, digests(sources)
    wanted_at = tmp_path / f"first-{target.name}"
    status, count = dying(options={**options, "target": str(wanted_at)})
    assert status == 0 and count >= 4
    wanted, chance, killed, took = contents(wanted_at), random.Random(1), 0, 0.0
    for number in range(1, count + TIMES + 1):
        _remove(target)
        # the last change is shortly before the end: by the time to it, moments are within what it takes today
        kill = {"at": number} if number <= count else {"after": chance.uniform(0.0, took)}
        begun = time.perf_counter()
        status, _count = dying(options=options, **kill)
        took = time.perf_counter() - begun if number <= count else took
        assert status in (-9, 0)
        killed += status == -9
        if target.exists():
            assert contents(target) == wanted, kill
        assert digests(sources) == before
    assert killed >= count + TIMES // 3  # some of the moments come after its end
    _older(tmp_path)
    _remove(target)
    assert dying(options=options)[0] == 0  # and takes away what the killed ones left
    assert contents(target) == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([target.name, wanted_at.name])


@pytest.mark.slow
def test_killed_edits_of_metadata_leave_the_old_file_or_the_new_one(dying: Any, sources: Path, tmp_path: Path) -> None:
    path, backup = tmp_path / "a.safetensors", tmp_path / "a.safetensors.bak"
    original = (sources / "a.safetensors").read_bytes()
    path.write_bytes(original)
    edit = {"metadata": str(path), "entries": {"modelspec.title": "x"}}
    status, count = dying(**edit)
    assert status == 0 and count >= 4
    edited, chance = path.read_bytes(), random.Random(2)
    kills = [{"at": number} for number in range(1, count + 1)]
    for kill in [*kills, *({"after": chance.uniform(0.0, 0.02)} for _number in range(TIMES))]:
        path.write_bytes(original)
        backup.unlink(missing_ok=True)
        status, _count = dying(**edit, **kill)
        assert status in (-9, 0)
        found = path.read_bytes()
        assert found in (original, edited), kill
        assert found == original or backup.read_bytes() == original, kill
    _older(tmp_path)
    assert dying(**{**edit, "entries": {"modelspec.title": "y"}})[0] == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.safetensors", "a.safetensors.bak"]
    assert backup.read_bytes() == original


def _remove(target: Path) -> None:
    if target.is_dir():
        for path in sorted(target.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        target.rmdir()
    else:
        target.unlink(missing_ok=True)


def _older(folder: Path) -> None:
    """As if a few seconds had passed since."""
    for path in folder.iterdir():
        then = path.stat().st_mtime - 5
        os.utime(path, (then, then))
