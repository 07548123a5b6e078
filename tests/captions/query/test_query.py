"""The filter language: each predicate, the peers' queries, mistakes with their columns, laws."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from caption_lines import Lines
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.query.facts import Context
from lora_tui.captions.query.lexer import QueryError
from lora_tui.captions.query.query import parse_query
from lora_tui.captions.query.saved import SavedFilter

NOW = datetime(2025, 6, 15, 12).timestamp()
DAY = 86400.0

CAPTIONS = {
    "1_hat/a.png": "1girl, solo, long hair, hat",
    "10_style/b.jpg": "1girl, smile, long_hair, hat, hair ribbon",
    "10_style/sub/c.png": "2girls, saber (fate), :), A woman in the rain",
    "d.webp": b"\xef\xbb\xbfhatgirl, solo\nsecond line of sky\n",
    "e.png": "",
    "f.png": None,
    "g.png": b"bad \xff byte, solo, hat",
}


@dataclass
class Image:
    width: int = 512
    height: int = 512
    bucket: tuple[int, int] | None = (512, 512)
    mtime: float = NOW - 30 * DAY
    duplicates: str = ""


@dataclass
class Known:
    """Images, history and scores as a caller would bring them."""

    images: dict[int, Image | None] = field(default_factory=dict)

    def image(self, number: int) -> Image | None:
        return self.images.get(number, Image())

    def authors(self, number: int) -> Collection[str]:
        return {0: ("wd-eva02",), 1: ("person", "wd-vit")}.get(number, ())

    def edited(self, number: int) -> float | None:
        return {0: NOW - 3600, 1: NOW - 3 * DAY}.get(number)

    def modified(self) -> Set[int]:
        return {1}

    def added(self, run: str) -> Set[int]:
        return {0, 1} if run == "last-run" else set()

    def reviewed(self) -> Set[int]:
        return {2}

    def score(self, number: int, tag: str) -> float | None:
        return {(0, "smile"): 0.3, (1, "smile"): 0.9}.get((number, tag))


KNOWN = Known(
    {
        0: Image(1024, 512, (1024, 512), NOW - DAY),
        1: Image(832, 1216, (832, 1216), NOW - 8 * DAY, "p1"),
        2: Image(600, 800, duplicates="p1"),
        5: None,
    }
)
CONTEXT = Context(
    keep_tokens=1,
    trigger="hatgirl",
    facts=KNOWN,
    history=KNOWN,
    scores=KNOWN,
    tokens=lambda text: len(text.split()),
    category=lambda tag: {"saber (fate)": "character", "1girl": "general", "hat": "general"}.get(tag, ""),
    lint=lambda number: {3: ["caption.bom"], 4: ["caption.empty"]}.get(number, []),
    prose=lambda entry: "woman" in (entry.document.text if entry.document else ""),
    sets={"marked": {1, 2}},
    saved={
        "girls": SavedFilter("girls", "1girl OR 2girls"),
        "pinned": SavedFilter("pinned", "solo", True, ("1_hat/a.png", "e.png")),
        "loop": SavedFilter("loop", "in:@loop"),
        "broken": SavedFilter("broken", "(a"),
    },
    now=NOW,
)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("1girl", [0, 1]),
        ("1girl -solo", [1]),
        ("1girl !solo", [1]),
        ("NOT solo hat", [1]),
        ('"long hair"', [0, 1]),
        ("'long hair'", [0, 1]),
        ("LONG_HAIR", [0, 1]),
        ("long_hair", [0, 1]),
        ("tag:long_hair", [0, 1]),
        ("exact:long_hair", [1]),
        ('exact:"long hair"', [0]),
        ("exact:LONG_HAIR", []),
        ("*", [0, 1, 2, 3, 6]),
        ("-*", [4, 5]),
        ("saber_(fate)", [2]),
        ('tag:"saber (fate)"', [2]),
        ("tag:saber_(fate)", [2]),
        (":)", [2]),
        ("(:) 2girls)", [2]),
        ("tag:hair*", [1]),
        ("hat*", [0, 1, 3, 6]),
        ("?girl", [0, 1]),
        ('"hat*"', []),
        ("tag:/^(long|short) hair$/", [0]),
        ("/^LONG/i", [0, 1]),
        ("pos(trigger)=1", [3]),
        ("pos(hat)=4", [0, 1]),
        ("pos(hat)=last", [0, 6]),
        ("pos(hat)=-2", [1]),
        ("pos(solo)<=2", [0, 3, 6]),
        ("pos(1girl)<keep", [0, 1]),
        ("pos(hat)<keep", []),
        ("pos(hat)>=keep", [0, 1, 6]),
        ("before(solo, hat)", [0, 6]),
        ("after(solo, hat)", []),
        ("after(hat, 1girl)", [0, 1]),
        ("any(smile, solo)", [0, 1, 3, 6]),
        ("all(1girl, long hair, hat)", [0, 1]),
        ("one(1girl, solo, hatgirl)", [1, 6]),
        ("none(1girl, 2girls, solo)", [4, 5]),
        ("count(long*, hair*)>=2", [1]),
        ("count(long*, hair*)=0", [2, 3, 4, 5, 6]),
        ("count(/hair/)=1..2", [0, 1]),
        ('text:"a woman"', [2]),
        ("caption:LONG", [0, 1]),
        ("text:/wo.an/", [2]),
        ("text:sec*sky", [3]),
        ("phrase:hat", [0, 1, 6]),
        ("phrase:rain text:rain", [2]),
        ("line:2", [3]),
        ("line:2:sky", [3]),
        ("line:1:sky", []),
        ("name:a", [0]),
        ("name:*.webp", [3]),
        ("path:style", [1, 2]),
        ("dir:10_style", [1, 2]),
        ("folder:sub", [2]),
        ("dir:*style", [1]),
        ("dir:.", [3, 4, 5, 6]),
        ("ext:jpg", [1]),
        ("ext:.PNG", [0, 2, 4, 5, 6]),
        ("cat:character", [2]),
        ("cat:gen*", [0, 1, 6]),
        ("tags>4", [1]),
        ("tags=2..4", [0, 2, 3, 6]),
        ("tags!=0", [0, 1, 2, 3, 6]),
        ("tokens>7", [2]),
        ("chars=0", [4, 5]),
        ("words>=8", [2]),
        ("lines>1", [3]),
        ("w<600", [3, 4, 6]),
        ("width>=1024 OR h>1000", [0, 1]),
        ("ar>1.5", [0]),
        ("ar=3:4", [2]),
        ("mp<0.5", [2, 3, 4, 6]),
        ("bucket:832x1216", [1]),
        ("mtime>-7d", [0]),
        ("mtime<-7d", [1, 2, 3, 4, 6]),
        ("mtime:2025-06-14", [0]),
        ("mtime>=2025-06-07", [0, 1]),
        ("mtime:yesterday", [0]),
        ("dup:phash", [1, 2]),
        ("dup:p1 w>700", [1]),
        ("is:duplicate", [1, 2]),
        ("is:untagged", [4, 5]),
        ("is:empty", [4]),
        ("is:missing", [5]),
        ("is:modified", [1]),
        ("is:bom", [3]),
        ("is:badutf8", [6]),
        ("is:multiline", [3]),
        ("is:crlf", []),
        ("is:lint", [3, 4]),
        ("is:prose", [2]),
        ("is:reviewed", [2]),
        ("is:repeated", [1]),
        ("lint:bom", [3]),
        ("lint:caption.bom", [3]),
        ("lint:caption.*", [3, 4]),
        ("lint:/empty|nul/", [4]),
        ("by:wd-eva02", [0]),
        ("by:wd-*", [0, 1]),
        ("score(smile)<.4", [0]),
        ("added:last-run", [0, 1]),
        ("edited:today", [0]),
        ("edited:-1w", [0, 1]),
        ("edited<-2d", [1]),
        ("in:@girls", [0, 1, 2]),
        ("in:@girls -1girl", [2]),
        ("in:@pinned", [0, 4]),
        ("in:marked", [1, 2]),
        ("repeat:10", [1]),
        ("repeats>5", [1]),
    ],
)
def test_each_predicate(query: str, wanted: list[int]) -> None:
    assert Lines(CAPTIONS).find(query, CONTEXT) == wanted


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("one_two_six", [0, 1, 2, 3]),
        ('"one two six"', [0, 1, 2, 3]),
        ("^_^", [4]),
        ('"^ ^"', [5]),
        ("red_hat", [6, 7]),
        ("Red_hat", [8]),
        ("RED_hat", [6, 7, 8]),
    ],
)
def test_underscores_and_blanks_are_one_but_in_faces(query: str, wanted: list[int]) -> None:
    mixed = ["one two six", "one_two_six", "one_two six", "one two_six"]
    assert Lines([*mixed, "^_^", "^ ^", "red hat", "red_hat", "Red hat"]).find(query) == wanted


def test_when_the_caption_file_was_written() -> None:
    lines = Lines(CAPTIONS)
    lines.entries[1].mtime_ns = int((NOW - 60) * 1e9)
    assert lines.find("written:today", CONTEXT) == [1]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        # BooruDatasetTagManager: a set of tags and AND, OR, XOR (exactly one) or NOT (none).
        ("all(a, b)", [0, 1]),
        ("any(b, c)", [0, 1, 2]),
        ("one(a, b, c)", [2, 3]),
        ("none(b, c)", [3, 4]),
        # taggui: words, quotes, brackets, operators in any case, tags, chars, caption, name and path.
        ("a and b", [0, 1]),
        ("NOT (a OR b) aNd c", [2]),
        ('tag:"a" or tag:c', [0, 1, 2, 3]),
        ("tags:3 OR tags>=3", [0]),
        ("tags:>=2", [0, 1]),
        ("tags:!=0 AND chars:<=4", [1, 2, 3]),
        ("caption:b OR path:3", [0, 1, 3]),
        ("any(a, b) -one(b, c)", [0, 3]),
        ("chars<=1 AND NOT chars==0", [2, 3]),
        ("caption:b AND name:1", [1]),
        # Operators of our own: exclusive or binds less than and, more than or.
        ("a XOR c", [1, 2, 3]),
        ("a XOR a b", [3]),
        ("d OR a XOR c", [1, 2, 3]),
    ],
)
def test_the_queries_of_other_editors(query: str, wanted: list[int]) -> None:
    assert Lines(["a, b, c", "a, b", "c", "a", ""]).find(query) == wanted


@pytest.mark.parametrize(
    ("query", "column", "length"),
    [
        ("1girl (solo", 6, 1),
        ("solo )", 5, 1),
        ("()", 0, 2),
        ("a AND", 4, 1),
        ("OR a", 0, 2),
        ("a OR OR b", 5, 2),
        ("a (b OR", 6, 1),
        ("NOT", 2, 1),
        ('tag:"a', 4, 1),
        ("tag:/a(/", 7, 1),
        ("x /a", 2, 1),
        ("/a/q", 3, 1),
        ("tag:", 4, 1),
        ("tags>many", 5, 4),
        ("tags:>=many", 7, 4),
        ("a tokn>75", 2, 4),
        ("is:nonsense", 3, 8),
        ("is:orphan", 3, 6),
        ("lint:nope", 5, 4),
        ("lint:nope.*", 5, 6),
        ("bucket:large", 7, 5),
        ("line:x", 5, 1),
        ("mtime>soon", 6, 4),
        ("pos(a)", 6, 1),
        ("pos(a, b)=1", 0, 3),
        ("before(a)", 0, 6),
        ("count(a,)>1", 8, 1),
        ("any(a", 5, 1),
        ("in:@nowhere", 3, 8),
        ("in:@loop", 3, 5),
        ("in:@broken", 3, 7),
        ("in:nobody", 3, 6),
        ("(" * 200 + "a" + ")" * 200, 60, 1),
    ],
)
def test_a_mistake_is_named_with_its_column(query: str, column: int, length: int) -> None:
    with pytest.raises(QueryError) as caught:
        Lines(CAPTIONS).find(query, CONTEXT)
    assert (caught.value.column, caught.value.length) == (column, length)
    assert caught.value.message
    assert caught.value.place == f"column {column + 1}"


@pytest.mark.parametrize(
    "query",
    ["w>5", "by:x", "score(a)>.5", "tokens>3", "cat:x", "is:lint", "lint:bom", "is:prose", "edited:today", "dup:any"],
)
def test_what_is_not_at_hand_is_an_error_and_not_an_empty_answer(query: str) -> None:
    for text in (query, f"nothing {query}", f"-({query})"):
        with pytest.raises(QueryError) as caught:
            Lines(CAPTIONS).find(text)
        assert caught.value.code == "query.unknown_fact"


def test_a_regular_expression_that_explodes_ends_in_time() -> None:
    with pytest.raises(QueryError) as caught:
        Lines(["a, " * 40]).find(r"text:/^(?:.*?,){20}q/", Context(seconds=0.05))
    assert (caught.value.code, caught.value.column) == ("query.slow", 5)


@pytest.mark.parametrize("pattern", ["(", "[", "a{2,1}", "*", "(?P<x", "\\", "(?<=a+)b(", "a" * 3000])
def test_a_wrong_regular_expression_is_a_mistake(pattern: str) -> None:
    with pytest.raises(QueryError):
        parse_query(f"tag:/{pattern}/")


@pytest.mark.parametrize("pattern", ["(?R)*", "(?0)+", "(a(?1)?)*", "(?P<x>a(?&x)?)*", "(?P<x>a(?P>x)?)*", "[]a](?-1)"])
def test_an_expression_that_calls_itself_is_a_mistake_at_its_call(pattern: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(f"tag:/{pattern}/")
    assert caught.value.column == 5 + pattern.rindex("(?")
    assert caught.value.remedy


@pytest.mark.parametrize("pattern", ["[(?R)]", r"\(?R", "(?:a)(?=b)", "(a)(?(1)b|c)", "(?-i:a)"])
def test_what_only_looks_like_a_call_is_no_mistake(pattern: str) -> None:
    parse_query(f"tag:/{pattern}/")


def test_words_that_no_caption_has_are_hinted_at() -> None:
    lines = Lines(["long hair, hat", "hair ribbon"])
    hints = parse_query("hat rib hairr OR nmae:foo -xyzzy h*").hints(lines)
    assert [(hint.column, hint.length, hint.word, hint.meant) for hint in hints] == [
        (4, 3, "rib", ("hair ribbon",)),
        (8, 5, "hairr", ()),
        (17, 8, "nmae:foo", ("name:",)),
        (27, 5, "xyzzy", ()),
    ]
    assert parse_query("LONG_hair OR h*").tags(lines) == {"long hair", "hat", "hair ribbon"}


def test_tags_with_colons_and_signs_are_tags() -> None:
    lines = Lines(["re:zero, 3:<, x", "artist:someone (b), :d", "-_-, 1+1=2, a/b"])
    for query, wanted in [("re:zero", [0]), ("artist:someone_(b)", [1]), (":d", [1]), ("-_-", [2]), ("--_-", [0, 1])]:
        assert lines.find(query) == wanted
    assert lines.find('"1+1=2" a/b') == [2]
    assert lines.find("3:<") == [0]


_TAG_WORDS = ["a", "b", "long_hair", "hair*", "/a|b/", "one(a,b)", "none(a,b)", "count(a,b,c)>=2", "before(a,b)"]
_OTHER_WORDS = ["text:a", "tags>1", "chars=0", "is:empty", "is:untagged", "line:2", "name:1", "in:marked", "phrase:b"]
WORDS = st.sampled_from([*_TAG_WORDS, *_OTHER_WORDS, "pos(a)=1"])
QUERIES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.builds("({} OR {})".format, inner, inner),
        st.builds("({} XOR {})".format, inner, inner),
        st.builds("({} {})".format, inner, inner),
        st.builds("NOT {}".format, inner),
        st.builds("-({})".format, inner),
    ),
    max_leaves=8,
)
CAPTION_LISTS = st.lists(
    st.none() | st.lists(st.sampled_from(["a", "b", "c", "long hair", "hair ribbon"]), max_size=5).map(", ".join),
    max_size=8,
)


@given(QUERIES, CAPTION_LISTS)
def test_a_filter_and_its_negation_part_the_dataset(query: str, captions: list[str | None]) -> None:
    lines = Lines(captions)
    context = Context(sets={"marked": {0, 2} & set(range(len(captions)))})
    inside = lines.find(query, context)
    outside = lines.find(f"-({query})", context)
    assert sorted([*inside, *outside]) == list(range(len(captions)))
    some = frozenset(range(0, len(captions), 2))
    assert set(parse_query(query).matches(lines, context, some)) == set(inside) & some


@given(st.text(max_size=40) | st.text(st.sampled_from("ab ()-\"'/:<>=*?!,\\&ORNOTtag"), max_size=30))
def test_any_text_is_a_filter_or_a_mistake_with_a_column(text: str) -> None:
    try:
        Lines(["a, b", ""]).find(text)
    except QueryError as error:
        assert 0 <= error.column <= len(text)
