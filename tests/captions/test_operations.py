"""What each operation makes of a caption, in the words in which a person asks for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.language import parse_operation
from lora_tui.captions.operations.base import CannotChange, Context, Operation, changed_document
from lora_tui.captions.operations.match import exactly
from lora_tui.captions.operations.naming import Join, Pairs, Rename, Split
from lora_tui.captions.operations.placing import Add, Move, Position, Shift, Trigger
from lora_tui.captions.operations.whole import Substitute
from lora_tui.captions.profile import OURS, PROFILES
from lora_tui.captions.tables import Tables
from lora_tui.captions.tokens import sd15_tokens
from lora_tui.captions.verbs import VERBS
from lora_tui.captions.view import tags_of
from lora_tui.errors import UserError

GIRL = "A girl, smiling, sits in a park. She waves."
CAT = "A cat, asleep, lies on a red roof. It is noon."
CAT_ZH = "一只猫在红色的屋顶上睡觉。天气很好，而且很安静。"
Z = "1girl, solo,long hair ||| (smile:1.2), shirt, smile ||| end"
CASES = [
    ('add "x" front', "a,b", "x,a,b"),
    ("add x", "a, b\n", "a, b, x\n"),
    ("add x", Z, "1girl, solo,long hair ||| (smile:1.2), shirt, smile, x ||| end"),
    ("add x keep", Z, "1girl, solo,long hair, x ||| (smile:1.2), shirt, smile ||| end"),
    ("add x at 2", "a, b, c", "a, x, b, c"),
    ("add x, y at 2", "a, b, c", "a, x, y, b, c"),
    ("add x, y front", "a, b", "x, y, a, b"),
    ("add x, y after a", "a, b", "a, x, y, b"),
    ("add x before b", "a, b", "a, x, b"),
    ("add x before z", "a, b", "a, b"),
    ("add b front", "a, b", "a, b"),
    ("add b front existing move", "a, b", "b, a"),
    ("add x, x", "a", "a, x"),
    ('add "x, a"', "a", "a, x"),
    ("add (a:1.2)", "a, b", "a, b"),
    ("add x", None, "x"),
    ("add x", "\n", "x\n"),
    ("add x", "", "x"),
    ("move c, a front", "a, b, c", "c, a, b"),
    ("move (a:1.3) front", "b", "b"),
    ("move a back", "(a:1.3), b", "b, (a:1.3)"),
    ("move a after c", "a, b, c", "b, c, a"),
    ("move x front", None, None),
    ("move x after y", "x, y, x", "y, x, x"),
    ("move x front", "a, (x:1.3), b, x", "(x:1.3), x, a, b"),
    ("shift 4 to 3", "a, b, a, c", "a, b, c, a"),
    ("shift 1 to 2", "x, y, x", "y, x, x"),
    ("shift 1 to 9", "(a:1.2),b , c", "b,c , (a:1.2)"),
    ("shift 3 to 1", "a;;;b, c", "c, a;;;b"),
    ("shift 1 to 2", "a;;;b, c", "b;;;a, c"),
    ("shift 2 to 3", "a;;;b, c", "c, a;;;b"),
    ("shift 1 to 2", "a ||| b", "b ||| a"),
    ("shift 7 to 1", "a, b", "a, b"),
    ("toggle a", "a, b", "b"),
    ("toggle c", "a, b", "a, b, c"),
    ("trigger HatGirl", "a, hatgirl, b", "HatGirl, a, b"),
    ("trigger HatGirl", "HatGirl, a", "HatGirl, a"),
    ("trigger hatgirl anywhere", "a, HATGIRL", "a, hatgirl"),
    ("trigger hatgirl", "a", "hatgirl, a"),
    ('trigger "sks, dog"', "x, Sks, DOG, y", "sks, dog, x, y"),
    ('trigger "sks, dog"', "sks, dog, x", "sks, dog, x"),
    ("remove b", "a, b, c", "a, c"),
    ("remove b", "(b:1.2), a ||| b ||| b", "a ||| |||"),
    ("remove b", "a ||| b ||| b, d", "a ||| ||| d"),
    ("remove b", "b ||| b ||| d", "||| ||| d"),
    ("remove *hair", "long hair, a, short hair", "a"),
    ('remove "*hair"', "long hair, *hair", "long hair"),
    ("remove hair*", "Hair ribbon, hair bow, x", "x"),
    (r"remove hair\**", "hair*bow, hair bow", "hair bow"),
    ("retain [a]*", "[a] b, ab", "[a] b"),
    ("remove /(long|short) hair/", "long hair, a, short hair, very long hair", "a, very long hair"),
    ("remove A ignorecase", "a, b", "b"),
    ("remove a", "A, b", "A, b"),
    ("remove a", "a\n", "\n"),
    ("retain a, c", "a, b, c, d", "a, c"),
    ("retain *", "a, ?, b", "a, ?, b"),
    ("remove *", "a, ?, b\n", "\n"),
    ("remove ?", "a, ?, b", "a, b"),
    ("remove *_*", "a, *_*, b", "a, b"),
    ('remove "*"', "a, *, b", "a, b"),
    ("rename a to z", "x, a, y", "x, z, y"),
    ("rename a to b", "a, x, b", "b, x"),
    ("rename a to a", "a, a", "a, a"),
    ("rename long hair, short hair to hair", "long hair, x, short hair", "hair, x"),
    ("rename smile to grin", "(smile:1.2), x", "(grin:1.2), x"),
    ('rename a to "b, c"', "a, x, a, y", "b, c, x, y"),
    ('rename a to "b, c"', "a, x, c", "b, c, x"),
    ('rename a to "b, c"', "c, x, a", "c, x, b"),
    ('rename a, d to "b, c"', "a, x, d, y", "b, c, x, y"),
    ('rename a to "b, (c:1.3)"', "(a:1.2), x", "(b:1.2), (c:1.3), x"),
    ("split white shirt into white, shirt", "white shirt, x", "white, shirt, x"),
    ('split at " and "', "cat and dog, x", "cat, dog, x"),
    ("join white, shirt into white shirt", "white, x, shirt", "white shirt, x"),
    ("join white, shirt into white shirt", "white, x", "white, x"),
    ('join a, b into "p, q"', "a, x, b, y", "p, q, x, y"),
    ("join a, b into b", "a, x, b, y", "b, x, y"),
    ("split white shirt into white, shirt", "(white shirt:1.2), x", "(white:1.2), (shirt:1.2), x"),
    ('replace /(\\w+) hair/ with "\\1 fur" whole', "long hair, very long hair", "long fur, very long hair"),
    ("replace hair with fur", "long hair, hairy", "long fur, fury"),
    ("replace HAIR with fur ignorecase", "long hair", "long fur"),
    ("replace very long hair with short hair", "very long hair", "short hair"),
    (r"replace /(\w+) ribbon/ with \1-x ribbon", "red ribbon, hat", "red-x ribbon, hat"),
    ("replace a b with c d whole ignorecase", "A B, a b c", "c d, a b c"),
    ("set a red hat", "x", "a red hat"),
    ('replace ", " with "\\n" caption', "a, b", "a\nb"),
    ('replace b with ""', "a, b, c", "a, c"),
    ('replace /^b$|^(a)$/ with "\\1,q" part', "b, a", ",q, a,q"),
    ('phrase remove "in the background"', "A cat, in the background, sleeps.", "A cat, sleeps."),
    ('phrase remove "a red hat"', "A red hat. A dog.", "A dog."),
    ('phrase rename "a red hat" to "a blue hat"', "A red hat on a red hat.", "A blue hat on a blue hat."),
    ("sort alpha", "c, B,a", "a, B,c"),
    ("sort alpha first 1", "c, b, a", "c, a, b"),
    ("sort length reverse", "a, ccc, bb", "ccc, bb, a"),
    ("sort frequency", "rare, common", "common, rare"),
    ("sort category", "field, miku", "miku, field"),
    ("sort alpha", "z ||| c, b;;;a ||| x", "z ||| b;;;a, c ||| x"),
    ("dedupe", "a, b, a, A", "a, b, A"),
    ("dedupe loosely", "long hair, Long_hair, a", "long hair, a"),
    ("truncate 2 tags", "a, b, c", "a, b"),
    ("truncate 3 tokens", "cat, dog, bird", "cat, dog"),
    ("spell spaces", "long_hair, ^_^", "long hair, ^_^"),
    ("spell underscores", "long hair, x", "long_hair, x"),
    ("spell lower except MyTrigger", "MyTrigger, Smile", "MyTrigger, smile"),
    ("spell escape", "nero (fate), a \\(b\\)", "nero \\(fate\\), a \\(b\\)"),
    ("spell unescape", "nero \\(fate\\)", "nero (fate)"),
    ("spacing", " a ,b;;;c|||d,, e ,\n", "a, b;;;c ||| d, e\n"),
    ("separators", "a，b、c", "a, b, c"),
    ("weight a 1.2", "a, b", "(a:1.2), b"),
    ("unweight", "(a:1.2), ((b:1.2))", "a, ((b:1.2))"),
    ("add x", "A woman smiles.", "A woman smiles. x"),
    ("add x, y", "A woman sits, and smiles at us!\n", "A woman sits, and smiles at us! x, y\n"),
    ("add x", "A woman smiles. x", "A woman smiles. x"),
    ("add x", "一个女孩微笑。", "一个女孩微笑。x"),
    ("add x", "一个女孩微笑。x", "一个女孩微笑。x"),
    ("add x front", "A woman smiles.", "x, A woman smiles."),
    ("add x", "solo, dr. pepper, etc.", "solo, dr. pepper, etc., x"),
    ("add x", "solo, !?, ...", "solo, !?, ..., x"),
    ("toggle x", "A woman smiles. x", "A woman smiles."),
    ("remove x", "A woman smiles. x", "A woman smiles."),
    ("remove x", "x, A woman smiles. x, y", "A woman smiles., y"),
    ("aliases", "serafuku, School_Uniform", "School_Uniform"),
    ("implications", "Black_Cat, x, Cat, animal", "Black_Cat, x, Cat, animal"),
    ("lines join", "a,\r\nb\r\n", "a, b\r\n"),
    ("lines join", "A woman smiles.\nA man walks.", "A woman smiles. A man walks."),
    ("lines join", "solo, etc.\nhat,\nShe waves.\nx", "solo, etc., hat, She waves. x"),
    ("lines join", "一个女孩微笑。\n她挥手。\n", "一个女孩微笑。她挥手。\n"),
    ("lines first", "\na\nb", "a"),
    ("lines lf", "a\r\nb\r", "a\nb\n"),
    ("lines final", "a", "a\n"),
    ("lines bare", "a\n\n", "a"),
    ("aliases", "serafuku, x", "school uniform, x"),
    ("aliases", "serafuku, school uniform", "school uniform"),
    ("aliases", "gear, x, serafuku, school uniform", "hat, coat, x, school uniform"),
    ("implications", "black cat, x", "black cat, cat, animal, x"),
    ("consolidate", "white shirt, shirt, x", "white shirt, x"),
    ("exclusive", "short hair, x, long hair", "short hair, x"),
    ("blacklist", "watermark, x", "x"),
    ("take other.png union", "a, x", "a, x, p, q"),
    ("take weighted.png union", "a", "a, (smile:1.2), b"),
    ("take weighted.png prepend", "a, smile", "b, a, smile"),
    ("take weighted.png intersect", "a, smile, b", "smile, b"),
    ("take other.png prepend", "a", "p, q, a"),
    ("take other.png intersect", "a, p", "p"),
    ("take other.png subtract", "a, p", "a"),
    ("take other.png replace", "a", "p, q"),
    ("take other.png fill", "a", "a"),
    ("take other.png fill", None, "p, q"),
    ("take other.png ifempty", "a", "a"),
    ("take other.png ifempty", "\n", "p, q"),
    ("take nobody.png replace", "a", "a"),
    ('set "a, b"', "x\n", "a, b\n"),
    ("set hello ifempty", "x", "x"),
    ("delete", "x", None),
    ("remove a; add z front; dedupe", "a, b, b", "z, b"),
]


def context() -> Context:
    captions = {"other.png": "p, q", "weighted.png": "(smile:1.2), b"}
    return Context(
        name="a.png",
        count={"common": 9}.get,  # type: ignore[arg-type]
        category=lambda tag: "character" if tag == "miku" else "general",
        tokens=sd15_tokens().count,
        caption_of=captions.get,
        tables=Tables(
            aliases={"serafuku": "school uniform", "gear": "hat, coat"},
            implications={"black cat": ("cat",), "cat": ("animal",)},
            blacklist=("watermark",),
        ),
    )


@pytest.mark.parametrize(("operation", "before", "after"), CASES)
def test_what_an_operation_makes_of_a_caption(operation: str, before: str | None, after: str | None) -> None:
    asked = context()
    asked.count = lambda tag: 9 if tag == "common" else 1
    assert parse_operation(operation).apply(before, asked) == after


def test_every_verb_has_a_case() -> None:
    said = {operation.split()[0] for operation, _before, _after in CASES}
    assert set(VERBS) - said == {"pairs", "shuffle", "encode"}  # they have tests of their own below


def test_a_file_that_loses_its_last_tag_is_what_the_trainer_can_read() -> None:
    asked = context()
    assert parse_operation("remove a").apply("a", asked) == ""
    asked.profile = PROFILES["sd-scripts"]
    assert parse_operation("remove a").apply("a", asked) == "\n"
    assert [parse_operation('set ""').apply(text, asked) for text in (None, "a", "\n")] == ["\n"] * 3


def test_every_line_is_a_caption_where_the_trainer_takes_one_at_random() -> None:
    asked = context()
    asked.profile = replace(OURS, lines="one_random")
    assert parse_operation("add x front").apply("a\n\nb, c\n", asked) == "x, a\n\nx, b, c\n"
    asked.profile = PROFILES["musubi"]
    assert parse_operation("add x front").apply("a\nb", asked) == "x, a\nb"


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        ("add x", "a, b\nc\n", "a, b\nc, x\n"),
        ("remove c", "a, c\n\nb, c", "a, c\n\nb"),
        ("add x", "a\r\n", "a\r\nx\r\n"),
        ("add x", "a", "a\nx"),
        ("add x", "", ""),
        ("add x", None, None),
        ("remove a", "a", "a"),
        ("set new", "a\nb\nc", "a\nnew\nc"),
        ("set new ifempty", "a\nb", "a\nb"),
        ("set new ifempty", "a", "a\nnew"),
        ("take other.png replace", "a\nb\nc", "a\np, q\nc"),
        ("take other.png ifempty", "a\nb", "a\nb"),
        ("take other.png append", "a\nb", "a\nb, p, q"),
    ],
)
def test_an_edit_of_the_second_line_leaves_the_others(operation: str, before: str | None, after: str | None) -> None:
    asked = context()
    asked.profile = replace(OURS, line=2)
    assert parse_operation(operation).apply(before, asked) == after


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        ("take .txt append", GIRL, f"{GIRL} 1girl, smiling, hat"),
        ("take .txt prepend", GIRL, f"1girl, smiling, hat, {GIRL}"),
        ("take .caption append", "1girl, smiling\n", f"1girl, smiling, {CAT}\n"),
        ("take .caption prepend", "1girl, asleep", f"{CAT} 1girl, asleep"),
        ("take .caption append", f"x, {CAT}", f"x, {CAT}"),
        ("take .caption append", None, CAT),
        ("take .zh prepend", "1girl", f"{CAT_ZH}1girl"),
    ],
)
def test_sentences_are_taken_as_one(operation: str, before: str | None, after: str) -> None:
    asked = context()
    asked.caption_of = {".txt": "1girl, smiling, hat\n", ".caption": CAT + "\n", ".zh": CAT_ZH}.get
    assert parse_operation(operation).apply(before, asked) == after


@pytest.mark.parametrize("tag", [":)", "a)", "(b", "x, y", "[/]"])
def test_a_weight_goes_again_or_never_comes(tag: str) -> None:
    asked, weigh = context(), parse_operation(f'weight "{tag}" 1.2')
    text = f"q, {tag}, z"
    try:
        weighted = weigh.apply(text, asked)
    except CannotChange as refused:
        assert refused.code == "captions.bracket"
    else:
        assert parse_operation("unweight").apply(weighted, asked) == text
        assert tags_of(str(weighted), OURS) == tags_of(text, OURS)


def test_shuffling_is_the_same_each_time_and_differs_between_images() -> None:
    text = ", ".join("abcdefghij")
    one, other = context(), context()
    other.name = "b.png"
    operation = parse_operation("shuffle seed 7 first 2")
    first = operation.apply(text, one)
    assert first == operation.apply(text, one) != operation.apply(text, other)
    assert first is not None and first.startswith("a, b, ") and sorted(first) == sorted(text)


def test_pairs_and_rules_from_files(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text('// names\na -> b\nb\ta\n"c, d",e\ngone -> \n')
    swap = parse_operation("pairs pairs.txt", folder=tmp_path)
    assert swap.apply("a, b, gone, x", context()) == "b, a, x"
    (tmp_path / "several.txt").write_text("a -> b, c\nd -> b, c\ne ->\n")
    several = parse_operation("pairs several.txt", folder=tmp_path)
    assert several.apply("a, x, e, y", context()) == "b, c, x, y"
    assert several.apply("a, x, d, e, y", context()) == "b, c, x, y"
    (tmp_path / "order.txt").write_text("trigger\n1girl\nsmile\n")
    by_rule = parse_operation("sort rule order.txt; add 1girl rule order.txt", folder=tmp_path)
    assert by_rule.apply("x, smile, trigger", context()) == "trigger, 1girl, smile, x"
    (tmp_path / "gone.txt").write_text("a\nb\n")
    assert parse_operation("remove from gone.txt", folder=tmp_path).apply("a, b, c", context()) == "c"
    (tmp_path / "bad.txt").write_text("a -> b\nwhat\n")
    with pytest.raises(UserError, match=r"bad\.txt:2"):
        parse_operation("pairs bad.txt", folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 0),
        ("ad x", 0),
        ("add", 3),
        ("add 'x", 4),
        ("add x, ,", 7),
        ("add x at", 8),
        ("sort foo", 5),
        ("rename a", 8),
        ("remove a; spacing nope", 18),
        ("weight a b", 9),
        ("replace /(a)/ with '\\2'", 19),
        ("pairs nowhere.txt", 6),
        ("replace a with b, c", 16),
        ("set a, b", 5),
        ("set /a/", 4),
        ("add \ud800", 4),
        ("encode utf-8 from klingon", 18),
    ],
)
def test_a_mistake_is_shown_where_it_is(text: str, column: int) -> None:
    with pytest.raises(UserError) as error:
        parse_operation(text)
    assert error.value.place == f"column {column + 1}"


def test_what_needs_what_is_not_there_says_so() -> None:
    for operation, code in (("sort category", "captions.categories"), ("truncate 3 tokens", "captions.tokenizer")):
        with pytest.raises(UserError) as error:
            parse_operation(operation).apply("a, b", Context())
        assert error.value.code == code


def after(operation: str, raw: bytes) -> bytes:
    document = changed_document(parse_operation(operation), CaptionDocument.parse(raw), context())
    assert document is not None
    return document.raw


GBK = "长发, smile".encode("gbk")


@pytest.mark.parametrize(
    ("operation", "before", "wanted"),
    [
        ("encode utf-8", "\ufeffhat, café".encode(), "hat, café".encode()),
        ("encode utf-8", "hat, 長い髪".encode("utf-16"), "hat, 長い髪".encode()),
        ("encode utf-8 from gb18030", GBK, "长发, smile".encode()),
        ("encode utf-8 from gb18030", b"\xef\xbb\xbf" + GBK, "长发, smile".encode()),
        ("encode utf-8 from gb18030", "长发, café".encode(), "长发, café".encode()),
        ("encode utf-8 from gb18030", "\ufeff长发".encode("utf-16-le"), "长发".encode()),
        ("encode utf-8 from utf-16-le", "hat, x".encode("utf-16-le"), b"hat, x"),
        ("add x front", GBK, b"x, " + GBK),
        ("remove smile", GBK, "长发".encode("gbk")),
        ("rename smile to hat", GBK, "长发, hat".encode("gbk")),
    ],
)
def test_encodings_are_read_for_what_they_are(operation: str, before: bytes, wanted: bytes) -> None:
    assert after(operation, before) == wanted


@pytest.mark.parametrize(
    ("operation", "raw"),
    [
        ("encode utf-8", GBK),
        ("encode utf-8 from euc_kr", b"\xff, x"),
        ("add 蓝眼", GBK),
        ("rename smile to 微笑", GBK),
        ("spell upper", b"\x82a, x"),  # one character in GBK
        ("replace /a/ with b caption", b"\x82a, x"),
    ],
)
def test_what_would_tear_or_mix_encodings_is_refused(operation: str, raw: bytes) -> None:
    with pytest.raises(CannotChange) as refused:
        after(operation, raw)
    assert refused.value.code == "captions.encoding"
    assert refused.value.remedy


def test_a_regular_expression_that_explodes_is_stopped() -> None:
    operation = parse_operation("replace /(a|aa)+$/ with b caption")
    with pytest.raises(UserError, match="too long"):
        operation.apply("a" * 60 + "!", context())
    with pytest.raises(UserError) as error:
        parse_operation("remove /(/")
    assert error.value.code == "captions.regex"


TEXTS = st.lists(
    st.sampled_from(
        ["a", "b", "smile", "long hair", ", ", ",", "|||", ";;;", "{", "}", "(", ":1.2)", "\n", "_", "\udc80"]
    )
    | st.text(max_size=3),
    max_size=16,
).map("".join)


@given(TEXTS, st.sampled_from([case[0] for case in CASES]), st.sampled_from(list(PROFILES.values())))
def test_no_caption_breaks_an_operation(text: str, operation: str, profile) -> None:
    asked = context()
    asked.profile = profile
    asked.count = len
    try:
        result = parse_operation(operation).apply(text, asked)
    except CannotChange as refused:
        assert refused.message and refused.remedy
    else:
        assert result is None or isinstance(result, str)


NAMES = ["a", "b", "long hair", "x", "y", ":)", ":(", "(x:1.3)", "nero (fate)", "{p|q, r}", "(u", "v)", "[w, z]"]
NEW = st.lists(st.sampled_from([*NAMES, "(", "foo)", "\\", "\n", ",", ";;;"]), min_size=1, max_size=3).map(", ".join)


@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=8),
    st.sampled_from([", ", ",", " , ", ";;;", " ||| "]),
    NEW,
    st.sampled_from(["rename", "merge", "join", "pairs", "split", "move", "shift", "add", "trigger", "replace"]),
    st.integers(1, 8),
)
def test_what_is_done_to_one_tag_keeps_every_other(
    tags: list[str], joint: str, new: str, verb: str, place: int
) -> None:
    text = f"{joint.join(tags[:4])}, {', '.join(tags[4:])}"
    operation: Operation = {
        "rename": Rename(exactly("a"), new),
        "merge": Rename(exactly(["a", "b"]), new),
        "join": Join(("a", "b"), new),
        "pairs": Pairs({"a": new, "b": "x", "x": "a"}),
        "split": Split("a", (new, "c")),
        "move": Move(("a", "x"), Position("at", place)),
        "shift": Shift(place - 1, 2),
        "add": Add((new,), Position("at", place)),
        "trigger": Trigger(new),
        "replace": Substitute("a", new, "whole", is_regex=False),
    }[verb]
    touched = {"a", "b", "x"} if verb == "pairs" else {"a", "b"} if verb in ("merge", "join") else {"a"}
    if verb in ("move", "shift"):
        touched = set()
    else:
        touched |= {name.casefold() for name in tags_of(new, OURS)} | set(tags_of(new, OURS))
    before = [tag for tag in tags_of(text, OURS) if tag not in touched]
    try:
        after = operation.apply(text, Context())
    except CannotChange:
        return
    assert after is not None
    left = [tag for tag in tags_of(after, OURS) if tag not in touched]
    assert Counter(left) >= Counter(before)
    if verb not in ("move", "shift", "add"):
        kept = set(before)
        assert [tag for tag in left if tag in kept] == before


@given(
    TEXTS,
    st.sampled_from(["rename nowhere to x", "remove nowhere", "unweight nowhere", "join q1, q2 into z", "lines final"]),
)
def test_captions_that_are_not_meant_stay_to_the_letter(text: str, operation: str) -> None:
    if operation != "lines final":
        assert parse_operation(operation).apply(text, context()) == text
