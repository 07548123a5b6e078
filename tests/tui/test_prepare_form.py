"""The settings of a preparation: what an edit does, what it refuses, and what stands beside a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.prepare.remembered import Choices, load_choices, save_choices
from lora_tui.dataset.scan import scan_folder
from lora_tui.errors import UserError
from lora_tui.settings import state_dir
from lora_tui.tui.marks import UNICODE
from lora_tui.tui.prepare_form import Known, PrepareForm, usual_size
from lora_tui.tui.prepare_settings import OTHER, SETTINGS
from lora_tui.tui.prepare_table import PlanTable

NAMED = {setting.key: setting for setting in SETTINGS}


def form(**options: object) -> PrepareForm:
    return PrepareForm(Choices(options=Options(**options)), [Path("/photos")], Known())  # type: ignore[arg-type]


def shown(one: PrepareForm) -> set[str]:
    return {setting.key for setting in one.rows()}


def test_every_choice_can_be_taken_and_its_row_says_it() -> None:
    for setting in SETTINGS:
        for pick in setting.picks:
            if pick.value in (OTHER, "u2net", "isnet-anime"):
                continue
            one = form(format="webp", background="random", shape="bucket", folders="repeats", fit="pad")
            one.set(setting.key, pick.value)
            assert one.text(setting) == pick.value
            assert one.value(setting).text == pick.label, setting.key


def test_only_settings_with_an_effect_are_shown() -> None:
    assert {"pad", "quality", "faces", "repeats", "label", "overlap", "seed", "bucket_min"}.isdisjoint(shown(form()))
    one = form(fit="pad", format="jpeg", background="random", shape="bucket", folders="repeats", split=2.0)
    assert {"pad", "quality", "repeats", "label", "overlap", "seed", "bucket_min"} <= shown(one)
    assert "faces" in shown(form(at="subject"))


def test_arrows_go_round_the_choices_and_undo_goes_back() -> None:
    one = form()
    for expected in ("subject", "pad", "centre"):
        assert one.turn(NAMED["fit"], 1) and one.text(NAMED["fit"]) == expected
    assert one.turn(NAMED["flips"], 1) and one.options.flips
    assert not one.turn(NAMED["name"], 1)
    one.set("size", "768")  # none of the choices
    assert one.turn(NAMED["size"], 1) and one.options.size == 512
    while one.undo():
        pass
    assert one.options == Options() and not one.can_undo


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("size", "9", "From 16 to 8192"),
        ("size", "many", "Type a number"),
        ("background", "pink", "no colour"),
        ("name", "{nothing}", "no field"),
        ("label", "a/b", "no slash"),
        ("overlap", "2", "From 0.0 to 0.9"),
        ("workers", "0", "From 1 to 64"),
        ("faces", "/nowhere.onnx", "no such file"),
    ],
)
def test_what_is_not_allowed_is_said_and_changes_nothing(key: str, text: str, words: str) -> None:
    one = form()
    assert words in one.complaint(key, text)
    with pytest.raises(UserError):
        one.set(key, text)
    assert one.choices == Choices() and not one.can_undo


def test_the_size_is_what_is_trained_at_and_another_is_remarked() -> None:
    assert usual_size("sdxl", 0) == 1024 and usual_size("sd15", 640) == 640 and usual_size("", 0) == 512
    one = PrepareForm(Choices(), [Path("/photos")], Known(resolution=1024, family="sdxl"))
    assert one.note(NAMED["size"]).text == "trains at 1024 px"
    one.set("size", "1024")
    assert one.note(NAMED["size"]).text == "SDXL, SD3, SD3.5, FLUX, FLUX.2, Chroma, Z-Image, Qwen-Image"


def test_remarks_count_the_images_that_a_setting_is_about(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64)).save(tmp_path / "clear.png")
    Image.new("RGB", (800, 300)).save(tmp_path / "long.png")
    known = Known().of_images(scan_folder(tmp_path).images).of_plan(make_plan(tmp_path, Options(size=512)))
    one = PrepareForm(Choices(), [tmp_path], known)
    said = {key: one.note(NAMED[key]).text for key in ("source", "background", "split", "small", "crops")}
    assert said == {"source": "2 images", "background": "1 image", "split": "1 image", "small": "2 images", "crops": ""}


def test_rows_of_the_plan_name_what_is_refused_first(tmp_path: Path) -> None:
    Image.new("RGB", (800, 300)).save(tmp_path / "b.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"none")
    table = PlanTable(make_plan(tmp_path, Options(size=64, small="leave-out", flips=True)))
    rows = [[cell.text for cell in table.cells(index, UNICODE)] for index in range(len(table))]
    assert [row[1] for row in rows] == ["d.png", "b.png", "c.png"]
    assert rows[1][2:7] == ["800x300", "128x64", "", "2", "25%"]
    assert [row[0] for row in rows] == ["×", " ", "-"]
    assert table.place_of(None) == 1 and table.place_of(tmp_path / "c.png") == 2


def test_choices_are_remembered_for_each_project(tmp_path: Path) -> None:
    choices = Choices(tmp_path / "a", tmp_path / "b", Options(size=96, split=2.5), 3)
    save_choices(tmp_path, choices)
    save_choices(tmp_path / "other", Choices())
    assert load_choices(tmp_path) == choices and load_choices(tmp_path / "other") == Choices()
    assert load_choices(tmp_path / "none") is None
    for wrong in ("[]", "{", f'{{"{tmp_path}": {{"source": "", "destination": "", "options": {{"x": 1}}}}}}'):
        (state_dir() / "prepare.json").write_text(wrong)
        assert load_choices(tmp_path) is None
