"""Aliases, implications, needless tags, exclusive groups, black list and order of a dataset."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_tui.captions.tables import Tables, load_tables, save_tables
from lora_tui.errors import UserError


def test_aliases_are_followed_to_their_end() -> None:
    tables = Tables(aliases={"1_girl": "one girl", "one girl": "1girl", "x": "X"})
    assert tables.canonical("1 Girl") == "1girl"
    assert tables.canonical("1girl") == "1girl"
    assert tables.canonical("x") == "x"


def test_all_spellings_and_names_of_a_tag_are_one_for_every_table() -> None:
    tables = Tables(
        aliases={"lh": "long hair", "hair_long": "lh"},
        implications={"Long_Hair": ("hair",), "lh": ("Head_Hair",)},
        consolidate={"hair long": ("HAIR",)},
        groups={"length": ("lh", "short_hair")},
        blacklist=("Hair Long",),
        order=("LH", "*"),
    )
    for tag in ("long hair", "Long hair", "long_hair", "lh", "LH", "hair_long"):
        assert tables.key(tag) == "long hair"
        assert tables.implied(tag) == ("hair", "Head_Hair")
        assert tables.needless([tag, "Hair"]) == (1,)
        assert tables.conflicts([tag, "Short Hair"]) == [("length", (tag, "Short Hair"))]
        assert tables.banned(tag)
        assert tables.rank(tag) == 0


def test_implications_go_on_and_end_in_circles() -> None:
    tables = Tables(implications={"black cat": ("cat",), "cat": ("animal", "pet"), "pet": ("cat",)})
    assert tables.implied("black_cat") == ("cat", "animal", "pet")
    assert tables.implied("dog") == ()


def test_what_is_specific_makes_the_general_needless() -> None:
    tables = Tables(consolidate={"beret": ("hat",)}, implications={"black cat": ("animal",)})
    tags = ["shirt", "white_shirt", "hat", "beret", "animal", "black cat", "cat", "Shirt"]
    assert [tags[place] for place in tables.needless(tags)] == ["shirt", "hat", "animal", "cat", "Shirt"]
    assert Tables(by_ending=False).needless(["shirt", "white shirt"]) == ()
    assert tables.needless(["long hair", "long_hair"]) == ()
    assert tables.needless(["t-shirt", "shirt"]) == ()


def test_exclusive_groups_name_what_contradicts() -> None:
    assert Tables().conflicts(["solo", "Short_Hair", "long hair", "long_hair"]) == [
        ("hair length", ("Short_Hair", "long hair"))
    ]
    assert Tables().conflicts(["long hair", "long_hair"]) == []


def test_the_black_list_and_the_order_take_patterns() -> None:
    tables = Tables(blacklist=("*watermark*", "signature"), order=("1girl", "*hair", "*", "background"))
    assert tables.banned("Watermark (2)")
    assert tables.banned("Signature")
    assert not tables.banned("sign")
    assert [tables.rank(tag) for tag in ("1girl", "long_hair", "smile", "background")] == [0, 1, 2, 3]
    assert Tables(order=("a",)).rank("b") == 1


def test_tables_are_kept_with_the_dataset(tmp_path: Path) -> None:
    assert load_tables(tmp_path) == Tables()
    tables = Tables({"a": "b"}, {"c": ("d",)}, {"e": ("f", "g")}, False, {"h": ("i", "j")}, ("k*",), ("l",))
    save_tables(tmp_path / "new", tables)
    assert load_tables(tmp_path / "new") == tables
    save_tables(tmp_path, Tables())
    assert load_tables(tmp_path) == Tables()


@pytest.mark.parametrize(
    "text",
    [
        "[aliases]\na = 1",
        "[aliases]\na = 'b'\nb = 'c'\nc = 'a'",
        "aliases = 'a'",
        "[implies]\na = [1]",
        "blacklist = 'a'",
        "order = ['']",
        "by_ending = 'yes'",
        "[exlusive]\na = ['b']",
        "no toml",
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "tables.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_tables(tmp_path)
    assert caught.value.code == "tables.wrong"
    assert caught.value.place.endswith("tables.toml")


@pytest.mark.parametrize("kind", ["pipe", "folder", "huge"])
def test_what_is_no_file_of_tables_is_named_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tables.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"#" * 5_000_000)
    with pytest.raises(UserError) as caught:
        load_tables(tmp_path)
    assert caught.value.code == "tables.wrong"
