"""Lint: each problem is found, named, and gone after its fix."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from caption_lines import Lines
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.asking import context_for
from lora_tui.captions.corpus import Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.encodings import likely_encoding
from lora_tui.captions.index import Index
from lora_tui.captions.language import parse_operation
from lora_tui.captions.lint import QUICKLY, Linter, LintOptions, lint
from lora_tui.captions.lint_codes import CODES
from lora_tui.captions.misspelled import misspelled
from lora_tui.captions.operations.base import Context, changed_document
from lora_tui.captions.profile import OURS, PROFILES, Profile
from lora_tui.captions.query.facts import Context as QueryContext
from lora_tui.captions.query.query import parse_query
from lora_tui.captions.tables import Tables
from lora_tui.captions.tokens import sd15_tokens

SD = replace(PROFILES["sd-scripts"], extensions=(".txt",))
AI = PROFILES["ai-toolkit"]


def codes(content: str | bytes | None, options: LintOptions) -> list[str]:
    return [problem.code for problem in Linter(Lines([content]), options).all()]


def mended(content: str | bytes | None, fix: str, profile: Profile, tables: Tables) -> bytes | None:
    raw = content.encode() if isinstance(content, str) else content
    document = None if raw is None else CaptionDocument.parse(raw)
    context = Context(profile=profile, tables=tables, tokens=sd15_tokens().count)
    after = changed_document(parse_operation(fix), document, context)
    return None if after is None else after.raw


@pytest.mark.parametrize(
    ("content", "options", "code", "fixable"),
    [
        (None, LintOptions(), "caption.missing", False),
        (None, LintOptions(trigger="hatgirl"), "caption.missing", True),
        (b"", LintOptions(profile=SD), "caption.zero_bytes", True),
        ("  \n", LintOptions(), "caption.empty", False),
        ("a", LintOptions(profile=PROFILES["sd-scripts"]), "caption.ending", False),
        (b"\xef\xbb\xbfhat, solo", LintOptions(), "caption.bom", True),
        ("hat, 長い髪".encode("cp932"), LintOptions(), "caption.undecodable", True),
        ("hat, 長い髪".encode("utf-16"), LintOptions(), "caption.wide", True),
        ("hat\r\n", LintOptions(), "caption.crlf", True),
        ("hat\x1b[31m, solo", LintOptions(), "caption.control", True),
        ("hat\nsecond line", LintOptions(), "caption.more_lines", True),
        ("hat ||| solo", LintOptions(profile=AI), "mark.keep", True),
        ("hat ||| solo", LintOptions(profile=SD, shuffle=False), "mark.keep", True),
        ("hat;;;solo", LintOptions(profile=AI), "mark.unit", True),
        ("hat ||| solo", LintOptions(profile=replace(OURS, keep_separator="")), "mark.keep", True),
        ("{a|b, c", LintOptions(), "mark.braces", False),
        ("{a|b}, c", LintOptions(), "mark.wildcard", False),
        (r"saber \(fate\)", LintOptions(), "mark.escape", True),
        ("(hat:1.2), solo", LintOptions(), "mark.weight", True),
        ("hat，solo、smile", LintOptions(), "mark.wide_comma", True),
        ("hat,, solo", LintOptions(), "mark.empty_tag", True),
        ("solo, hat", LintOptions(trigger="hatgirl"), "trigger.missing", True),
        ("solo, hatgirl", LintOptions(trigger="hatgirl"), "trigger.not_first", True),
        ("HatGirl, solo", LintOptions(trigger="hatgirl"), "trigger.case", True),
        ("hat, solo, hat", LintOptions(), "tag.double", True),
        ("long hair, long_hair", LintOptions(), "tag.double_spelling", True),
        ("flower, flowers", LintOptions(), "tag.plural", False),
        ("short hair, long hair", LintOptions(), "tag.contradiction", False),
        ("watermark, hat", LintOptions(tables=Tables(blacklist=("water*",))), "tag.banned", True),
        (", ".join(["long tag of words"] * 30), LintOptions(tokens=sd15_tokens().count), "caption.tokens", True),
    ],
)
def test_each_problem_is_found_and_gone_when_mended(
    content: str | bytes | None, options: LintOptions, code: str, fixable: bool
) -> None:
    found = {problem.code: problem for problem in Linter(Lines([content]), options).all()}
    assert code in found
    assert found[code].message
    assert (found[code].fix is not None) is fixable
    if found[code].fix is not None:
        after = mended(content, str(found[code].fix), options.profile, options.tables)
        assert code not in codes(after, options)
        assert codes(after, replace(options, ignored=frozenset({*found, "caption.empty"}))) == []


LONG = ", ".join(["blue sky"] * 45)
HALF = ", ".join(["blue sky"] * 20)


@pytest.mark.parametrize(
    ("content", "profile", "found"),
    [
        (f"short tag\n{LONG}", OURS, False),  # a line that nobody trains
        (f"{LONG}\nshort tag", OURS, True),
        (f"{HALF}\n{HALF}\n{HALF}", AI, True),
        (f"{HALF}\n{HALF}\n{HALF}", OURS, False),
        (f"{HALF}\n{LONG}", PROFILES["onetrainer"], True),
        (" ||| ".join(["blue sky"] * 25), OURS, False),  # the marks are not trained
    ],
)
def test_tokens_are_those_of_what_is_trained(content: str, profile: Profile, found: bool, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.txt").write_text(content)
    profile = replace(profile, extensions=(".txt",))
    corpus = Corpus.open(tmp_path, profile=profile)
    options = LintOptions(profile=profile, tokens=sd15_tokens().count)
    fixes = [problem.fix for problem in lint(corpus, options=options) if problem.code == "caption.tokens"]
    assert bool(fixes) is found
    context = context_for(corpus, tokens=sd15_tokens().count)
    assert parse_query("tokens>75").select(corpus, context) == [0] * found
    if fixes:
        after = mended(content, str(fixes[0]), profile, Tables())
        assert after is not None
        (tmp_path / "a.txt").write_bytes(after)
        corpus.refresh()
        assert "caption.tokens" not in [problem.code for problem in lint(corpus, options=options)]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("hatgirl, solo, :), ^_^, (o)_(o), photo (medium), blue dress\n", LintOptions(trigger="hatgirl")),
        ("hat ||| solo;;;smile", LintOptions(profile=SD, shuffle=True)),
        ("hat ||| solo;;;smile", LintOptions(shuffle=True)),
        ("hat ||| solo;;;smile", LintOptions(shuffle=False)),
        ("line one, x\nline two, x", LintOptions(profile=PROFILES["onetrainer"])),
        ("A photo of hatgirl, who is standing in the rain with a hat. A dog and dogs.", LintOptions(trigger="hatgirl")),
        ("", LintOptions(ignored=frozenset({"caption.zero_bytes"}))),
    ],
)
def test_what_is_right_is_not_reported(content: str, options: LintOptions) -> None:
    assert codes(content, options) == []


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("长发, 微笑", "gb18030"),
        ("1girl, T恤, 一个女孩站在海边，微笑着看向镜头。", "gb18030"),
        ("hat, 長い髪, 青い目", "cp932"),
        ("セーラー服, ツインテール", "cp932"),
        ("藍色眼睛, 白色洋裝", "big5"),
        ("naïve girl, crème", "cp1252"),
        ("Mädchen, große Augen, Übergröße", "cp1252"),
        ("une fille en été, robe à fleurs", "cp1252"),
        ("длинные волосы, синие глаза", "cp1251"),
    ],
)
def test_a_caption_in_an_old_encoding_is_mended_to_what_it_says(text: str, encoding: str) -> None:
    (problem,) = Linter(Lines([text.encode(encoding)]), LintOptions(ignored=frozenset({"mark.wide_comma"}))).all()
    assert problem.fix is not None
    assert mended(text.encode(encoding), problem.fix, OURS, Tables()) == text.encode()


@pytest.mark.parametrize(
    ("text", "encoding"), [("狗", "gb18030"), ("긴 머리, 웃음", "cp949"), ("帽子", "cp932"), ("貓", "big5")]
)
def test_where_several_encodings_fit_nothing_is_guessed(text: str, encoding: str) -> None:
    (problem,) = Linter(Lines([text.encode(encoding)]), LintOptions()).all()
    assert (problem.code, problem.fix) == ("caption.undecodable", None)
    assert f"{encoding}: {text}" in problem.remedy


WORDS = {
    "gb18030": "长发 微笑 女孩 站在海边 白色连衣裙 蓝眼睛 双马尾 帽子 猫 水手服 眼镜 黑色丝袜 喵 室内 樱花 阳光",
    "cp932": "長い髪 青い目 女の子 笑顔 セーラー服 ツインテール 眼鏡 帽子 水着 海 猫耳 制服 桜 夜空 リボン",
    "big5": "長髮 微笑 女孩 海邊 藍色眼睛 白色洋裝 雙馬尾 帽子 貓 眼鏡 室內 櫻花 陽光",
    "cp949": "긴 머리 웃음 파란 눈 흰 드레스 소녀 바닷가 모자 고양이 안경 교복 벚꽃 밤하늘",
    "cp1252": "naïve girl crème café été robe à fleurs Mädchen große Augen niña pequeña São Paulo håret fée",
    "cp1251": "длинные волосы синие глаза девушка кошка шляпа улыбка платье море очки школьная форма",
}


@given(st.sampled_from(sorted(WORDS)), st.sampled_from(["", "1girl, solo, long hair, "]), st.data())
def test_a_guessed_encoding_is_the_right_one_or_none(encoding: str, ascii_tags: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(WORDS[encoding].split()), min_size=1, max_size=6))
    text = ascii_tags + ", ".join(words)
    guess, _name = likely_encoding(text.encode(encoding))
    assert not guess or text.encode(encoding).decode(guess) == text


def test_only_what_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").touch()
        (tmp_path / f"{number}.txt").write_text("hat, hat")
    corpus = Corpus.open(tmp_path, profile=OURS)
    asked: list[str] = []

    def count(text: str) -> int:
        asked.append(text)
        return 0

    linter = Linter(corpus, LintOptions(tokens=count, token_limit=0))
    assert [problem.code for problem in linter.all()] == ["tag.double"] * 3
    corpus.put(1, CaptionDocument.parse(b"hat"))
    assert [problem.number for problem in linter.all()] == [0, 2]
    assert asked == ["hat, hat"] * 3 + ["hat"]


def test_slips_and_other_spellings_of_frequent_tags() -> None:
    lines = Lines(
        ["long hair, blue eyes, 2girls standing"] * 20
        + ["long_hair, bleu eyes, blue eyess, 1girls standing, wide hair"]
    )
    assert misspelled(lines.index) == {"long_hair": "long hair", "bleu eyes": "blue eyes"}
    problems = lint(lines)
    assert [(problem.number, problem.code, problem.fix) for problem in problems] == [
        (20, "tag.spelling", 'rename "long_hair" to "long hair"'),
        (20, "tag.slip", 'rename "bleu eyes" to "blue eyes"'),
    ]
    assert misspelled(Index()) == {}


@pytest.mark.parametrize("others", [0, QUICKLY])
def test_spellings_are_of_the_captions_as_they_are_now(tmp_path: Path, others: int) -> None:
    texts = ["silver_hair, hat"] * 3 + ["silver hair, hat", ", ".join(f"tag {number}" for number in range(others))]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.png").touch()
        (tmp_path / f"{number}.txt").write_text(text)
    corpus = Corpus.open(tmp_path, profile=OURS)
    linter = Linter(corpus)
    assert [problem.fix for problem in linter.problems(3)] == ['rename "silver hair" to "silver_hair"']
    for number in range(3):
        corpus.put(number, CaptionDocument.parse(b"silver hair, hat"))
    assert [problem for number in range(4) for problem in linter.problems(number)] == []
    corpus.put(0, CaptionDocument.parse(b"silver_hair, hat"))
    if others:  # too many to seek among while somebody waits
        assert linter.is_behind
        linter.seek()
    assert [problem.fix for problem in linter.problems(0)] == ['rename "silver_hair" to "silver hair"']


def test_two_images_with_one_caption_file_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    found = lint(Corpus.open(tmp_path, profile=OURS))
    assert [(problem.number, problem.code) for problem in found] == [(0, "caption.shared"), (1, "caption.shared")]
    assert "a.png" in found[0].message + found[1].message


def test_caches_older_than_their_caption_are_stale(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "a_te_outputs.npz", "b_flux_te.npz", "metadata_cache.json"):
        (tmp_path / name).touch()
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "cache").mkdir()
    for old in ("a_te_outputs.npz", "c_hv_te.safetensors", "cache/b_wan_te.safetensors"):
        (tmp_path / old).touch()
        os.utime(tmp_path / old, ns=(0, 10**15))
    for other in ("cache/b_0064x0064_wan.safetensors", "b_my_lora_te.safetensors", "cache/c_zi_te.safetensors"):
        (tmp_path / other).touch()
        os.utime(tmp_path / other, (4e9, 4e9) if "zi" in other else (1e6, 1e6))
    corpus = Corpus.open(tmp_path, profile=OURS)
    os.utime(tmp_path / "metadata_cache.json", (4e9, 4e9))
    os.utime(tmp_path / "b_flux_te.npz", (4e9, 4e9))
    found = Linter(corpus).everything(corpus)
    assert [problem.code for problem in found] == ["cache.stale"] * 3
    assert [corpus.entries[problem.number].name for problem in found] == ["a.png", "b.png", "c.png"]
    assert "a_te_outputs.npz" in found[0].message
    assert "cache/b_wan_te.safetensors" in found[1].message
    assert "c_hv_te.safetensors" in found[2].message


def test_a_caption_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "b.png").touch()
    (tmp_path / "b.txt").write_bytes(b"x" * (2 << 20))
    found = [(problem.code, problem.severity) for problem in lint(Corpus.open(tmp_path, profile=OURS))]
    assert ("caption.unreadable", "error") in found


def test_lint_answers_the_filter() -> None:
    lines = Lines(["hat, hat", "hat", "long hair, short hair"])
    context = QueryContext(lint=Linter(lines).codes)
    assert lines.find("is:lint", context) == [0, 2]
    assert lines.find("lint:tag.double", context) == [0]
    assert lines.find("lint:tag.*", context) == [0, 2]


def test_outside_text_is_made_safe() -> None:
    [problem] = lint(
        Lines(["\x1b[31mred[/], \x1b[31mred[/]"]), options=LintOptions(ignored=frozenset({"caption.control"}))
    )
    assert "\x1b" not in problem.message


def test_every_problem_has_its_name_in_the_list_that_filters_know() -> None:
    from lora_tui.captions import beside, document, lint_rules

    sources = "".join(Path(str(module.__file__)).read_text() for module in (lint_rules, beside))
    found = set(re.findall(r'"((?:cache|caption|mark|tag|trigger)\.[a-z_]+)"', sources))
    elsewhere = {"caption.bom", "caption.wide", "caption.nul", "trigger.case", "trigger.missing"}
    assert found | elsewhere == set(CODES)
    assert {"bom", "wide", "nul"} <= document.PROBLEM_TEXTS.keys()


def test_captions_without_an_image_are_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "a.b.png", "sub/c.png", "a.txt", "a.wd14.txt", "a.b.txt", "lost.txt", "sub/d.caption"):
        (tmp_path / name).touch()
    corpus = Corpus.open(tmp_path)
    found = [problem for problem in Linter(corpus).everything(corpus) if problem.code == "caption.orphan"]
    assert [problem.file for problem in found] == ["lost.txt", "sub/d.caption"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a, {b|c}, d", False),
        ("{a|{b|c}}", False),
        ("{{a}}, b", False),
        ("}a{, b", True),
        ("{a|b, c", True),
        ("{a}, b}", True),
        ("smile, :}, {b|c}", False),
        ("{a\nb}", True),
        ("a, b\n{", False),
    ],
)
def test_braces_are_matched_and_not_counted(text: str, found: bool) -> None:
    assert ("mark.braces" in codes(text, LintOptions())) is found
