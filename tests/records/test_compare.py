"""Runs side by side, and as files for other eyes."""

import csv
import io
import json
import re
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
from PIL import Image, ImageFont
from run_builders import add_lines, event_line, step_line

from lora_tui.alarms.alarm import Alarm, write_alarms
from lora_tui.errors import UserError
from lora_tui.records.compare import Comparison, as_json, compare, setting_title
from lora_tui.records.export import FORMATS, export, markdown, table_csv, unwritten
from lora_tui.records.figure import Line, figure
from lora_tui.records.figure_files import png, svg
from lora_tui.records.fonts import font_for
from lora_tui.records.kept_events import kept_events
from lora_tui.records.notes import change_notes, change_tags
from lora_tui.records.rows import read_rows
from lora_tui.runs.folder import RunFolder


def test_three_runs_side_by_side(runs: list[RunFolder]) -> None:
    told = compare(read_rows(runs, runs[0].root.parent))
    settings = {line.key: line.values for line in told.settings}
    assert settings["network.rank"] == ("32", "64", "8")
    assert settings["model.family"] == ("sd15", "flux", "sd15")
    assert "saving.name" not in settings and told.alike > 100
    assert told.names == ("run 1", "run 2", "run 3")
    results = {line.key: line.values for line in told.results}
    assert results["steps"] == ("100/100", "74/100", "100/100")
    one, two = told.datasets
    assert one is not None and one.removed == ("0/0.png",)
    assert two is not None and two.removed == ("0/0.png", "0/1.png")
    assert [len(some) for some in told.drawn[0].samples] == [3, 2, 3]
    assert json.loads(json.dumps(as_json(told), default=str))["settings"]["network.rank"] == ["32", "64", "8"]


def test_numbers_for_programs_are_written_as_ever(runs: list[RunFolder]) -> None:
    for run, rate in zip(runs, ("1e-4", "5e-5", "3.16227766017e-5"), strict=True):
        text = run.config_path.read_text("utf-8")
        run.config_path.write_text(re.sub(r"(?m)^unet_lr = .*$", f"unet_lr = {rate}", text), "utf-8")
    told = compare(read_rows(runs, runs[0].root.parent))
    (line,) = (line for line in told.settings if line.key == "learning.unet_lr")
    assert line.values == ("1e-4", "5e-5", "3.16227766017e-5")
    assert as_json(told)["settings"][line.key] == ["0.0001", "5e-05", "3.16227766017e-05"]


def test_alarms_stand_beside_each_other_with_the_step_where_they_began(runs: list[RunFolder]) -> None:
    alarms = [("overfitting", 40, 30), ("nan", 50, 50), ("overfitting", 90, 1060), ("made\x1b[2J[/x]", 0, 0)]
    write_alarms(runs[1].root, [Alarm(code, "warning", "", "", step=step, at=at) for code, step, at in alarms])
    told = compare(read_rows(runs[:2], runs[0].root.parent))
    (line,) = [line for line in told.results if line.key == "alarms"]
    assert line.values[0] == "-" and line.values[1].startswith("overfitting @1,060, NaN @50, made")
    assert "\x1b" not in line.values[1]


def test_everything_is_written_and_can_be_read(runs: list[RunFolder], tmp_path: Path) -> None:
    change_notes(runs[0], note="=cmd|x\n*bold* [x](y)", rating=3)
    change_tags(runs[0], ["good"])
    add_lines(runs[1], [event_line("resumed", step=60), step_line(61, loss=9.0)])
    told = compare(read_rows(runs[:2], runs[0].root.parent))
    folder = tmp_path / "out"
    made = export(told, folder, FORMATS)
    assert made[0].name == "report.md" and all(path.is_file() for path in made)
    report = made[0].read_text("utf-8")
    assert (
        "| network.rank | 32 | 64 |" in report
        and "\\*bold\\* \\[x\\](y)" in report
        and "![loss.svg](loss.svg)" in report
    )
    assert "| hatgirl, smile, outdoors | ![" in report and report.count("](samples/") == 4
    for path in folder.glob("samples/*.png"):
        assert f"samples/{path.name}" in report
    with (folder / f"{runs[1].name}.csv").open(newline="") as file:
        steps = list(csv.DictReader(file))
    assert [row["step"] for row in steps] == [str(step) for step in range(1, 62)], "what the resume took back is gone"
    assert steps[-1]["loss"] == "9.0" and steps[49]["validation"] and steps[0]["lr.unet"]
    assert Xml.parse(folder / "loss.svg").getroot().tag.endswith("svg")
    with Image.open(folder / "loss.png") as picture:
        assert picture.size[0] > 1000 and len(picture.getcolors(1 << 20) or []) > 20
    table = list(csv.DictReader(io.StringIO(table_csv(told.rows))))
    assert table[0]["note"].startswith("'=cmd") and table[0]["network.rank"] == "32" and table[0]["tags"] == "good"


def test_a_folder_that_cannot_be_written_is_named(runs: list[RunFolder], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = compare(read_rows(runs[:1], runs[0].root.parent))
    with pytest.raises(UserError) as refused:
        export(told, tmp_path / "file" / "x", ("md",))
    assert refused.value.code == "export.write"


def test_a_report_of_one_run_has_no_differences(runs: list[RunFolder]) -> None:
    text = markdown(compare(read_rows(runs[:1], runs[0].root.parent)))
    assert "Results" in text and "Settings that differ" not in text


def test_what_has_no_numbers_is_drawn_all_the_same() -> None:
    nan, inf = float("nan"), float("inf")
    for values in ([], [nan, nan], [inf, -inf], [0.0], [1e300, -1e300], [nan, 1.0, nan], [-1.0, -2.0]):
        for log in (False, True):
            drawn = figure("<x> & y", [Line("a<b>&", range(1, len(values) + 1), values)], log=log)
            Xml.fromstring(svg(drawn))
    assert png(drawn).startswith(b"\x89PNG")


def test_the_names_of_many_runs_are_all_within_the_picture() -> None:
    for count in (1, 3, 4, 9):
        drawn = figure("loss", [Line(f"run {number}", [1, 2], [0.1, 0.2], number) for number in range(count)])
        named = [word for word in drawn.words if word.text.startswith("run ")]
        assert len(named) == count and all(0 < word.y < drawn.height - 4 for word in named)


def test_events_that_still_hold_are_those_of_the_weights(runs: list[RunFolder]) -> None:
    run = runs[1]
    add_lines(run, [event_line("resumed", step=50), *[step_line(step) for step in range(51, 56)]])
    add_lines(run, ["torn {\n", event_line("resumed", step=52), step_line(53)])
    steps = [event["step"] for event in kept_events(run) if event.get("kind") == "step"]
    assert steps == list(range(1, 54))


def test_settings_are_called_what_the_form_calls_them() -> None:
    assert setting_title("network.rank") == "rank"
    assert setting_title("saving.every_steps") == "every steps (Saving)" != setting_title("sampling.every_steps")
    assert setting_title("datasets.1.repeats").endswith("(Folders 2)")
    assert setting_title("network.unheard_of") == "network.unheard_of"


def test_letters_that_pillows_own_font_lacks_are_drawn_with_one_of_the_machine_or_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_tui.records import fonts

    assert font_for("hat-girl 2", 13)[1]
    strange = "\U0001f9ff\u4e2d\u03a9"  # hardly any font has all three
    monkeypatch.setattr(fonts, "_candidates", tuple)
    fonts._found.cache_clear()
    told = Comparison((), (), (), 0, (), (), (), (), (), (strange, "plain"))
    assert strange in unwritten(told, ["png"]) and "plain" not in unwritten(told, ["png"])
    assert unwritten(told, ["svg"]) == ""
    monkeypatch.undo()
    fonts._found.cache_clear()
    own = ImageFont.load_default(16)
    some = next((place for place in fonts._candidates() if fonts._has_all(ImageFont.truetype(place, 16), "\u2603")), "")
    found, whole = font_for("\u2603", 16)
    assert whole == (bool(some) or fonts._has_all(own, "\u2603"))
    assert not whole or fonts._has_all(found, "\u2603")
