"""``lora-tui captions``: the engine from the command line, with what it leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from caption_folders import contents, make_folder, opened, previewed
from PIL import Image

from lora_tui.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", {"a": "1girl, solo", "b": "1girl, [red]\x1b[31m\n", "sub/c": None})


def told(capsys: pytest.CaptureFixture[str], *argv: object, status: int = 0):
    """The JSON document of ``captions ARGV --json``."""
    capsys.readouterr()
    assert run(["captions", *map(str, argv), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_an_edit_is_shown_first_then_done_then_undone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    command = ("edit", folder, "--where", "1girl -solo", "--do", 'add "trigger" front')
    shown = told(capsys, *command, "--dry-run")
    assert (shown["images"], shown["occurrences"], shown["transactions"]) == (1, 1, [])
    assert contents(folder) == before
    assert not (folder / ".lora-tui").exists()
    done = told(capsys, *command)
    assert done["samples"] == [
        {"image": "b.png", "before": "1girl, [red]\x1b[31m\n", "after": "trigger, 1girl, [red]\x1b[31m\n"}
    ]
    assert done["transactions"][0]["files"] == 1
    assert (folder / "b.txt").read_text() == "trigger, 1girl, [red]\x1b[31m\n"
    told(capsys, "undo", folder)
    assert contents(folder) == before
    told(capsys, "redo", folder)
    assert (folder / "b.txt").read_text().startswith("trigger, ")
    assert told(capsys, "undo", folder, 9)["transactions"][0]["operation"] == "undo 1"
    assert told(capsys, "undo", folder, status=2)["error"]["code"] == "captions.nothing_to_undo"


def test_a_new_caption_goes_when_its_making_is_undone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "edit", folder, "--image", "sub/c", "--do", "add x")
    assert (folder / "sub" / "c.txt").read_text() == "x"
    told(capsys, "undo", folder)
    assert not (folder / "sub" / "c.txt").exists()


def test_log_blame_revert_and_review(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "edit", folder, "--do", "add one", "--author", "wd14")
    told(capsys, "edit", folder, "--do", "add two", "--author", "me", "--image", "a")
    assert [row["operation"] for row in told(capsys, "log", folder)] == ["add two", "add one"]
    assert [row["author"] for row in told(capsys, "log", folder, "--tag", "one")] == ["wd14"]
    assert [row["number"] for row in told(capsys, "log", folder, "--image", "b")] == [1]
    origins = told(capsys, "blame", folder, "a.png")
    assert [(row["tag"], row["record"] and row["record"]["author"]) for row in origins] == [
        ("1girl", None),
        ("solo", None),
        ("one", "wd14"),
        ("two", "me"),
    ]
    assert [row["image"] for row in told(capsys, "list", folder, "--where", "by:me")] == ["a.png"]
    told(capsys, "revert", folder, "--transaction", 1)
    assert (folder / "a.txt").read_text() == "1girl, solo, two"
    told(capsys, "revert", folder, "--tag", "two", "--since", "1h")
    assert (folder / "a.txt").read_text() == "1girl, solo"
    told(capsys, "revert", folder, "--image", "a")
    assert (folder / "a.txt").read_text() == "1girl, solo, two"
    told(capsys, "review", folder, "--where", "1girl", "--author", "me")
    assert len(told(capsys, "list", folder, "--where", "is:reviewed")) == 2
    told(capsys, "edit", folder, "--do", "add three", "--image", "b", "--author", "wd14")
    assert [row["image"] for row in told(capsys, "list", folder, "--where", "is:reviewed")] == ["a.png"]


def test_list_show_and_export(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = told(capsys, "list", folder)
    assert (rows[0]["image"], rows[0]["tags"]) == ("a.png", ["1girl", "solo"])
    assert rows[2]["text"] is None
    assert told(capsys, "list", folder, "--tags")[0] == {"tag": "1girl", "images": 2, "of": 2}
    (shown,) = told(capsys, "show", folder, "a")
    assert (shown["as_trained"], shown["tokens"], shown["prose"]) == ("1girl, solo", 4, False)
    new_caption = folder / "sub" / "c.txt"
    new_caption.write_text("\nsks ||| a;;;b\nsecond")
    (marked,) = told(capsys, "show", folder, "sub/c")
    assert (marked["as_trained"], [tag["zone"] for tag in marked["tags"]]) == ("sks, a, b", ["keep", "free", "free"])
    new_caption.unlink()
    told(capsys, "export", folder, tmp_path / "meta.json")
    assert json.loads((tmp_path / "meta.json").read_text())["a"] == {"tags": "1girl, solo"}
    told(capsys, "export", folder, tmp_path / "meta.jsonl", "--where", "solo")
    (line,) = (tmp_path / "meta.jsonl").read_text().splitlines()
    assert json.loads(line) == {"image_path": str(folder / "a.png"), "caption": "1girl, solo"}
    assert run(["captions", "list", str(folder)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_filters_ask_for_buckets_and_near_duplicates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(tmp_path, dict.fromkeys(("wide", "tall1", "tall2", "broken"), "x"))
    picture = Image.effect_mandelbrot((320, 640), (-3, -2.5, 2, 2.5), 100)
    picture.save(tmp_path / "tall1.png")
    picture.resize((300, 600)).save(tmp_path / "tall2.png")
    Image.radial_gradient("L").resize((640, 320)).save(tmp_path / "wide.png")

    def found(query: str, *more: object) -> list[str]:
        return [row["image"] for row in told(capsys, "list", tmp_path, "--where", query, *more)]

    assert found("bucket:704x320 OR bucket:320x704") == ["tall1.png", "tall2.png", "wide.png"]
    assert found("bucket:320x704") == ["tall1.png", "tall2.png"]
    (tmp_path / "config.toml").write_text("[data]\nbuckets = false\nresolution = 256\n")
    assert found("bucket:256x256", "--config", tmp_path / "config.toml") == ["tall1.png", "tall2.png", "wide.png"]
    assert found("dup:any") == found("dup:1") == ["tall1.png", "tall2.png"]
    assert found("-is:duplicate") == ["broken.png", "wide.png"]
    mistake = told(capsys, "list", tmp_path, "--where", "w>1", "--config", tmp_path / "none.toml", status=2)
    assert mistake["error"]["code"] == "config.missing"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["edit", "--do", "ad x"], "captions.operation"),
        (["edit", "--do", "add x", "--where", "(1girl"], "query"),
        (["edit", "--do", "add x", "--image", "nobody"], "captions.image"),
        (["edit", "--do", "add x", "--profile", "nothing"], "captions.profile"),
        (["blame", "a", "nothing"], "captions.tag"),
        (["revert", "--transaction", "7"], "captions.no_transaction"),
        (["redo"], "captions.nothing_to_redo"),
        (["edit", "--do", "take nosuch.png union"], "captions.image"),
        (["export", "out.xyz"], "captions.format"),
    ],
)
def test_mistakes_are_named(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str) -> None:
    before = contents(folder)
    error = told(capsys, arguments[0], folder, *arguments[1:], status=2)["error"]
    assert error["code"].startswith(code)
    assert contents(folder) == before


def test_what_could_not_be_written_fails_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.txt").chmod(0o444)
    done = told(capsys, "edit", folder, "--do", "remove 1girl", status=1)
    assert list(done["transactions"][0]["failures"]) == ["a.txt"]
    assert (folder / "b.txt").read_text() == "[red]\x1b[31m\n"


def test_other_endings_and_other_lines_are_told_and_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path, {"a": "1girl\nA girl.", "b": "1girl"})
    (folder / "a.caption").write_text("A girl in prose.")
    assert told(capsys, "endings", folder) == {
        "images": 2,
        "lines": 2,
        "endings": [{"ending": ".txt", "images": 2, "read": 2}, {"ending": ".caption", "images": 1, "read": 0}],
    }
    told(capsys, "edit", folder, "--extension", ".caption", "--do", "take .txt ifempty")
    told(capsys, "edit", folder, "--line", 2, "--do", "set Other.")
    assert {path.name: path.read_text() for path in folder.glob("?.*") if path.suffix != ".png"} == {
        "a.txt": "1girl\nOther.",
        "a.caption": "A girl in prose.",
        "b.txt": "1girl\nOther.",
        "b.caption": "1girl",
    }
    assert told(capsys, "list", folder, "--line", "0", status=2)["error"]["code"] == "captions.line"


def test_edits_that_another_programs_change_kept_out_are_listed_and_settled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path, {"a": "1girl, hat", "b": "A woman in a red hat stands in a field. She waves."})
    session = opened(folder)
    found = [previewed(session, "rename hat to cap"), previewed(session, "phrase rename red to blue")]
    (folder / "a.txt").write_text("1girl, hat, tree")
    (folder / "b.txt").write_text("A woman in a green hat stands in a field. She waves.")
    for one in found:
        session.apply(one, "me")
    session.close()
    listed = told(capsys, "conflicts", folder, status=3)["conflicts"]
    assert [(row["file"], row["merged"], row["ways"]) for row in listed] == [
        ("a.txt", "1girl, cap, tree", ["merge", "ours", "theirs"]),
        ("b.txt", None, ["ours", "theirs"]),
    ]
    before = contents(folder)
    told(capsys, "conflicts", folder, "--take", "merge", "--dry-run", status=3)
    assert contents(folder) == before
    done = told(capsys, "conflicts", folder, "--take", "merge", status=3)
    assert done["transactions"][0]["files"] == 1
    assert (folder / "a.txt").read_text() == "1girl, cap, tree"
    assert [row["file"] for row in told(capsys, "conflicts", folder, status=3)["conflicts"]] == ["b.txt"]
    assert told(capsys, "conflicts", folder, "--file", "a.txt", status=2)["error"]["code"] == "captions.no_conflict"
    assert run(["captions", "conflicts", str(folder), "--file", "b.txt", "--take", "theirs"]) == 0
    assert "> on disk: A woman in a green hat" in capsys.readouterr().out
    assert told(capsys, "conflicts", folder) == {
        "conflicts": [],
        "take": None,
        "dry_run": False,
        "transactions": [],
        "refused": [],
    }
    told(capsys, "undo", folder, 2)
    assert contents(folder) == before
    assert len(told(capsys, "conflicts", folder, status=3)["conflicts"]) == 2


def test_a_bracket_that_would_swallow_other_tags_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path, {"a": "x, y, :), x, z", "b": "x, y"})
    done = told(capsys, "edit", folder, "--do", 'rename x to "(foo"', status=1)
    assert [(one["place"], one["code"]) for one in done["refused"]] == [("a.txt", "captions.bracket")]
    assert (folder / "a.txt").read_text() == "x, y, :), x, z"
    assert (folder / "b.txt").read_text() == "(foo, y"


def test_a_caption_in_an_old_encoding_is_not_guessed_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path, {"a": "长发".encode("gbk"), "b": "长发, x"})
    done = told(capsys, "edit", folder, "--do", "encode utf-8", status=1)
    assert [(one["place"], one["code"]) for one in done["refused"]] == [("a.txt", "captions.encoding")]
    assert "gb18030: 长发" in done["refused"][0]["remedy"]
    told(capsys, "edit", folder, "--do", "encode utf-8 from gb18030")
    assert {(folder / name).read_text("utf-8") for name in ("a.txt", "b.txt")} == {"长发", "长发, x"}
