"""``captions filters`` and ``captions tables``: kept, used by other commands, told, forgotten, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from caption_folders import contents, make_folder

from lora_tui.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", {"a": "hat, long_hair", "b": "hat, lh", "c": "solo"})


def told(capsys: pytest.CaptureFixture[str], *argv: object, status: int = 0):
    """The JSON document of ``captions ARGV --json``."""
    capsys.readouterr()
    assert run(["captions", *map(str, argv), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def images(capsys: pytest.CaptureFixture[str], folder: Path, query: str) -> list[str]:
    return [row["image"] for row in told(capsys, "list", folder, "--where", query)]


def test_a_filter_is_kept_used_pinned_and_forgotten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "filters", folder)["filters"] == []
    kept = told(capsys, "filters", folder, "--where", "hat", "--save", "hats")["filters"]
    assert kept == [{"name": "hats", "query": "hat", "images": None}]
    pinned = told(capsys, "filters", folder, "--where", "in:@hats -lh", "--save", "now", "--pin")["filters"]
    assert pinned[1] == {"name": "now", "query": "in:@hats -lh", "images": ["a.png"]}
    told(capsys, "edit", folder, "--image", "c", "--do", "add hat")
    assert images(capsys, folder, "in:@hats") == ["a.png", "b.png", "c.png"]
    assert images(capsys, folder, "in:@now") == ["a.png"]
    assert run(["captions", "filters", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "in:@hats" in shown and "pinned to 1 image" in shown
    assert [one["name"] for one in told(capsys, "filters", folder, "--forget", "hats")["filters"]] == ["now"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--save", "x"], "usage"),
        (["--pin"], "usage"),
        (["--save", "x", "--where", "(a"], "query"),
        (["--save", "x y", "--where", "a"], "filters.name"),
        (["--save", "x", "--where", "in:@none"], "query"),
        (["--forget", "none"], "filters.unknown"),
    ],
)
def test_mistakes_keep_nothing(folder: Path, options: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "filters", folder, *options, status=2)["error"]["code"] == code
    assert told(capsys, "filters", folder)["filters"] == []


def test_tables_are_added_to_and_used_by_edits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = told(capsys, "tables", folder)
    assert (usual["there"], "hair length" in usual["tables"]["exclusive"]) == (False, True)
    told(capsys, "tables", folder, "--alias", "lh=long hair", "--imply", "long hair=hair,head", "--ban", "solo*")
    tables = told(capsys, "tables", folder)["tables"]
    assert tables["aliases"] == {"lh": "long hair"}
    assert tables["implies"] == {"long hair": ["hair", "head"]}
    assert tables["blacklist"] == ["solo*"]
    for operation in ("aliases", "implications", "blacklist"):
        told(capsys, "edit", folder, "--do", operation)
    assert [raw.decode() for name, raw in contents(folder).items() if name.endswith(".txt")] == [
        "hat, long_hair, hair, head",
        "hat, long hair, hair, head",
        "",
    ]
    assert run(["captions", "tables", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "tables.toml" in shown and 'lh = "long hair"' in shown


def test_tables_of_a_file_are_checked_and_taken(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text('order = ["solo", "*"]\n[exclusive]\ncolour = ["red", "blue"]\n')
    tables = told(capsys, "tables", folder, "--from", tmp_path / "mine.toml")["tables"]
    assert (tables["order"], tables["exclusive"]) == (["solo", "*"], {"colour": ["red", "blue"]})
    assert told(capsys, "tables", folder)["tables"] == tables


@pytest.mark.parametrize(
    "options",
    [
        ["--alias", "a"],
        ["--alias", "=b"],
        ["--imply", "a=,"],
        ["--alias", "a=b", "--alias", "b=a"],
        ["--from", "nothing.toml"],
    ],
)
def test_wrong_tables_change_nothing(folder: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error = told(capsys, "tables", folder, *options, status=2)["error"]
    assert error["code"] in ("usage", "tables.wrong")
    assert not told(capsys, "tables", folder)["there"]
