"""How the datasets of two runs differ."""

import json

from lora_tui.records.manifest import Trained, caption_change, changes, read_manifest, write_manifest
from lora_tui.runs.folder import RunFolder


def test_added_removed_renamed_changed_pictures_captions_repeats_and_crops() -> None:
    def image(digest: str, caption: str = "hat, red", repeats: int = 1, crop: tuple[int, ...] = ()) -> Trained:
        return Trained(digest, caption, repeats, crop)

    first = {"a": image("1"), "b": image("2"), "c": image("3"), "d": image("4"), "e": image("5"), "f": image("6")}
    second = {
        "a": image("1"),
        "b": image("9"),
        "c2": image("3"),
        "d": image("4", "hat, blue, smile"),
        "e": image("5", repeats=3),
        "f": image("6", crop=(1, 2, 3, 4)),
        "new": image("7"),
    }
    told = changes(first, second)
    assert (told.added, told.removed, told.renamed) == (("new",), (), (("c", "c2"),))
    assert [one.name for one in told.contents] == ["b"]
    assert [caption_change(one) for one in told.captions] == [(["red"], ["blue", "smile"])]
    assert [one.name for one in told.repeats] == ["e"] and [one.name for one in told.crops] == ["f"]
    assert told.same == 1 and not told.nothing
    assert told.tags == {"blue": (0, 1), "hat": (6, 7), "smile": (0, 1)}
    assert changes(first, first).nothing


def test_copies_of_one_picture_are_renamed_one_for_one() -> None:
    told = changes({"a": Trained("1", "")}, {"b": Trained("1", ""), "c": Trained("1", "")})
    assert (told.renamed, told.added) == ((("a", "b"),), ("c",))


def test_the_files_of_older_runs_stand_in_their_record_and_damage_is_no_file(runs: list[RunFolder]) -> None:
    run = runs[0]
    (run.root / "dataset.json").unlink()
    assert read_manifest(run) is None
    files = {"x.png": {"hash": "1", "caption": "hat"}, "y.png": 3, "z.png": {"hash": 1, "caption": [], "crop": "x"}}
    run.record_path.write_text(json.dumps({"dataset": {"files": files}}))
    assert read_manifest(run) == {"x.png": Trained("1", "hat"), "z.png": Trained("", "")}
    for text in ("", "[", '{"files": 3}', '{"files": null}', "[]"):
        (run.root / "dataset.json").write_text(text)
        run.record_path.write_text("{}")
        assert read_manifest(run) is None
    write_manifest(run, {"a\udcff.png": {"hash": "h", "caption": "\ud800"}})
    assert len(read_manifest(run) or {}) == 1
