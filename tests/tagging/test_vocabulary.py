"""Lists of tags in the formats that taggers come with, and descriptions of taggers, right and wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_tui.errors import UserError
from lora_tui.tagging.description import of_plain, read_description
from lora_tui.tagging.vocabulary import read_vocabulary


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "t.csv",
            "tag_id,name,category,count\n1,1girl,0,5\n2,x_(y),4,1\n3,safe,9,1\n4,odd,77,1\n",
            [("1girl", "general"), ("x_(y)", "character"), ("safe", "rating"), ("odd", "other")],
        ),
        ("t.csv", '\ufeffname\n"a,b"\n', [("a,b", "general")]),
        ("t.csv", "tag,category\na,Artist\n", [("a", "artist")]),
        (
            "t.txt",
            "1girl\nrating:safe\n\nlong_hair\n",
            [("1girl", "general"), ("rating:safe", "rating"), ("long_hair", "general")],
        ),
        ("t.json", '["a", "rating_x"]', [("a", "general"), ("rating_x", "rating")]),
        (
            "t.json",
            '{"1": {"tag": "b", "category": "Character"}, "0": {"tag": "a", "category": "General"}}',
            [("a", "general"), ("b", "character")],
        ),
        ("t.txt", "a\x1b[31mb\n", [("ab", "general")]),
    ],
)
def test_lists_of_tags(tmp_path: Path, name: str, text: str, expected: list[tuple[str, str]]) -> None:
    found = read_vocabulary(written(tmp_path / name, text))
    assert list(zip(found.names, found.categories, strict=True)) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", ""),
        ("t.csv", "a,b\n1,2\n"),
        ("t.csv", "tag_id,name\n1\n"),
        ("t.txt", "\n\n"),
        ("t.txt", b"\xff\xfe\x00"),
        ("t.json", "{"),
        ("t.json", '{"0": "a", "2": "b"}'),
        ("t.json", "[1]"),
        ("t.json", '{"x": "a"}'),
        ("t.json", "5"),
        ("t.json", "[" * 100_000),
        ("t.csv", 'name\n"open'),
    ],
)
def test_what_is_no_list_of_tags(tmp_path: Path, name: str, text: str | bytes) -> None:
    with pytest.raises(UserError) as caught:
        read_vocabulary(written(tmp_path / name, text))
    assert caught.value.code == "tagger.tags"
    assert name in caught.value.place
    assert caught.value.remedy


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_vocabulary(tmp_path / "nowhere.csv")


def test_tags_are_found_in_any_spelling(tmp_path: Path) -> None:
    known = read_vocabulary(written(tmp_path / "t.txt", "1girl\nlong_hair\nsaber_(fate)\n"))
    assert [known.place(tag) for tag in ("Long hair", "long_hair", r"saber \(fate\)", "nothing")] == [1, 1, 2, None]


DESCRIPTION = """
name = "deep"
model = "model.onnx"
tags = "tags.txt"
layout = "NCHW"
colours = "BGR"
scale = 1
mean = [0.5, 0.5, 0.5]
std = [1, 2, 3]
size = [320, 448]
fit = "crop"
background = [0, 0, 0]
sigmoid = true
output = "out"
"""


@pytest.fixture
def described(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "tags.txt").write_text("a\n")
    return written(tmp_path / "deep.toml", DESCRIPTION)


def test_a_description_says_everything(described: Path) -> None:
    found = read_description(described)
    assert (found.name, found.model, found.tags) == (
        "deep",
        described.parent / "model.onnx",
        described.parent / "tags.txt",
    )
    assert (found.layout, found.colours, found.scale, found.size) == ("NCHW", "BGR", 1.0, (320, 448))
    assert (found.mean, found.std, found.background) == ((0.5, 0.5, 0.5), (1.0, 2.0, 3.0), (0, 0, 0))
    assert (found.fit, found.sigmoid, found.output) == ("crop", True, "out")
    assert of_plain(json.loads(json.dumps(found.as_plain()))) == found


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("layout =", "layuot =", "layuot", "Did you mean “layout”?"),
        ('"NCHW"', '"NHCW"', "layout", "choose one of: NHWC, NCHW"),
        ("scale = 1", "scale = true", "scale", "number"),
        ("[0.5, 0.5, 0.5]", "[0.5]", "mean", "3 numbers"),
        ("[1, 2, 3]", "[1, 0, 3]", "std", "cannot be 0"),
        ("[320, 448]", "0", "size", "pixels"),
        ("[320, 448]", "100000", "size", "pixels"),
        ("[0, 0, 0]", "[0, 0, 300]", "background", "0 to 255"),
        ("sigmoid = true", "sigmoid = 1", "sigmoid", "true or false"),
        ('"model.onnx"', '"nowhere.onnx"', "model", "no file"),
        ('tags = "tags.txt"', "", "tags", "a file is wanted"),
        ('name = "deep"', "name = 5", "name", "text"),
        ('name = "deep"', "name = ", "deep.toml", "cannot be read"),
    ],
)
def test_mistakes_in_a_description(described: Path, old: str, new: str, place: str, said: str) -> None:
    written(described, DESCRIPTION.replace(old, new))
    with pytest.raises(UserError) as caught:
        read_description(described)
    assert caught.value.code == "tagger.description"
    assert place in caught.value.place
    assert said in str(caught.value)
