"""``lora-tui captions import``: lists that other programs have, kept for every project or for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from caption_folders import make_folder

from lora_tui.captions.complete import Completer, installed_lists, load_tag_list
from lora_tui.captions.index import Index
from lora_tui.cli.main import run
from lora_tui.settings import data_dir

TAGS = 'long_hair,0,4000000,"/lh,longhair"\nhatsune_miku,4,9000,\n'


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """The folder of BooruDatasetTagManager, as far as lists are concerned."""
    folder = tmp_path / "BDTM"
    for name, text in {
        "Tags/danbooru.csv": TAGS,
        "Translations/zh-CN.txt": "// comment\nlong_hair=长发\n*hat=帽子\n",
        "Languages/zh-CN.txt": "MenuFile=文件\n",
        "settings.json": "{}",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def told(capsys: pytest.CaptureFixture[str], *argv: object, status: int = 0):
    capsys.readouterr()
    assert run(["captions", *map(str, argv), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_the_lists_of_another_editor_are_kept_for_every_project(
    editor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = told(capsys, "import", editor)
    assert done["folder"] == str(data_dir() / "tags")
    assert [(Path(one["file"]).name, one["tags"], one["translations"], one["new"]) for one in done["lists"]] == [
        ("danbooru.csv", 2, 0, True),
        ("zh-CN.txt", 0, 2, True),
    ]
    lists = load_tag_list(installed_lists())
    assert [one.tag for one in Completer(Index(), lists).complete("长发")] == ["long hair"]
    assert not any(one["new"] for one in told(capsys, "import", editor)["lists"])
    assert len(told(capsys, "import")["lists"]) == 2
    folder = make_folder(tmp_path / "data", {"a": "hatsune miku, solo", "b": "solo"})
    assert [row["image"] for row in told(capsys, "list", folder, "--where", "cat:character")] == ["a.png"]


def test_a_project_has_lists_of_its_own_that_win(
    editor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "import", editor)
    project = tmp_path / "project"
    assert run(["new", str(project), "--purpose", "character"]) == 0
    make_folder(project / "images", {"a": "mimbu", "b": "solo"})
    own = tmp_path / "own.csv"
    own.write_text("mimbu,4,1,\n")
    (tmp_path / "own.txt").write_text("long hair=头发\n", "utf-8")
    told(capsys, "import", own, tmp_path / "own.txt", "--project", project / "images")
    assert sorted(path.name for path in (project / "tags").iterdir()) == ["own.csv", "own.txt"]
    found = told(capsys, "list", project / "images", "--where", "cat:character")
    assert [row["image"] for row in found] == ["a.png"]
    assert [one.tag for one in Completer(Index(), load_tag_list(installed_lists(project))).complete("头发")] == [
        "long hair"
    ]
    mistake = told(capsys, "import", own, "--project", tmp_path, status=2)
    assert mistake["error"]["code"] == "project.missing"


def test_what_is_no_list_is_named_and_the_others_kept(
    editor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (editor / "Tags" / "bad.csv").write_bytes(b"\x00\x01\xff\xfe\x80")
    (editor / "Tags" / "empty.txt").write_text("// nothing\n")
    (editor / "Translations" / "old.txt").write_bytes("long_hair=长发\nhat=帽子\n".encode("gbk"))
    done = told(capsys, "import", editor, status=1)
    assert [error["code"] for error in done["refused"]] == ["tags.unreadable", "tags.none"]
    assert all(error["place"] and error["remedy"] for error in done["refused"])
    assert [Path(one["file"]).name for one in done["lists"]] == ["danbooru.csv", "old.txt", "zh-CN.txt"]
    assert done["lists"][1]["encoding"] == "GB18030 (GBK)"
    assert (data_dir() / "tags" / "old.txt").read_text("utf-8") == "long_hair=长发\nhat=帽子\n"
    (editor / "Tags" / "danbooru.csv").write_text("other,0,1,\n")
    again = told(capsys, "import", editor / "Tags" / "danbooru.csv", status=1)
    assert [error["code"] for error in again["refused"]] == ["tags.exists"]
    assert (data_dir() / "tags" / "danbooru.csv").read_text() == TAGS
    told(capsys, "import", editor / "Tags" / "danbooru.csv", "--replace")
    assert (data_dir() / "tags" / "danbooru.csv").read_text() == "other,0,1,\n"
    assert told(capsys, "import", tmp_path / "nowhere", status=2)["error"]["code"] == "tags.unreadable"
    assert told(capsys, "import", editor / "settings.json", status=2)["error"]["code"] == "tags.none"


def test_rows_that_are_no_tags_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aliases = ",".join(f"alias {number}" for number in range(20_000))
    (tmp_path / "odd.csv").write_text(f'one,0,5,"{aliases}"\n,0,3,\ntwo,0,4,\n,,x\n')
    [kept] = told(capsys, "import", tmp_path / "odd.csv")["lists"]
    assert (kept["tags"], kept["odd"]) == (2, 2)
    capsys.readouterr()
    assert run(["captions", "import"]) == 0
    assert "2 rows name no tag" in capsys.readouterr().out


def test_reading_long_lists_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tags.csv").write_text(TAGS)
    told(capsys, "import", tmp_path / "tags.csv")
    folder = make_folder(tmp_path / "data", {"a": "hatsune miku, solo"})
    assert run(["captions", "list", str(folder), "--where", "cat:character"]) == 0
    assert "reading the lists of tags" in capsys.readouterr().err
