"""``captions lint``, ``prune``, ``trigger`` and ``phrases``: exit statuses, JSON, lines for a person, mending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.cli.main import run as main
from lora_tui.project import Project


def run(*argv: str) -> int:
    return main(["captions", *argv])


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    captions = {
        "a": b"hatgirl, long hair, smile, hat\n",
        "b": b"long hair, hatgirl, long_hair, hat",
        "c": b"hatgirl, long hair, \x1b[31mred[/], hat\r\n",
    }
    for name, raw in captions.items():
        (folder / f"{name}.png").touch()
        (folder / f"{name}.txt").write_bytes(raw)
    return folder


def test_problems_give_status_3_and_a_document(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lint", str(dataset), "--trigger", "hatgirl", "--json") == 3
    found = document(capsys)
    assert found["images"] == 3
    assert found["counts"] == {
        "caption.control": 1,
        "caption.crlf": 1,
        "tag.double_spelling": 1,
        "tag.spelling": 1,
        "trigger.not_first": 1,
    }
    [problem] = [row for row in found["problems"] if row["code"] == "trigger.not_first"]
    assert (problem["image"], problem["caption"], problem["fix"]) == ("b.png", "b.txt", 'trigger "hatgirl"')


def test_a_project_knows_the_trigger_and_filters_narrow(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Project.create(dataset.parent, trigger="hatgirl")
    assert run("lint", str(dataset), "--json", "--only", "trigger.*") == 3
    assert document(capsys)["counts"] == {"trigger.not_first": 1}
    assert run("lint", str(dataset), "--json", "--where", "name:a") == 0
    assert run("lint", str(dataset), "--where", "is:lint -name:c", "--ignore", "tag.*,trigger.*") == 0
    assert "No problem found" in capsys.readouterr().out


def test_the_filter_finds_the_captions_that_the_check_finds(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "a.txt").write_text(", ".join(f"tag {number}" for number in range(60)))
    Project.create(dataset.parent, trigger="hatgirl")
    (dataset / ".lora-tui").mkdir()
    (dataset / ".lora-tui" / "tables.toml").write_text('blacklist = ["hat"]\n')
    run("lint", str(dataset), "--json")
    codes: dict[str, list[str]] = {}
    for problem in document(capsys)["problems"]:
        codes.setdefault(problem["code"], []).append(problem["image"])
    assert {"caption.tokens", "trigger.missing", "trigger.not_first", "tag.banned"} <= codes.keys()
    for code, images in codes.items():
        assert run("list", str(dataset), "--where", f"lint:{code}", "--json") == 0
        assert [row["image"] for row in json.loads(capsys.readouterr().out)] == images, code


def test_lines_are_safe_and_name_the_fix(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lint", str(dataset), "--trigger", "[/x]\x1b[31m") == 3
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[/x]␛[31m" in out
    assert "lines lf" in out


def test_what_is_mended_is_said_and_can_be_taken_back(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in dataset.glob("*.txt")}
    assert run("lint", str(dataset), "--trigger", "hatgirl", "--fix", "--dry-run", "--json") == 3
    assert document(capsys)["mended"]
    assert {path.name: path.read_bytes() for path in dataset.glob("*.txt")} == before
    assert run("lint", str(dataset), "--trigger", "hatgirl", "--fix") == 0
    assert "No problem found" in capsys.readouterr().out
    assert (dataset / "a.txt").read_bytes() == before["a.txt"]
    assert (dataset / "b.txt").read_bytes() == b"hatgirl, long hair, hat"
    assert (dataset / "c.txt").read_bytes() == b"hatgirl, long hair, [31mred[/], hat\n"
    assert (dataset / ".lora-tui" / "journal").is_dir()


@pytest.mark.parametrize(
    "argv",
    [
        ["lint", "{set}/none"],
        ["lint", "{set}", "--profile", "nobody"],
        ["lint", "{set}", "--where", "(a"],
        ["lint", "{set}", "--tokens", "0"],
        ["prune", "{set}"],
        ["prune", "{set}", "--purpose", "nonsense"],
        ["prune", "{set}", "--purpose", "style", "--share", "0"],
        ["trigger", "x", "{set}", "--tags", "{set}/none.csv"],
        ["phrases", "{set}", "--longest", "0"],
    ],
)
def test_wrong_input_is_status_2_and_one_line(
    dataset: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert run(*(argument.format(set=dataset) for argument in argv)) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_prune_says_what_to_absorb(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prune", str(dataset), "--purpose", "character", "--trigger", "hatgirl", "--json") == 0
    found = document(capsys)
    assert (found["captions"], found["operation"]) == (3, 'remove "long hair"')
    assert {row["tag"]: row["advice"] for row in found["tags"]}["hat"] == "perhaps"
    assert run("prune", str(dataset), "--purpose", "character", "--where", "smile") == 0
    out = capsys.readouterr().out
    assert "hair: long hair 100%" in out
    assert "\x1b" not in out


def test_trigger_says_what_speaks_against_a_word(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trigger", "hatgirl", str(dataset)) == 0
    assert "Nothing speaks against" in capsys.readouterr().out
    (dataset / "tags.csv").write_text("hatgril,0,5,\n")
    assert run("trigger", "hatgril", str(dataset), "--tags", str(dataset / "tags.csv"), "--json") == 3
    assert [problem["code"] for problem in document(capsys)["problems"]] == ["trigger.known_tag"]
    assert run("trigger", "dog", str(dataset)) == 3


def test_lists_of_the_user_are_found(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lora_tui.settings import data_dir

    (data_dir() / "tags").mkdir(parents=True)
    (data_dir() / "tags" / "mine.csv").write_text("hatgril,0,5,\n")
    assert run("trigger", "hatgril", str(dataset), "--json") == 3


def test_phrases_are_listed(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        (dataset / f"{name}.txt").write_text("A red hat lies on the table.")
    assert run("phrases", str(dataset), "--json") == 0
    assert [row["text"] for row in document(capsys)["phrases"]] == ["hat", "hat lies on the table", "red hat lies"]
    assert run("phrases", str(dataset), "--least", "9") == 0
    assert "No phrase" in capsys.readouterr().out


def test_what_could_not_be_mended_is_not_said_to_be(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "b.txt").chmod(0o444)
    before = (dataset / "b.txt").read_bytes()
    assert run("lint", str(dataset), "--trigger", "hatgirl", "--only", "trigger.*", "--fix", "--json") == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert "b.txt" in said.err
    [row] = found["mended"]
    assert (row["operation"], row["captions"]) == ('trigger "hatgirl"', 0)
    assert list(row["failures"]) == ["b.txt"]
    assert found["counts"] == {"trigger.not_first": 1}
    assert (dataset / "b.txt").read_bytes() == before
    assert run("lint", str(dataset), "--trigger", "hatgirl", "--only", "trigger.*", "--fix") == 1
    assert "0 captions" in capsys.readouterr().out
    (dataset / "b.txt").chmod(0o644)
    assert run("lint", str(dataset), "--trigger", "hatgirl", "--only", "trigger.*", "--fix") == 0


def test_tags_are_cut_off_only_where_that_is_asked_for(dataset: Path) -> None:
    long = ", ".join(f"tag {number}" for number in range(60))
    (dataset / "a.txt").write_text(long)
    assert run("lint", str(dataset), "--only", "caption.*", "--fix") == 3
    assert (dataset / "a.txt").read_text() == long
    assert run("lint", str(dataset), "--only", "caption.tokens", "--fix") == 0
    assert (dataset / "a.txt").read_text() in long


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [("spell spaces", "hat_girl_x, long hair, ^_^"), ("spell upper", "hat_girl_x, LONG_HAIR, ^_^")],
)
def test_the_trigger_of_the_project_keeps_its_spelling(dataset: Path, operation: str, wanted: str) -> None:
    Project.create(dataset.parent, trigger="hat_girl_x")
    (dataset / "a.txt").write_text("hat_girl_x, long_hair, ^_^")
    assert run("edit", str(dataset), "--image", "a.png", "--do", operation) == 0
    assert (dataset / "a.txt").read_text() == wanted


@pytest.mark.parametrize("option", ["--only", "--ignore"])
def test_a_problem_that_there_is_not_is_a_mistake(
    dataset: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lint", str(dataset), option, "tag.*,trigger.missin", "--json") == 2
    error = document(capsys)["error"]
    assert (error["place"], error["remedy"]) == (f"{option} trigger.missin", "Choose one of: trigger.missing.")
    assert run("list", str(dataset), "--where", "lint:doubel", "--json") == 2
    assert document(capsys)["error"]["remedy"] == "Perhaps double is meant."


def test_a_negative_limit_is_a_mistake_and_drops_nothing(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("log", str(dataset), "--limit", "-1", "--json") == 2
    assert document(capsys)["error"]["place"] == "--limit -1"


@pytest.mark.parametrize("ending", [".png", ".safetensors"])
def test_a_caption_is_taken_from_no_image(dataset: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edit", str(dataset), "--do", f"take {ending} append", "--json") == 2
    error = document(capsys)["error"]
    assert (error["code"], error["place"]) == ("captions.operation", "column 6")
    assert "ending" in error["message"]


@pytest.mark.parametrize(("caption", "code"), [("long hair", "trigger.missing"), ("HatGirl, hat", "trigger.case")])
def test_a_caption_without_the_trigger_is_judged_alike_by_lint_and_by_the_check_of_the_dataset(
    tmp_path: Path, caption: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text(caption)
    assert run("lint", str(tmp_path), "--trigger", "hatgirl", "--json") == 3
    [linted] = [row for row in document(capsys)["problems"] if row["code"] == code]
    assert main(["dataset", "check", str(tmp_path), "--trigger", "hatgirl", "--json"]) == 3
    [checked] = [row for row in document(capsys)["problems"] if row["code"] == code]
    assert (linted["severity"], linted["message"]) == (checked["severity"], checked["message"])
    assert linted["severity"] == "warning"
