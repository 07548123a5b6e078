"""Where a preparation would be written, and what lies there."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset.conftest import MakeImage

from lora_tui.dataset.prepare.carry import carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.places import suggested
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.prepare.work import is_begun
from lora_tui.errors import UserError


def test_a_folder_of_its_own_is_suggested_for_each_preparation(tmp_path: Path, make_image: MakeImage) -> None:
    source = tmp_path / "photos"
    make_image(source / "a.png")
    assert suggested(source, Options(size=64)) == tmp_path / "photos-64"
    carry_out(make_plan(source, Options(size=64)), tmp_path / "photos-64")
    assert suggested(source, Options(size=64)) == tmp_path / "photos-64"  # it would be gone on with
    assert suggested(source, Options(size=64, format="webp")) == tmp_path / "photos-64-2"
    (tmp_path / "photos-64-2").mkdir()
    (tmp_path / "photos-64-2" / "mine.txt").touch()
    assert suggested(source, Options(size=64, format="webp")) == tmp_path / "photos-64-3"


def test_looking_writes_nothing_and_says_what_lies_there(tmp_path: Path, make_image: MakeImage) -> None:
    source, place = tmp_path / "photos", tmp_path / "new"
    make_image(source / "a.png")
    assert not is_begun(place, source, Options())
    assert not place.exists()
    place.mkdir()
    assert not is_begun(place, source, Options())
    (place / "mine.txt").touch()
    with pytest.raises(UserError) as raised:
        is_begun(place, source, Options())
    assert raised.value.code == "prepare.not_empty"
    (place / "mine.txt").unlink()
    carry_out(make_plan(source, Options(size=64)), place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert is_begun(place, source, Options(size=64))
    for other in (Options(size=128), Options(size=64, flips=True)):
        with pytest.raises(UserError) as raised:
            is_begun(place, source, other)
        assert raised.value.code == "prepare.other"
    with pytest.raises(UserError):
        is_begun(place, tmp_path / "elsewhere", Options(size=64))
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    (place / ".lora-tui" / "prepare" / "work.jsonl").write_text("{}\n")
    with pytest.raises(UserError) as raised:
        is_begun(place, source, Options(size=64))
    assert raised.value.code == "prepare.damaged"


def test_what_a_preparation_keeps_for_itself_never_lies_in_the_source(tmp_path: Path, make_image: MakeImage) -> None:
    source, place = tmp_path / "photos", tmp_path / "new"
    make_image(source / "a.png")
    place.mkdir()
    (place / ".lora-tui").symlink_to(source)
    with pytest.raises(UserError) as raised:
        carry_out(make_plan(source, Options(size=64)), place)
    assert raised.value.code == "prepare.places" and raised.value.place.endswith("new/.lora-tui")
    assert [path.name for path in source.iterdir()] == ["a.png"]
