"""The forms of operations on LoRA files: whatever a command takes can be asked for, and what a form makes is taken."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_tui.cli.lora import build
from lora_tui.cli.main import Parser
from lora_tui.loras import recipes
from lora_tui.loras.recipes import Recipe

FORMS = [one for one in vars(recipes).values() if isinstance(one, Recipe)]
OF_THE_FORM = {"--help", "--json", "--force", "--dry-run", "--curve", "--preset"}
"""Options that are no question: what is looked at, whether it is written over, another way to say ``--weights``."""
FILES = [Path("/x/a.safetensors"), Path("/x/b.safetensors")]


@pytest.fixture(scope="module")
def parser() -> Parser:
    found = Parser(prog="lora-tui lora")
    build(found)
    return found


def options_of(parser: Parser, action: str) -> set[str]:
    commands = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    found = commands.choices[action]._actions
    return {next(name for name in one.option_strings if name.startswith("--")) for one in found if one.option_strings}


def answers(recipe: Recipe) -> Iterator[dict[str, str]]:
    """The form as it is at first, then filled in, then with each choice and every other field that there is filled."""
    filled = {"number": "3", "yes": "yes", "text": "INS", "model": "/x/base", "file": "/x/presets.txt"}
    first: dict[str, Any] = {one.name: one.start for one in recipe.fields} | {recipes.OUT: "/x/new.safetensors"}
    yield first
    full = first | {one.name: filled.get(one.kind, first[one.name]) for one in recipe.fields if one.kind != "new"}
    yield full
    for one in recipe.fields:
        for value, _words in one.choices:
            yield full | {one.name: value}


@pytest.mark.parametrize("recipe", FORMS, ids=lambda one: one.action)
def test_a_form_asks_for_all_that_its_command_takes(recipe: Recipe, parser: Parser) -> None:
    files = FILES if recipe.action in ("merge", "bake", "compare") else FILES[:1]
    asked: set[str] = set()
    for values in answers(recipe):
        words = recipe.command(values, [] if recipe.action == "extract" else files, writes=recipe.makes)
        parser.parse_args(words[1:])  # raises what a person would be told
        asked |= {word for word in words if word.startswith("--")} - {"--"}
    assert options_of(parser, recipe.action) - OF_THE_FORM == asked - OF_THE_FORM


def test_methods_that_need_a_rank_come_with_one() -> None:
    assert recipes.MERGE.following("method", {"method": "ties"}) == {"rule": "rank", "value": "32"}
    assert recipes.MERGE.following("method", {"method": "ties", "rule": "size"}) == {}
    assert recipes.EXTRACT.following("rule", {"rule": "threshold"}) == {"value": "0.1"}
