"""What the doctor says of Python, torch and the libraries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from doctor.libraries import write_stand_ins

from lora_tui.doctor import software
from lora_tui.doctor.probe import supports


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules in the place of libraries that take seconds to load; torch is the real one."""
    return write_stand_ins(tmp_path / "stand-ins", monkeypatch)


def test_this_installation_is_whole_whatever_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "json", "peft"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert {check.status for check in software.base_checks()} == {"ok"}
    checks = list(software.training_checks(gpus=0))
    assert {check.name: check.status for check in checks} == {"torch": "ok", "libraries": "ok"}
    assert "diffusers" in checks[1].text
    assert "torch" not in sys.modules or "torch" in checks[0].title


def test_a_missing_part_is_a_note_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "TRAIN", ("torch", "no-such-library"))
    (check,) = software.training_checks(gpus=1)
    assert check.status == "note"
    assert "no-such-library" in check.text
    assert "lora-tui[train]" in check.remedy


def test_a_torch_that_does_not_load_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = software.training_checks(gpus=0)
    assert (check.name, check.status) == ("torch", "error")
    assert "libcudart" in check.text


def test_a_torch_that_kills_its_process_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("import os; os._exit(132)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = software.training_checks(gpus=0)
    assert check.status == "error"
    assert "132" in check.text


def test_a_library_that_does_not_load_is_named_and_a_gpu_that_torch_cannot_see_is_an_error(stand_ins: Path) -> None:
    (stand_ins / "peft.py").write_text("raise ImportError('cannot import name x')")
    checks = {check.name: check for check in software.training_checks(gpus=1)}
    assert checks["peft"].status == "error"
    assert "libraries" not in checks
    blind = checks["torch"]
    if "CPU only" in blind.text:  # the tests' own torch is built for CPUs or for GPUs
        assert blind.status == "error"
        assert blind.remedy


def test_the_cards_that_multiply_in_8_bits_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [{"name": name, "capability": list(found), "supported": True}
             for name, found in (("Turing", (7, 5)), ("Ampere", (8, 6)), ("Ada", (8, 9)))]  # fmt: skip
    for seen, wanted in ((cards, "in 8 bits: Ampere (int8), Ada (int8, fp8)"), (cards[:1], "in 8 bits: none")):
        check = software._torch_check({"torch": "9.0", "cuda": "13.0", "devices": seen}, len(seen))
        assert check.status == "ok" and check.text.endswith(wanted)


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((12, 0), ["sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((7, 5), ["compute_80"], False),
        ((9, 0), ["sm_90a"], True),
        ((12, 0), ["sm_120"], True),
        ((9, 0), [], False),
        ((9, 0), ["sm_"], False),
    ],
)
def test_code_runs_on_a_gpu_or_does_not(capability: tuple[int, int], architectures: list[str], runs: bool) -> None:
    assert supports(capability, architectures) is runs


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/me/.local/share/pipx/venvs/lora-tui", "pipx install --force 'lora-tui[train]'"),
        ("/home/me/.local/share/uv/tools/lora-tui", "uv tool install --force 'lora-tui[train]'"),
        ("/srv/venv", "-m pip install 'lora-tui[train]'"),
    ],
)
def test_the_command_fits_how_it_was_installed(prefix: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    assert software.install_command("train").endswith(command)


def test_optional_parts_are_named_with_what_adds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "version_of", lambda name: None if name == "rembg" else "1.0")
    checks = {check.name: check for check in software.optional_checks()}
    assert {name: check.status for name, check in checks.items()} == {
        "tag": "ok",
        "background": "note",
        "graphics": "ok",
        "trackers": "ok",
    }
    assert "rembg" in checks["background"].text
    assert "lora-tui[background]" in checks["background"].remedy
