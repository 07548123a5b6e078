"""Captions, disks and expressions that mean no good: a message with place and remedy, nothing lost, and in time."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from caption_folders import contents, edit, make_folder, opened, previewed

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.language import parse_operation
from lora_tui.captions.lint import lint
from lora_tui.captions.operations import match
from lora_tui.captions.operations.base import Context
from lora_tui.captions.tables import Tables
from lora_tui.captions.tokens import sd15_tokens
from lora_tui.captions.transaction import preview
from lora_tui.captions.verbs import VERBS
from lora_tui.cli.main import run
from lora_tui.errors import UserError

MANY = 5000
LONG = ", ".join([*(f"tag {number} x" for number in range(MANY))] * 2)
TABLES = Tables(
    aliases={f"tag {number} x": f"other {number}" for number in range(0, 2000, 2)},
    implications={f"tag {number} x": (f"implied {number}", f"also {number}") for number in range(2000)},
    blacklist=("tag 9* x",),
    groups={f"group {number}": (f"tag {number} x", f"tag {number + 1} x") for number in range(0, 3000, 2)},
)
OPERATIONS = {
    "add": "add from '{list}' front existing move",
    "move": "move from '{list}' front",
    "shift": "shift 2 to 1",
    "toggle": "toggle z",
    "trigger": "trigger HatGirl",
    "remove": "remove from '{list}'",
    "retain": "retain /tag 1.*/",
    "rename": "rename /tag .*/ to y",
    "pairs": "pairs '{pairs}'",
    "split": 'split at " "',
    "join": "join tag 1 x, tag 2 x into y",
    "replace": 'replace /tag|x/ with "q, r"',
    "phrase": "phrase remove tag",
    "sort": "sort rule '{list}' reverse",
    "shuffle": "shuffle seed 3",
    "dedupe": "dedupe loosely",
    "truncate": "truncate 75 tokens",
    "spell": "spell underscores",
    "spacing": "spacing",
    "separators": "separators",
    "weight": "weight 'tag 1 x' 1.2",
    "unweight": "unweight",
    "lines": "lines join",
    "encode": "encode utf-8",
    "aliases": "aliases",
    "implications": "implications",
    "consolidate": "consolidate",
    "exclusive": "exclusive frequent",
    "blacklist": "blacklist",
    "take": "take other.png subtract",
    "set": "set x",
    "delete": "delete",
}


@pytest.fixture
def rules(tmp_path: Path) -> dict[str, str]:
    files = {"list": tmp_path / "list.txt", "pairs": tmp_path / "pairs.txt"}
    files["list"].write_text("\n".join(f"tag {number} x" for number in range(MANY)))
    files["pairs"].write_text("\n".join(f"tag {number} x -> new {number // 2}" for number in range(MANY)))
    return {name: str(path) for name, path in files.items()}


@pytest.mark.parametrize("verb", VERBS)
def test_ten_thousand_tags_in_one_caption_take_no_minutes(verb: str, rules: dict[str, str]) -> None:
    context = Context(
        name="a.png", count=len, tokens=sd15_tokens().count, caption_of=lambda _source: LONG, tables=TABLES
    )
    operation = parse_operation(OPERATIONS[verb].format(**rules))
    begun = time.process_time()
    operation.apply(LONG, context)
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    "unit", ["{a, ", "(a, ", "[a, ", "(a (", "(a)", " ", " (", ". ", "_ ", "\\(", "x", "，", "  ，"]
)
def test_a_hundred_kilobytes_of_one_sign_take_no_minutes(unit: str, tmp_path: Path) -> None:
    text = unit * (100_000 // len(unit))
    begun = time.process_time()
    folder = make_folder(tmp_path, {"a": text})
    session = opened(folder)
    lint(session.corpus)
    context = Context(name="a.png", count=len)
    for operation in ("separators", "consolidate", "spacing", "dedupe loosely", "spell spaces", "phrase remove a"):
        parse_operation(operation).apply(text, context)
    session.close()
    assert time.process_time() - begun < 4


@pytest.mark.parametrize("verb", VERBS)
def test_every_operation_is_shown_and_done_by_the_command(
    verb: str, rules: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "data", {"a": "x, (y:1.1), x\r\n", "other": "tag 1 x"})
    before = contents(folder)
    command = ["captions", "edit", str(folder), "--do", OPERATIONS[verb].format(**rules), "--json"]
    assert run([*command, "--dry-run"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert contents(folder) == before
    assert run(command) == 0
    done = json.loads(capsys.readouterr().out)
    assert {**shown, "dry_run": False, "transactions": done["transactions"]} == done
    assert (contents(folder) != before) == bool(done["images"])


NASTY = {
    "latin": "café, straße".encode("latin-1"),
    "nul": b"a\0b, c\0",
    "escape": b"\x1b[31mred\x1b[0m, \x07",
    "markup": b"[/], [red]x[/red], [/x]",
    "wide": "tag, hut".encode("utf-16"),
    "empty": b"",
    "blank": b" \r\n\t",
    "commas": b",,, ,",
    "deep": b"((((((((((a:1.1):1.1)",
    "long": LONG.encode(),
}


@pytest.mark.parametrize(
    "operation", ["add x front", "remove a", "spacing", "rename red to blue", "sort alpha", "dedupe"]
)
def test_odd_bytes_are_edited_and_undone_to_the_byte(operation: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, NASTY)
    before = contents(folder)
    session = opened(folder)
    edit(session, operation)
    edit(session, "add last")
    session.undo(2)
    session.flush()
    assert contents(folder) == before
    session.close()


def test_odd_bytes_are_shown_without_their_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path, NASTY)
    for command in (
        ["list", str(folder)],
        ["list", str(folder), "--tags"],
        ["show", str(folder), "escape", "nul", "latin", "markup"],
        ["lint", str(folder)],
        ["edit", str(folder), "--do", "add x", "--dry-run", "--samples", "20"],
    ):
        assert run(["captions", *command]) in (0, 3)
        shown = capsys.readouterr()
        assert not any(code in shown.out + shown.err for code in "\x1b\0\x07")


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(.*a){30}$"])
@pytest.mark.parametrize("how", ["remove /{}/", "replace /{}/ with x caption", "replace /{}/ with x part"])
def test_expressions_that_explode_end_in_time_and_change_nothing(
    pattern: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less time than a person grants; ``test_operations.py`` shows it with as much."""
    monkeypatch.setattr(match, "SECONDS", 0.2)
    folder = make_folder(tmp_path, {"a": "a" * 200 + "b, x"})
    before = contents(folder)
    session = opened(folder)
    begun = time.monotonic()
    try:
        previewed(session, how.format(pattern))
    except UserError as error:
        assert (error.code, bool(error.remedy)) == ("captions.regex_slow", True)
        assert pattern in error.place
    assert time.monotonic() - begun < 120, "without an end it would take ages"
    assert contents(folder) == before
    session.close()


@pytest.mark.parametrize("how", ["remove /{}/", "replace /{}/ with x"])
def test_an_expression_that_explodes_a_little_on_each_of_many_captions_ends_in_time(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path, {f"{number}": "a" * 21 + f"b, {number}" for number in range(60)})
    session = opened(folder)
    begun = time.thread_time()
    previewed(session, how.format("(a|aa)+$"))  # far below what one caption may take
    whole = time.thread_time() - begun
    monkeypatch.setattr(match, "SECONDS", whole / 4)
    monkeypatch.setattr(match, "EACH", 0.0)
    begun = time.thread_time()
    with pytest.raises(UserError) as caught:
        previewed(session, how.format("(a|aa)+$"))
    assert caught.value.code == "captions.regex_slow"
    assert time.thread_time() - begun < whole * 0.7
    session.close()


def test_a_preview_that_nobody_waits_for_tries_no_expression_any_more(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": ", ".join(f"{'a' * 60}{number}b" for number in range(30))})
    session = opened(folder)
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    begun = time.thread_time()
    with pytest.raises(UserError):
        preview(
            session.corpus,
            [0],
            parse_operation("remove /(a|aa)+$/"),
            context=Context(),
            operation_text="",
            should_stop=stop,
        )
    assert time.thread_time() - begun < 5
    session.close()


@pytest.mark.parametrize("how", ["remove /{}/", "retain /{}/", "replace /{}/ with x caption", "replace /{}/ with x"])
@pytest.mark.parametrize("pattern", ["(?R)*", "(a|(?1))*"])
def test_an_operation_whose_expression_calls_itself_is_refused(how: str, pattern: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_operation(how.format(pattern))
    assert (caught.value.code, bool(caught.value.remedy)) == ("captions.regex", True)
    assert f":{pattern.index('(?') + 1}" in caught.value.place


def test_a_full_disk_leaves_every_caption_old_or_new_and_says_which(tmp_path: Path) -> None:
    """Files may grow no further than some bytes, as on a disk that is full; the journal fits, two captions do not."""
    captions: dict[str, str | bytes | None] = {f"{number:02}": "x" for number in range(40)}
    folder = make_folder(tmp_path / "data", {**captions, "big": b"x, " + os.urandom(6000).hex().encode()})
    before = contents(folder)
    limited = _limited(folder, "add y", 9000)
    assert limited.returncode == 1
    (done,) = json.loads(limited.stdout)["transactions"]
    assert done["error"] is None
    assert list(done["failures"]) == ["big.txt"]
    assert "big.txt" in limited.stderr
    now = contents(folder)
    assert now["big.txt"] == before["big.txt"]
    assert all(now[f"{name}.txt"] == b"x, y" for name in captions)
    assert now.keys() == before.keys(), "a temporary file is left"


def test_a_disk_too_full_for_the_journal_changes_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", {f"{number:02}": os.urandom(200).hex() for number in range(40)})
    before = contents(folder)
    limited = _limited(folder, "add y", 1000)
    assert limited.returncode == 1
    (done,) = json.loads(limited.stdout)["transactions"]
    assert done["error"]["code"] == "journal.folder"
    assert done["error"]["remedy"]
    assert contents(folder) == before
    edit(opened(folder), "add y")


def _limited(folder: Path, operation: str, size: int) -> subprocess.CompletedProcess[str]:
    """An edit by a process whose files may hold ``size`` bytes at most."""
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {resource.RLIM_INFINITY}));"
        "from lora_tui.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "captions", "edit", str(folder), "--do", operation, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_that_vanishes_while_it_is_read_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", {f"sub{part}/{number}": "x" for part in range(3) for number in range(400)})
    seen: list[int] = []

    def progress(done: int) -> None:
        if not seen:
            shutil.rmtree(folder)
        seen.append(done)

    corpus = Corpus.open(folder, on_progress=progress)
    assert 0 < corpus.index.captions < 1200
    assert all(entry.tags == () for entry in corpus.entries if entry.raw is None)
    with pytest.raises(UserError) as caught:
        Corpus.open(folder)
    assert caught.value.code == "captions.folder"
    assert caught.value.remedy
