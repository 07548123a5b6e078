"""Reading TOML: every text gives its content or says what is wrong and where, and neither takes long."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lora_tui
from lora_tui.toml_files import TomlError, parse_toml, read_toml

BEYOND = {
    "digits": ("\n\na = " + "9" * 5000, "line 3"),
    "digits of another base": ("a = 0x" + "f" * 5000, "the number of a is beyond 64 bits"),
    "a power": ("[b]\na = 1" + "0" * 400, "the number of b.a is beyond 64 bits"),
    "an entry": ("a = [1, 9223372036854775808]", "the number of a.1 is beyond 64 bits"),
    "brackets": ("b = 1\na = " + "[" * 100_000, "line 2"),
    "tables": ("a = " + "{a = " * 5000, "line 1"),
    "keys": ("c = 1\n" + ".".join("a" * 30_000) + " = 1", "line 2"),
    "keys in quotes": ("c = {" + " . ".join(["'a'", '"b"'] * 9000) + " = 1}", "line 1"),
    "headers": ("[" + ".".join("a" * 30_000) + "]", "line 1"),
    "lists": ("a = " + "[" * 40 + "]" * 40, "nested more than 32 levels deep"),
}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.timeout(20)
def test_what_is_beyond_the_bounds_is_named_with_its_place(name):
    text, place = BEYOND[name]
    with pytest.raises(TomlError, match=place) as caught:
        parse_toml(text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "text",
    [
        "a = 9223372036854775807\nb = -9223372036854775808\nc = 1e400\nd = nan",
        "prompt = '" + "one. two. " * 30_000 + "'",
        "a.b.c = 1\n[d.e]\nf = [[{g = 1}]]",
        "a = '" + "9" * 5000 + "'",
    ],
)
def test_what_is_within_them_is_read_as_python_reads_it(text):
    assert repr(parse_toml(text)) == repr(tomllib.loads(text))


@given(st.text(alphabet=st.sampled_from("a1.='\"[]{}#,\n -_"), max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        json.dumps(parse_toml(text))
    except TomlError as error:
        assert str(error)


def test_a_byte_order_mark_is_skipped_and_a_huge_file_is_not_read(tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(path) == {"a": 1}
    with path.open("wb") as file:
        file.truncate(5_000_000)
    with pytest.raises(TomlError, match="larger than 4 MB"):
        read_toml(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(UnicodeDecodeError):
        read_toml(path)


def test_every_toml_file_is_read_by_the_one_reader():
    package = Path(lora_tui.__file__).parent
    readers = [
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if "import tomllib" in path.read_text()
    ]
    assert readers == ["toml_files.py"]
