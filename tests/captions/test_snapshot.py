"""Opening a large dataset again: only what changed is read, and nothing stale is ever believed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from caption_folders import edit, make_folder
from support import until

from lora_tui.captions import snapshot
from lora_tui.captions.corpus import Corpus
from lora_tui.captions.profile import PROFILES
from lora_tui.captions.transaction import Session
from lora_tui.settings import cache_dir

COUNT = snapshot.ENOUGH


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    captions: dict[str, str | bytes | None] = {
        f"sub{number % 3}/{number:05}": f"tag {number % 50}, x, tag {number % 7}" for number in range(COUNT - 6)
    }
    odd = {"a": None, "b": b"", "c": b"\xff, x", "d": "x, x, y", "e": "x\r\ny", "f": "長い髪, x"}
    folder = make_folder(tmp_path_factory.mktemp("snapshot"), {**captions, **odd})
    (folder / "d.jpg").touch()
    return folder


@pytest.fixture
def folder(dataset: Path) -> Path:
    """Captions that were written a while ago, and what was read of them kept."""
    newest = max(path.stat().st_ctime_ns for path in dataset.rglob("*.txt"))
    until(lambda: time.time_ns() > newest + snapshot.MOMENTS_NS)
    Corpus.open(dataset).keep()
    return dataset


def _told(corpus: Corpus) -> list[object]:
    """All that a corpus says, to compare two of them."""
    index = corpus.index
    entries = [
        (one.number, one.name, one.caption_name, one.raw, one.tags, one.mtime_ns, one.size, bool(one.problem))
        for one in corpus.entries
    ]
    postings = {tag: sorted(index.postings(tag)) for tag in index.tags()}
    return [entries, list(postings.items()), [index.tags_of(number) for number in range(len(entries))], index.captions]


def _afresh(folder: Path) -> Corpus:
    """Read without what was kept."""
    kept = cache_dir() / "captions"
    moved = kept.rename(kept.with_name("away"))
    try:
        return Corpus.open(folder)
    finally:
        moved.rename(kept)


def test_only_what_changed_is_read_and_the_result_is_the_same(folder: Path) -> None:
    fresh = _told(_afresh(folder))
    again = Corpus.open(folder)
    assert again.files_read == 0
    assert _told(again) == fresh
    old = folder / "sub0" / "00003.txt"
    state = old.stat()
    old.write_bytes(old.read_bytes().replace(b"x", b"y"))
    os.utime(old, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and time, another content
    (folder / "sub1" / "00001.txt").unlink()
    (folder / "a.txt").write_text("new")
    make_folder(folder, {"sub2/00000": "in front"})
    found = Corpus.open(folder)
    assert found.files_read == 4, "the new, the changed, the one that was not there, the one that is there no more"
    assert _told(found) == _told(_afresh(folder))


def test_an_edit_after_opening_from_what_was_kept(folder: Path) -> None:
    session = Session(Corpus.open(folder))
    edit(session, "rename x to z")
    session.close()
    assert _told(Corpus.open(folder)) == _told(_afresh(folder))
    assert Corpus.open(folder).index.count("x") == 0


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def test_a_damaged_snapshot_is_as_if_there_were_none(folder: Path) -> None:
    fresh = _told(_afresh(folder))
    (path,) = (cache_dir() / "captions").iterdir()
    whole = path.read_bytes()
    for harm in (_cut, _flip, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"x" * 90)):
        path.write_bytes(whole)
        harm(path)
        assert snapshot.load(path) is None
    assert _told(Corpus.open(folder)) == fresh


def test_what_was_written_moments_before_is_read_again(folder: Path) -> None:
    shutil.rmtree(cache_dir() / "captions")
    (folder / "b.txt").write_text("just now")
    Corpus.open(folder).keep()
    again = Corpus.open(folder)
    assert (again.files_read, again.index.count("just now")) == (1, 1)


def test_another_profile_and_small_datasets_keep_to_themselves(folder: Path, tmp_path: Path) -> None:
    small = make_folder(tmp_path / "small", {"a": "x"})
    Corpus.open(small).keep()
    assert len(list((cache_dir() / "captions").iterdir())) == 1
    assert Corpus.open(folder, profile=PROFILES["musubi"]).number_of("e.png") is not None
    edited = Corpus.open(folder, profile=PROFILES["musubi"])
    edited.put(0, None)
    edited.keep()  # too late: what it holds is not what was read
    assert len(list((cache_dir() / "captions").iterdir())) == 1


def test_as_many_folders_as_a_project_has_are_kept_and_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "ENOUGH", 2)
    monkeypatch.setattr(snapshot, "MOMENTS_NS", 0)
    folders = [make_folder(tmp_path / str(number), {"a": "x", "b": "y"}) for number in range(12)]
    for folder in folders:
        Corpus.open(folder).keep()
    assert [Corpus.open(folder).files_read for folder in folders] == [0] * 12
    size = max(path.stat().st_size for path in (cache_dir() / "captions").iterdir())
    monkeypatch.setattr(snapshot, "_KEPT_BYTES", 3 * size)
    for name in ("a.txt", "b.txt"):
        (folders[5] / name).write_text("zebra", encoding="utf-8")
    Corpus.open(folders[5]).keep()
    read = [Corpus.open(folder).files_read for folder in folders]
    assert read[5] == read[11] == 0 and read[0] == 2
