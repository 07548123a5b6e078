"""A person's keys replace the default ones, and what cannot work is said."""

from __future__ import annotations

import string

import pytest
from textual.keys import _character_to_key

from lora_tui.tui.actions import Action, Actions
from lora_tui.tui.keymap import Keymap, is_key, is_printable, key_name, key_text

ACTIONS = Actions(
    [
        Action("app.quit", ("ctrl+q",), "quit", "Leave."),
        Action("app.keys", ("?", "f1"), "keys", "All keys."),
        Action("list.down", ("down", "j"), "down", "Down."),
        Action("home.open", ("enter",), "open", "Open."),
        Action("dataset.filter", ("/",), "filter", "Filter."),
        Action("dataset.order", ("s",), "order", "Order."),
        Action("dialog.accept", ("enter",), "apply", "Apply."),
    ]
)


@pytest.mark.parametrize("character", sorted(set(string.printable) - set("\r\n\x0b\x0c\t")))
def test_characters_are_named_as_textual_names_them(character: str) -> None:
    assert key_name(character) == _character_to_key(character)
    assert is_key(key_name(character))
    assert is_printable(key_name(character))


@pytest.mark.parametrize(
    ("written", "name"),
    [("F5", "f5"), ("Ctrl+S", "ctrl+s"), ("ctrl + s", "ctrl+s"), ("PageUp", "pageup"), ("G", "G"), ("alt+x", "alt+x")],
)
def test_keys_may_be_written_as_people_write_them(written: str, name: str) -> None:
    assert key_name(written) == name
    assert is_key(name)


@pytest.mark.parametrize("name", ["ctrl", "hyper+x", "f99", "nonsense", "ctrl+1", "ctrl+shift+x", ""])
def test_what_no_terminal_sends_is_no_key(name: str) -> None:
    assert not is_key(key_name(name))


@pytest.mark.parametrize(
    ("name", "shown"),
    [("ctrl+p", "^p"), ("question_mark", "?"), ("f2", "F2"), ("escape", "Esc"), ("slash", "/"), ("shift+tab", "S-Tab")],
)
def test_keys_are_shown_short(name: str, shown: str) -> None:
    assert key_text(name) == shown


def test_own_keys_replace_all_default_ones() -> None:
    keymap = Keymap(ACTIONS, {"dataset.filter": ["F7", "Ctrl+F"]})
    assert keymap.keys("dataset.filter") == ("f7", "ctrl+f")
    assert keymap.shown("dataset.filter") == "F7"
    assert keymap.problems == ()


def test_two_actions_may_swap_their_keys() -> None:
    keymap = Keymap(ACTIONS, {"dataset.filter": ["s"], "dataset.order": ["/"]})
    assert keymap.keys("dataset.filter") == ("s",)
    assert keymap.keys("dataset.order") == ("slash",)
    assert keymap.problems == ()


def test_an_unknown_action_is_named_with_the_nearest() -> None:
    (problem,) = Keymap(ACTIONS, {"dataset.fliter": ["f"]}).problems
    assert "dataset.filter" in problem.message


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ({"dataset.filter": ["ctrl+m"]}, "Enter"),
        ({"dataset.filter": ["hyper+x"]}, "no key"),
        ({"dataset.filter": ["j"]}, "list.down"),
        ({"dataset.filter": ["s"]}, "dataset.order"),
        ({"home.open": ["f1"]}, "app.keys"),
    ],
)
def test_what_cannot_work_is_said_and_the_default_stays(override: dict[str, list[str]], reason: str) -> None:
    keymap = Keymap(ACTIONS, override)
    (problem,) = keymap.problems
    assert reason in problem.message
    (action,) = override
    assert keymap.keys(action) == Keymap(ACTIONS).keys(action)


def test_the_same_key_may_serve_two_screens_and_a_dialog() -> None:
    keymap = Keymap(ACTIONS, {"home.open": ["s"]})
    assert keymap.problems == ()
    assert keymap.clashes() == ()


def test_of_two_new_claims_on_a_key_one_stays() -> None:
    keymap = Keymap(ACTIONS, {"dataset.filter": ["x"], "dataset.order": ["x"]})
    assert len(keymap.problems) == 1
    assert keymap.clashes() == ()
    assert [action for action in ("dataset.filter", "dataset.order") if keymap.keys(action) == ("x",)] != []
