from pathlib import Path

import pytest

from lora_tui.jobs.resources import Sampler, disk_free, gpu_list, oom_kills


def test_a_sample_has_all_fields_with_units_that_fit(tmp_path: Path) -> None:
    sample = Sampler(tmp_path).sample()
    assert set(sample) == {"gpus", "cpu_percent", "ram_used", "ram_total", "disk_free"}
    assert 1e6 < sample["ram_used"] < sample["ram_total"] < 1e15


def test_a_vanished_folder_has_no_free_space(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "none") is None
    assert (disk_free(tmp_path) or 0) > 0


def test_the_kernels_kills_are_counted_never_backwards() -> None:
    first = oom_kills()
    assert oom_kills() >= first >= 0


def test_the_gpus_that_the_environment_hides_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Sampler(tmp_path).sample()["gpus"] == []
    assert isinstance(gpu_list(), list)
