"""What the doctor says of GPUs, memory, disk and the user's folders."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from lora_tui import settings
from lora_tui.doctor.machine import machine_checks


def checks(folder: Path, gpus: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {check.name: check for check in machine_checks(gpus, folder)}


def gpu(**changed: Any) -> dict[str, Any]:
    facts = {"index": 0, "name": "Card\x1b[31m", "memory_total": 24_000_000_000, "memory_used": 1_000_000_000}
    return {**facts, "temperature": 41, **changed}


def test_memory_and_disk_are_figures(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert "GB" in found["memory"].text
    assert str(tmp_path) in found["disk"].text
    assert found["gpu"].status == "note"


def test_a_free_gpu_is_well(tmp_path: Path) -> None:
    found = checks(tmp_path, (gpu(),))["gpu.0"]
    assert found.status == "ok"
    assert "23.0 GB of 24.0 GB free, 41 °C" in found.text
    assert "\x1b" not in found.text


def test_a_busy_and_a_small_gpu_are_warnings(tmp_path: Path) -> None:
    busy, small = gpu(memory_used=20_000_000_000), gpu(memory_total=4_000_000_000, memory_used=0, temperature=None)
    assert checks(tmp_path, (busy,))["gpu.0"].status == "warning"
    assert checks(tmp_path, (small,))["gpu.0"].status == "warning"


def test_folders_that_cannot_be_made_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "file" / "home"))
    found = checks(tmp_path)
    for name in ("config", "cache", "state"):
        assert found[name].status == "error"
        assert "LORA_TUI_HOME" in found[name].remedy


def test_the_place_of_the_runs_is_written_to_and_left_as_it_was(tmp_path: Path) -> None:
    found = checks(tmp_path)["disk"]
    assert found.status in ("ok", "warning")
    assert "a file was written and removed" in found.text
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_not_there_or_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, says in ((tmp_path / "none", "there is no folder"), (tmp_path / "file", "is a file, not a folder")):
        found = checks(folder)["disk"]
        assert (found.status, bool(found.remedy)) == ("error", True)
        assert says in found.text
    assert checks(tmp_path / ("x" * 300))["disk"].status == "error"
    assert not (tmp_path / "none").exists()


def test_a_place_that_takes_no_file_or_no_bytes_is_an_error_whatever_its_permissions(tmp_path: Path) -> None:
    assert "cannot be written: " in checks(Path("/proc/self"))["disk"].text
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        found = checks(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for name in ("disk", "config", "cache", "state"):
        assert (found[name].status, "cannot be written: File too large" in found[name].text) == ("error", True)
    assert not list(tmp_path.iterdir())


def test_a_bad_settings_file_is_an_error(tmp_path: Path) -> None:
    assert "settings" not in checks(tmp_path)
    (settings.config_dir() / "settings.toml").write_text("language = [")
    assert checks(tmp_path)["settings"].status == "error"
