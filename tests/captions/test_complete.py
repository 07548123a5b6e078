"""Completion: what comes first, what is found by what, and the files that people have."""

from __future__ import annotations

import re
import string
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.complete import Completer, Named, TagList, load_tag_list, parse_csv, parse_lines
from lora_tui.captions.index import Index
from lora_tui.captions.names import Names
from lora_tui.errors import UserError

A1111 = '1girl,0,5000000,"1girls,sole_female"\nlong_hair,0,4000000,"/lh,longhair"\nsaber_(fate),4,9000,\n^_^,0,300,\n'
WD = "tag_id,name,category,count\n1,general,9,800\n2,long_hair,0,400\n3,hatsune_miku,4,100\n"


def an_index(*captions: str) -> Index:
    index = Index()
    for number, caption in enumerate(captions):
        index.add(number, caption.split(", "))
    return index


def found(completer: Completer, typed: str) -> list[tuple[str, str, int]]:
    return [(one.tag, one.source, one.count) for one in completer.complete(typed)]


def test_the_dataset_comes_first_then_the_lists() -> None:
    index = an_index("long hair, hat", "long hair, long skirt", "long_coat, x")
    completer = Completer(index, TagList(parse_csv(A1111 + "long_sleeves,0,70,\n")))
    assert found(completer, "long") == [
        ("long hair", "dataset", 2),
        ("long skirt", "dataset", 1),
        ("long_coat", "dataset", 1),
        ("long sleeves", "list", 70),
    ]
    assert completer.complete("long")[0].category == "general"
    assert found(completer, "sk lo") == [("long skirt", "dataset", 1)]


def test_aliases_and_translations_lead_to_the_tag() -> None:
    tags, translations = parse_lines("// comment\nlong_hair=长发\n*hat=帽子\nplain tag\n")
    completer = Completer(an_index("long hair"), TagList([*parse_csv(A1111), *tags], translations))
    assert found(completer, "长发") == [("long hair", "dataset", 1)]
    assert completer.complete("长发")[0].matched == "长发"
    assert found(completer, "帽") == [("hat", "translation", 0)]
    assert [(one.tag, one.matched) for one in completer.complete("sole fem")] == [("1girl", "sole female")]
    assert found(completer, "plain") == [("plain tag", "list", 0)]


def test_looser_matches_come_after_stricter_ones() -> None:
    completer = Completer(an_index("long hair, hairband, chair", "saber (fate), ^_^"))
    assert [tag for tag, _source, _count in found(completer, "hair")] == ["hairband", "long hair", "chair"]
    assert [tag for tag, _source, _count in found(completer, "air")] == ["chair", "hairband", "long hair"]
    assert [tag for tag, _source, _count in found(completer, "lnghr")] == ["long hair"]
    assert [tag for tag, _source, _count in found(completer, "fate")] == ["saber (fate)"]
    assert [tag for tag, _source, _count in found(completer, "^_")] == ["^_^"]
    assert found(completer, "") == found(completer, "  ") == found(completer, "qqq") == []


def test_letters_that_lie_far_apart_find_a_tag_after_all_others() -> None:
    own = an_index("looking at viewer, lkvw, a lkvw, xlkvwx, blacksmith (lkvw)", "look over water")
    completer = Completer(own, TagList([Named("looking back at viewer", count=9), Named("lkvw now", count=8)]))
    assert [tag for tag, *_rest in found(completer, "lkvw")] == [
        "lkvw",
        "a lkvw",
        "blacksmith (lkvw)",
        "lkvw now",
        "xlkvwx",
        "look over water",
        "looking at viewer",
        "looking back at viewer",
    ]
    assert [tag for tag, *_rest in found(completer, "vwr")] == ["looking at viewer", "looking back at viewer"]


def test_looser_matches_are_not_sought_where_there_are_enough() -> None:
    completer = Completer(an_index(", ".join([*(f"hair {number}" for number in range(8)), "chair", "heart air"])))
    assert len(found(completer, "hair")) == 8
    assert [tag for tag, *_rest in found(completer, "hair 0")] == ["hair 0"]


def test_what_appears_and_vanishes_is_followed() -> None:
    index = an_index("hat, solo")
    completer = Completer(index)
    assert [tag for tag, *_rest in found(completer, "h")] == ["hat"]
    index.replace(0, ("hat", "solo"), ("hood", "solo"))
    assert [tag for tag, *_rest in found(completer, "h")] == ["hood"]
    for number in range(1, 500):
        index.add(number, (f"new {number}", "hood"))
    assert found(completer, "hood") == [("hood", "dataset", 500)]
    assert found(completer, "new 499") == [("new 499", "dataset", 1)]


def test_categories_are_those_of_the_sites() -> None:
    tags = TagList([*parse_csv(WD), *parse_csv(A1111)])
    assert tags.category("hatsune miku") == tags.category("Saber_(fate)") == "character"
    assert (tags.category("general"), tags.category("unknown")) == ("rating", "")
    assert "LONG_hair" in tags
    assert "nothing" not in tags


def test_files_of_each_kind_are_read(tmp_path: Path) -> None:
    (tmp_path / "danbooru.csv").write_text(A1111)
    (tmp_path / "zh-CN.txt").write_text("long_hair=长发\n", "utf-8-sig")
    tags = load_tag_list([tmp_path / "danbooru.csv", tmp_path / "zh-CN.txt"])
    assert [named.tag for named, _matched in tags.find("长", 5)] == ["long hair"]
    with pytest.raises(UserError) as caught:
        load_tag_list([tmp_path / "none.csv"])
    assert caught.value.code == "tags.unreadable"


@given(st.text(max_size=200))
def test_any_text_is_a_list_of_some_tags(text: str) -> None:
    assert all(named.tag and named.count >= 0 for named in parse_csv(text))
    parse_lines(text)


NAMES = st.lists(st.text(string.ascii_lowercase[:3] + " (", min_size=1, max_size=8).map(str.strip), max_size=20)


@given(NAMES, st.text(string.ascii_lowercase[:3] + " (", max_size=4))
def test_a_search_finds_what_looking_at_each_name_finds(names: list[str], wanted: str) -> None:
    words = wanted.translate(str.maketrans("(", " ")).split()
    if not words:
        return
    clean = [" " + name.replace("(", " ") if any(map(str.isalnum, name)) else " " + name for name in names]
    begin = [place for place, name in enumerate(clean) if all(f" {word}" in name for word in words)]
    part = [place for place, name in enumerate(clean) if all(word in name for word in words)]
    letters = "".join(words)
    apart = [place for place, name in enumerate(clean) if re.search(" " + ".*".join(letters), name)]
    first = [place for place in apart if re.match(" " + ".*".join(letters), clean[place])]
    search = Names(names)
    assert search.find(wanted, 100) == begin
    assert search.find(wanted, 100, "parts") == part
    if len(letters) > 2:
        assert search.find(wanted, 100, "letters") == [*first, *(place for place in apart if place not in first)]


def test_a_named_tag_keeps_its_most_frequent_row() -> None:
    tags = TagList([Named("a", count=1), Named("A", "artist", 9)])
    assert [(named.tag, named.count) for named, _matched in tags.find("a", 5)] == [("A", 9)]


def test_chinese_words_are_found_inside_others_after_those_that_begin_so(tmp_path: Path) -> None:
    lines = ["twintails=双马尾", "side_ponytail=侧马尾", "long_hair=长发", *(f"tail_{n}=马尾{n}" for n in range(12))]
    lines += [f"hair_{n}=发{n}" for n in range(12)]
    (tmp_path / "zh-CN.txt").write_text("\n".join(lines))
    completer = Completer(Index(), load_tag_list([tmp_path / "zh-CN.txt"]))
    tails = [one.tag for one in completer.complete("马尾")]
    assert set(tails[-2:]) == {"twintails", "side ponytail"}
    assert len(tails) == 14
    assert completer.complete("发")[-1].tag == "long hair"
    assert completer.complete("双马")[0].tag == "twintails"


def test_a_tag_with_very_many_aliases_is_kept_and_odd_rows_are_counted(tmp_path: Path) -> None:
    aliases = ",".join(f"alias {number}" for number in range(20_000))
    path = tmp_path / "odd.csv"
    path.write_text(f'one,0,5,"{aliases}"\n,0,3,\n\n  ,,\ntwo,0,4,\nthree,0,3,"never closed\nfour,0,2,\nfive,0,1,\n')
    odd: list[str] = []
    tags = list(parse_csv(path.read_text(), odd))
    assert [one.tag for one in tags] == ["one", "two"]
    assert len(tags[0].aliases) == 20_000
    assert odd[0].startswith(",0,3") and [row.split(",")[0] for row in odd[1:]] == ["three", "four", "five"]


def test_categories_of_a_large_list_cost_no_search_index() -> None:
    tags = TagList(Named(f"tag {number} hair", "general") for number in range(60_000))
    begun = process_time()
    assert {tags.category(f"tag_{number}_hair") for number in range(1000)} == {"general"}
    assert process_time() - begun < 0.1
    assert tags.find("tag 59999", 5)[0][0].tag == "tag 59999 hair"
