"""Editing the metadata of a LoRA file: nothing but the words changes, and what was there is kept."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lora_builders import METADATA, tensors_of, write_small
from safetensors import safe_open
from safetensors.torch import load_file, save
from weights.files import entries, write

from lora_tui.errors import UserError
from lora_tui.weights.header.format import read_header
from lora_tui.weights.metadata import HASHES, Edit, edit_metadata, restore, trigger_edit


def body(path: Path) -> bytes:
    """Everything behind the header."""
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_edit_changes_words_and_hashes_and_no_tensor(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors")
    file.chmod(0o640)
    before, tensors = file.read_bytes(), body(file)
    edit = Edit({"modelspec.title": "帽子 ☃", **trigger_edit("hatgirl, straw hat")}, ("ss_optimizer",))
    done = edit_metadata(file, edit)
    after = read_header(file).metadata
    assert (after["modelspec.title"], after["modelspec.trigger_phrase"]) == ("帽子 ☃", "hatgirl, straw hat")
    assert "ss_optimizer" not in after
    assert {
        key: after[key] for key in METADATA.keys() & after.keys() - {"modelspec.trigger_phrase"}
    }.items() <= METADATA.items()
    assert body(file) == tensors
    assert file.stat().st_mode & 0o777 == 0o640
    assert load_file(file).keys() == tensors_of().keys()
    assert done.backup == tmp_path / "a.safetensors.bak"
    assert done.backup.read_bytes() == before
    assert names(tmp_path) == ["a.safetensors", "a.safetensors.bak"]


def test_the_hashes_are_those_of_sd_scripts_and_modelspec(tmp_path: Path) -> None:
    tensors = tensors_of("sdxl", count=60, rank=8)
    file = write_small(tmp_path / "a.safetensors", tensors)
    written = read_header(file).metadata
    edit_metadata(file, Edit({"ssmd_note": "x"}))
    assert {key: read_header(file).metadata[key] for key in HASHES} == {key: written[key] for key in HASHES}
    edit_metadata(file, Edit({"ss_training_comment": "longer than before " * 9}))
    after = read_header(file).metadata
    kept = {key: value for key, value in after.items() if key.startswith("ss_")}
    data = save(load_file(file), metadata=kept)  # as sd-scripts hashes a file: only its own keys in the header
    digest = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    assert len(data) > 0x110000
    assert after["sshs_model_hash"] == digest
    assert after["modelspec.hash_sha256"] == f"0x{digest}"
    assert after["sshs_legacy_hash"] == hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]


def test_the_first_file_is_kept_and_comes_back(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors")
    first = file.read_bytes()
    for words in ("one", "two", "three"):
        edit_metadata(file, Edit({"ssmd_note": words}))
    assert (tmp_path / "a.safetensors.bak").read_bytes() == first
    restore(file)
    assert file.read_bytes() == first
    assert names(tmp_path) == ["a.safetensors"]
    with pytest.raises(UserError, match="no backup"):
        restore(file)


def test_a_backup_of_another_file_of_that_name_does_not_stay(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors")
    edit_metadata(file, Edit({"ssmd_note": "one"}))
    write_small(file, tensors_of(seed=1))
    second = file.read_bytes()
    edit_metadata(file, Edit({"ssmd_note": "two"}))
    assert (tmp_path / "a.safetensors.bak").read_bytes() == second


def test_an_edit_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors")
    before = file.stat()
    done = edit_metadata(file, Edit({"ss_steps": "120"}, ("not there",)))
    assert (done.changed, done.backup) == ({}, None)
    assert file.stat() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file = write_small(tmp_path / "real" / "a.safetensors")
    link = tmp_path / "b.safetensors"
    link.symlink_to(file)
    edit_metadata(link, Edit({"ssmd_note": "x"}))
    assert link.is_symlink()
    assert read_header(file).metadata["ssmd_note"] == "x"


@pytest.mark.parametrize("key", [*HASHES, "", "__metadata__"])
def test_keys_that_are_nobodys_to_write(tmp_path: Path, key: str) -> None:
    file = write_small(tmp_path / "a.safetensors")
    before = file.read_bytes()
    with pytest.raises(UserError):
        edit_metadata(file, Edit({key: "x"}))
    assert file.read_bytes() == before


def test_what_is_torn_or_cannot_be_written_stays_as_it_is(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors")
    torn = tmp_path / "b.safetensors"
    torn.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match="cut short"):
        edit_metadata(torn, Edit({"a": "b"}))
    with pytest.raises(UserError, match="UTF-8"):
        edit_metadata(file, Edit({"a": "\udc80"}))
    with pytest.raises(UserError, match="larger than the format allows"):
        edit_metadata(file, Edit({"a": "b" * 100_000_000}))
    assert names(tmp_path) == ["a.safetensors", "b.safetensors"]


def test_a_large_file_is_copied_in_pieces(tmp_path: Path) -> None:
    shapes = {"x.lora_down.weight": (64, 8), "x.lora_up.weight": (300_000, 64)}
    file = write(tmp_path / "a.safetensors", entries(shapes), 64 * 16 + 300_000 * 128)
    seen: list[tuple[int, int]] = []
    edit_metadata(file, Edit({"a": "b"}), progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 15
    assert seen[-1][0] == seen[-1][1]
    assert file.stat().st_size > 38_000_000


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(TEXTS.filter(lambda key: key and key not in HASHES and key != "__metadata__"), TEXTS, max_size=5)
)
def test_any_words_come_back_from_the_library_as_they_were_written(words: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write_small(Path(folder) / "a.safetensors", tensors_of(count=1, text=0))
        edit_metadata(file, Edit(words))
        with safe_open(file, framework="pt") as opened:
            assert words.items() <= (opened.metadata() or {}).items()
