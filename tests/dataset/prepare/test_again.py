"""Going on with a preparation: the destination becomes what the source is now, and what people did there stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.moves import empty_trash, in_trash, take_back, trash
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.dataset.prepare.carry import Outcome, carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.prepare.work import known_numbers

from .conftest import hashes, prepare

MakeImage = Callable[..., Path]


def report(destination: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((destination / ".lora-tui" / "prepare" / "report.json").read_text())
    return found


def test_a_source_that_is_written_in_two_ways_is_one_source(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/sub/a.png", 128, 128, caption="x")
    (tmp_path / "here").mkdir()
    roundabout = tmp_path / "here" / ".." / "src"
    assert make_plan(roundabout, Options(size=128)) == make_plan(tmp_path / "src", Options(size=128))
    prepare(roundabout, tmp_path / "dst", size=128)
    work = tmp_path / "dst" / ".lora-tui" / "prepare" / "work.jsonl"
    for source in (str(tmp_path / "src"), str(roundabout)):  # the other is what earlier versions wrote
        head, *lines = work.read_text().splitlines()
        work.write_text("\n".join([json.dumps({"head": {**json.loads(head)["head"], "source": source}}), *lines, ""]))
        assert prepare(tmp_path / "src", tmp_path / "dst", size=128).progress.fresh == 0


def test_a_source_that_was_not_read_to_its_end_is_not_complete(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    plan = make_plan(tmp_path / "src", Options(size=128), should_stop=lambda: True)
    assert carry_out(plan, tmp_path / "dst", workers=1).complete is False
    assert report(tmp_path / "dst")["complete"] is False


def again(root: Path, **options: Any) -> Outcome:
    """The preparation of ``src`` into ``dst``, as the command line and tasks do it."""
    chosen = Options(**{"size": 128, **options})
    plan = make_plan(root / "src", chosen, numbers=known_numbers(root / "dst", chosen))
    return carry_out(plan, root / "dst", workers=1)


def statuses(root: Path) -> dict[str, str]:
    return {row["image"]: row["status"] for row in report(root / "dst")["images"]}


def test_what_the_source_has_no_more_goes_into_the_trash(tmp_path: Path, make_image: MakeImage) -> None:
    for name in "abcd":
        make_image(f"src/{name}.png", 128, 128, seed=ord(name), caption=name)
    again(tmp_path)
    before = hashes(tmp_path / "dst")
    (tmp_path / "dst" / "a.txt").write_text("cleaned by hand")
    (tmp_path / "dst" / "d.txt").write_text("cleaned by hand")
    (tmp_path / "src" / "a.png").unlink()
    (tmp_path / "src" / "c.txt").unlink()
    (tmp_path / "src" / "d.txt").unlink()
    change_notes(tmp_path / "src", lambda notes: notes.excluding("b.png"))
    outcome = again(tmp_path)
    assert (outcome.complete, outcome.failed, outcome.kept) == (True, (), ("d.txt",))
    assert sorted(outcome.gone) == ["a.png", "b.png", "c.txt"]
    assert set(hashes(tmp_path / "dst")) == {"c.png", "d.png", "d.txt"}
    assert statuses(tmp_path) == {"c.png": "done", "d.png": "done", "b.png": "left out"}
    assert again(tmp_path).progress.fresh == 0
    for move in in_trash(tmp_path / "dst"):
        take_back(tmp_path / "dst", move.number)
    assert hashes(tmp_path / "dst").keys() == before.keys()
    assert (tmp_path / "dst" / "a.txt").read_text() == "cleaned by hand"


def test_an_image_that_is_wanted_again_is_made_again(tmp_path: Path, make_image: MakeImage) -> None:
    for name in "ab":
        make_image(f"src/{name}.png", 128, 128, seed=ord(name), caption=name)
    again(tmp_path)
    before = hashes(tmp_path / "dst")
    change_notes(tmp_path / "src", lambda notes: notes.excluding("b.png"))
    again(tmp_path)
    change_notes(tmp_path / "src", lambda notes: notes.including("b.png"))
    again(tmp_path)
    assert hashes(tmp_path / "dst") == before


def test_pieces_give_way_to_a_crop_by_hand(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 390, 130, caption="x")
    again(tmp_path, split=2.0)
    assert len(hashes(tmp_path / "dst")) > 4
    crop = Crop(Box(0, 0, 130, 130), Size(390, 130))
    change_notes(tmp_path / "src", lambda notes: notes.with_crop("a.png", crop))
    again(tmp_path, split=2.0)
    assert set(hashes(tmp_path / "dst")) == {"a.png", "a.txt"}


def test_a_source_that_cannot_be_read_whole_takes_nothing_away(tmp_path: Path, make_image: MakeImage) -> None:
    for name in "ab":
        make_image(f"src/{name}.png", 128, 128, seed=ord(name))
    again(tmp_path)
    before = hashes(tmp_path / "dst")
    (tmp_path / "src" / "a.png").write_bytes(b"half a copy")
    plan = make_plan(tmp_path / "src", Options(size=128), should_stop=lambda: True)
    carry_out(plan, tmp_path / "dst", workers=1)
    again(tmp_path)
    assert statuses(tmp_path)["a.png"] == "refused"
    assert hashes(tmp_path / "dst") == before


def test_numbers_stay_with_their_images(tmp_path: Path, make_image: MakeImage) -> None:
    for name in "ac":
        make_image(f"src/{name}.png", 128, 128, seed=ord(name), caption=name)
    again(tmp_path, name="{number:03}")
    make_image("src/b.png", 128, 128, seed=2, caption="b")
    outcome = again(tmp_path, name="{number:03}")
    assert (outcome.failed, outcome.progress.fresh) == ((), 1)
    make_image("src/c.png", 128, 128, seed=99, caption="c")
    (tmp_path / "src" / "a.png").unlink()
    make_image("src/d.png", 128, 128, seed=4, caption="d")
    assert again(tmp_path, name="{number:03}").failed == ()
    captions = {path.stem: path.read_text() for path in (tmp_path / "dst").glob("*.txt")}
    assert captions == {"002": "c", "004": "b", "003": "d"}
    assert {path.stem for path in (tmp_path / "dst").glob("*.png")} == captions.keys()


def test_an_empty_caption_is_a_caption(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/empty.png", 128, 128, caption="")
    make_image("src/a.png", 128, 128, caption="bad, tags")
    again(tmp_path)
    (tmp_path / "dst" / "a.txt").write_text("")
    assert again(tmp_path).progress.fresh == 0
    make_image("src/a.png", 128, 128, seed=7, caption="other tags")
    assert again(tmp_path).kept == ("a.txt",)
    assert (tmp_path / "dst" / "a.txt").read_text() == ""


def test_what_somebody_put_away_stays_away(tmp_path: Path, make_image: MakeImage) -> None:
    for name in "ab":
        make_image(f"src/{name}.png", 128, 128, seed=ord(name), caption=name)
    again(tmp_path)
    trash(tmp_path / "dst", [tmp_path / "dst" / "a.png"])
    make_image("src/c.png", 128, 128, seed=3)
    assert again(tmp_path).progress.fresh == 1
    assert statuses(tmp_path) == {"a.png": "left out", "b.png": "done", "c.png": "done"}
    empty_trash(tmp_path / "dst")
    make_image("src/a.png", 128, 128, seed=8, caption="a")
    for _turn in range(2):
        again(tmp_path)
        assert set(hashes(tmp_path / "dst")) == {"b.png", "b.txt", "c.png"}


def test_what_somebody_brought_back_is_gone_on_with(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128, caption="a")
    again(tmp_path)
    number = trash(tmp_path / "dst", [tmp_path / "dst" / "a.png"]).number
    again(tmp_path)
    take_back(tmp_path / "dst", number)
    before = hashes(tmp_path / "dst")
    make_image("src/a.png", 128, 128, seed=8, caption="a")
    assert again(tmp_path).kept == ()
    assert statuses(tmp_path) == {"a.png": "done"}
    assert hashes(tmp_path / "dst") != before
