"""The list of LoRA files is there at once when nothing changed, and never tells what a file no longer says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from weights.files import model, write

from lora_tui.loras import kept, reader
from lora_tui.loras.files import LoraFile, find_files
from lora_tui.loras.reader import Reader
from lora_tui.settings import cache_dir

SHAPES = {"lora_unet_mid_block_x.lora_down.weight": (4, 64), "lora_unet_mid_block_x.lora_up.weight": (32, 4)}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose headers were read."""
    found: list[Path] = []
    own = reader.file_row

    def file_row(path: Path) -> LoraFile | None:
        found.append(path)
        return own(path)

    monkeypatch.setattr(reader, "file_row", file_row)
    return found


def settled(path: Path) -> Path:
    os.utime(path, ns=(10**18, 10**18))
    return path


def files(folder: Path) -> list[Path]:
    told = {"ss_output_name": "名 [/x]", "ss_tag_frequency": '{"1_x": {"hat": 3}}', "modelspec.trigger_phrase": "a, b"}
    settled(model(folder / "a.safetensors", SHAPES, told))
    settled(model(folder / "b.safetensors", {"model.diffusion_model.input_blocks.0.0.weight": (4, 4, 3, 3)}))
    settled(write(folder / "c.safetensors", b"{", 0))
    return sorted(find_files([folder]))


def test_the_next_program_reads_no_header_that_was_read(tmp_path: Path, read: list[Path]) -> None:
    """Rows are the same ones; a whole model is no LoRA and known as none; what is broken is looked at each time."""
    paths = files(tmp_path)
    first = list(Reader().read(paths))
    assert (read, [one.name for one in first]) == (paths, ["a", "c"])
    read.clear()
    again = list(Reader().read(paths))
    assert read == paths[2:]
    assert again == first
    assert (again[0].tags, again[0].triggers, again[0].titles) == (("hat",), ("a, b",), ("名 [/x]",))
    assert again[1].problem is not None


def test_a_file_that_changed_is_read_again_whatever_its_time_says(tmp_path: Path, read: list[Path]) -> None:
    paths = files(tmp_path)[:1]
    list(Reader().read(paths))
    read.clear()
    other = settled(model(tmp_path / "new", SHAPES, {"ss_output_name": "y"}))
    with other.open("ab") as file:  # of the same size and time
        file.truncate(paths[0].stat().st_size)
    settled(other).replace(paths[0])
    list(Reader().read(paths))
    assert read == paths


def test_what_was_written_just_now_or_read_by_another_version_is_not_kept(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [model(tmp_path / "a.safetensors", SHAPES)]
    for _time in range(2):
        list(Reader().read(paths))
    assert len(read) == 2
    settled(paths[0])
    list(Reader().read(paths))
    monkeypatch.setattr(kept, "_BY", "another")
    list(Reader().read(paths))
    assert len(read) == 4


@pytest.mark.parametrize("damage", ["no database", "a folder", "another table"])
def test_without_the_store_everything_is_read(tmp_path: Path, read: list[Path], damage: str) -> None:
    paths, place = files(tmp_path)[:1], cache_dir() / kept.NAME
    if damage == "a folder":
        place.mkdir()
    else:
        list(Reader().read(paths))
        if damage == "no database":
            place.write_bytes(b"x" * 5000)
        else:
            with kept.kept_rows() as rows:
                assert rows._database is not None
                rows._database.execute("update files set row = '[1]'")
                rows._database.commit()
    read.clear()
    assert [one.name for one in Reader().read(paths)] == ["a"]
    assert read == paths


def test_the_oldest_entries_go(tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MAX_ROWS", 3)
    paths = [settled(model(tmp_path / f"{number}.safetensors", SHAPES)) for number in range(5)]
    list(Reader().read(paths))
    read.clear()
    list(Reader().read(paths))
    assert read == paths[:2]
