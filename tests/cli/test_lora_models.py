"""``lora bake``, ``extract``, ``blocks`` and ``compare`` as people call them: what they say, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lora_models import lora, written

from lora_tui.cli.main import run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model and two LoRA files for it."""
    folder = tmp_path_factory.mktemp("cli")
    base = written("sd15", folder / "base")
    lora(folder / "a=1.safetensors", "sd15", base, seed=1)
    lora(folder / "b.safetensors", "sd15", base, seed=2)
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = run(["lora", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_bake_an_extraction_and_their_reports(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name with ``=`` in it is a name; what was baked is extracted, and the reports say sizes, shares and memory."""
    base, target = str(home / "base"), str(tmp_path / "baked")
    loras = [f"{home / 'a=1.safetensors'}=0.8,0.5:IND", str(home / "b.safetensors")]
    status, out, _err = said(capsys, "bake", base, target, *loras, "--dry-run")
    assert (status, Path(target).exists()) == (0, False)
    assert "204 layers" in out
    status, out, _err = said(capsys, "bake", base, target, *loras, "--json")
    found: dict[str, Any] = json.loads(out)
    assert status == 0
    assert found["loras"][0] == {"file": "a=1.safetensors", "strength": 0.8, "text": 0.5, "blocks": "IND"}
    assert len(found["layers_kept"]) == 204
    assert found["peak_memory"] > 1 << 20
    status, _out, err = said(capsys, "bake", base, target, *loras)
    assert (status, "Traceback" in err) == (2, False)
    assert target in err
    status, out, _err = said(capsys, "extract", base, target, str(tmp_path / "out.safetensors"), "--rank", "4")
    assert status == 0
    assert "rank 4" in out
    assert "204 layers" in out


def test_blocks_are_bars_and_two_files_a_table(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, target = str(home / "a=1.safetensors"), str(home / "b.safetensors"), tmp_path / "out.safetensors"
    status, out, _err = said(capsys, "blocks", one, "--preset", "OUTD", "--out", str(target))
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert status == 0
    assert target.exists()
    assert rows["IN01"].count("█") > 3
    assert " x 0 " in rows["IN01"]
    assert " x 1 " in rows["OUT03"]
    status, out, _err = said(capsys, "compare", one, f"{two}=0.5", "--json")
    assert status == 0
    assert abs(json.loads(out)["whole"]["cosine"]) < 0.1
    status, out, _err = said(capsys, "compare", one, one)
    assert (status, "+1.000" in out) == (0, True)
    status, _out, err = said(capsys, "blocks", one, "--weights", "[/x]\x1b[2J")
    assert (status, "\x1b" in err) == (2, False)
    assert said(capsys, "blocks", str(tmp_path / "nix.safetensors"))[0] == 2
