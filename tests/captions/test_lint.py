"""Lint: each problem is found, named, and gone after its fix."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from caption_lines import Lines

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.index import Index
from lora_tui.captions.language import parse_operation
from lora_tui.captions.lint import QUICKLY, Linter, LintOptions, lint
from lora_tui.captions.misspelled import misspelled
from lora_tui.captions.operations.base import Context, changed_document
from lora_tui.captions.profile import OURS, PROFILES, Profile
from lora_tui.captions.query import Context as QueryContext
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


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("hatgirl, solo, :), ^_^, (o)_(o), photo (medium), blue dress\n", LintOptions(trigger="hatgirl")),
        ("hat ||| solo;;;smile", LintOptions(profile=SD, shuffle=True)),
        ("line one, x\nline two, x", LintOptions(profile=PROFILES["onetrainer"])),
        ("A photo of hatgirl, who is standing in the rain with a hat. A dog and dogs.", LintOptions(trigger="hatgirl")),
        ("", LintOptions(ignored=frozenset({"caption.zero_bytes"}))),
    ],
)
def test_what_is_right_is_not_reported(content: str, options: LintOptions) -> None:
    assert codes(content, options) == []


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
    for name in ("a.png", "b.png", "a_te_outputs.npz", "b_flux_te.npz", "metadata_cache.json"):
        (tmp_path / name).touch()
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x")
    os.utime(tmp_path / "a_te_outputs.npz", ns=(0, 10**15))
    corpus = Corpus.open(tmp_path, profile=OURS)
    os.utime(tmp_path / "metadata_cache.json", (4e9, 4e9))
    os.utime(tmp_path / "b_flux_te.npz", (4e9, 4e9))
    found = Linter(corpus).everything(corpus)
    assert [(corpus.entries[problem.number].name, problem.code) for problem in found] == [("a.png", "cache.stale")]
    assert "a_te_outputs.npz" in found[0].message


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
