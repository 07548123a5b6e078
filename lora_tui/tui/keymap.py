"""Which keys do what: the table of actions with a person's own keys laid over it, and what clashes.

A person's keys replace all keys of an action. A key that no terminal can send, an unknown action and a
clash are reported; the action then keeps its default keys, so that nothing becomes unreachable.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lora_tui.text import _, plain
from lora_tui.tui.actions import APP, LIST, OVER, Action, Actions

_LOST = {
    "ctrl+i": "Tab",
    "ctrl+m": "Enter",
    "ctrl+j": "Enter",
    "ctrl+h": "Backspace",
    "ctrl+left_square_bracket": "Esc",
    "alt+enter": "Enter",
    "shift+enter": "Enter",
    "ctrl+enter": "Enter",
}
"""Keys that a terminal sends as another key, and which one."""

_FUNCTION_KEYS = frozenset(f"f{number}" for number in range(1, 25))
_MOVING = ("up", "down", "left", "right", "home", "end", "pageup", "pagedown")
_NAMED = frozenset((*_FUNCTION_KEYS, *_MOVING, "insert", "delete", "backspace", "enter", "escape", "tab", "space"))

_SHOWN = {
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "S-Tab",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "backspace": "Backspace",
    "delete": "Del",
    "insert": "Ins",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}
_SHOWN_ASCII = {"up": "Up", "down": "Down", "left": "Left", "right": "Right"}

_AROUND_PLUS = re.compile(r"(?<=\S)\s*\+\s*(?=\S)")

_REPLACED = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
"""Textual's names for characters that differ from Unicode's."""


@dataclass(frozen=True)
class KeyProblem:
    """Why a line of a person's key settings has no effect."""

    action: str
    message: str


class Keymap:
    """The keys in use, by action."""

    def __init__(self, actions: Actions, overrides: Mapping[str, Iterable[str]] | None = None) -> None:
        self.actions = actions
        self.problems: tuple[KeyProblem, ...] = ()
        self._keys: dict[str, tuple[str, ...]] = {
            action.id: tuple(key_name(key) for key in action.keys) for action in actions
        }
        if overrides:
            self._apply(overrides)

    def keys(self, action_id: str) -> tuple[str, ...]:
        """Textual's names of the keys of an action."""
        return self._keys.get(action_id, ())

    def shown(self, action_id: str, *, ascii_only: bool = False) -> str:
        """The first key of an action as a person reads it, empty when it has none."""
        keys = self.keys(action_id)
        return key_text(keys[0], ascii_only=ascii_only) if keys else ""

    def all_shown(self, action_id: str, *, ascii_only: bool = False) -> str:
        """Every key of an action as a person reads them."""
        return " ".join(key_text(key, ascii_only=ascii_only) for key in self.keys(action_id))

    def clashes(self) -> tuple[tuple[str, Action, Action], ...]:
        """Keys that two actions claim where both would apply: (key, one action, the other)."""
        found: list[tuple[str, Action, Action]] = []
        actions = list(self.actions)
        for position, first in enumerate(actions):
            for second in actions[position + 1 :]:
                if _meet(first.context, second.context):
                    shared = _shared(self.keys(first.id), self.keys(second.id))
                    found.extend((key, first, second) for key in sorted(shared))
        return tuple(found)

    def _apply(self, overrides: Mapping[str, Iterable[str]]) -> None:
        defaults = dict(self._keys)
        problems: list[KeyProblem] = []
        changed: dict[str, tuple[str, ...]] = {}
        for action_id, given in overrides.items():
            problem = self._problem_of(action_id, tuple(given))
            if problem:
                problems.append(KeyProblem(action_id, problem))
            else:
                changed[action_id] = tuple(dict.fromkeys(key_name(key) for key in given))
        self._keys.update(changed)
        while changed and (clashes := self.clashes()):
            key, first, second = clashes[0]
            loser = second if second.id in changed else first
            other = first if loser is second else second
            if loser.id not in changed:  # the defaults themselves clash: not a person's doing
                break
            del changed[loser.id]
            self._keys = defaults | changed
            problems.append(
                KeyProblem(
                    loser.id,
                    _("{key} already belongs to {other}; {action} keeps its default keys.").format(
                        key=key_text(key), other=other.id, action=loser.id
                    ),
                )
            )
        self.problems = tuple(problems)

    def _problem_of(self, action_id: str, keys: tuple[str, ...]) -> str:
        if action_id not in self.actions:
            close = difflib.get_close_matches(action_id, [action.id for action in self.actions], n=1)
            if close:
                return _("There is no action {name}. Did you mean {close}?").format(
                    name=plain(action_id), close=close[0]
                )
            return _("There is no action {name}.").format(name=plain(action_id))
        for key in keys:
            name = key_name(key)
            if name in _LOST:
                return _("A terminal sends {key} as {other}; choose another key.").format(
                    key=plain(key), other=_LOST[name]
                )
            if not is_key(name):
                return _("{key} is no key. Write keys as f5, ctrl+s, pageup or a single character.").format(
                    key=plain(key)
                )
        return ""


def key_name(key: str) -> str:
    """A key as a person writes it (``F5``, ``Ctrl+S``, ``/``) in Textual's form; two keys pressed one after the
    other (``space p``) keep the blank between them."""
    key = key if key == " " else _AROUND_PLUS.sub("+", key.strip())
    if len(parts := key.split()) > 1:
        return " ".join(key_name(part) for part in parts)
    head, plus, last = key.rpartition("+")
    if plus and not last:  # the key is the plus sign itself
        head, last = head.removesuffix("+"), "+"
    modifiers = sorted(part.strip().lower() for part in head.split("+") if part.strip())
    if len(last) == 1:
        last = last.lower() if modifiers and last.isalpha() else _character_name(last)
    else:
        last = last.strip().lower()
    return "+".join([*modifiers, last])


def _character_name(character: str) -> str:
    if character == " ":
        return "space"
    if character.isalnum():
        return character
    name = unicodedata.name(character, character).lower().replace("-", "_").replace(" ", "_")
    return _REPLACED.get(name, name)


def _character(name: str) -> str:
    """The character behind a name such as ``question_mark``; empty when there is none."""
    if len(name) == 1:
        return name
    if name in _ASCII:
        return _ASCII[name]
    try:
        return unicodedata.lookup(name.replace("_", " ").upper())
    except KeyError:
        return ""


_ASCII = {_character_name(chr(code)): chr(code) for code in range(0x20, 0x7F)}


def is_key(name: str) -> bool:
    """Whether ``name`` (in Textual's form) is a key that a terminal can send, or two of them."""
    if " " in name:
        parts = name.split()
        return len(parts) == 2 and all(is_key(part) and part not in _LOST for part in parts)
    *modifiers, last = name.split("+")
    if any(part not in ("ctrl", "alt", "shift") for part in modifiers):
        return False
    if last in _NAMED:
        return True
    character = _character(last)
    if not character:
        return False
    if "ctrl" in modifiers:
        return modifiers == ["ctrl"] and ((character.isascii() and character.isalpha()) or character in "@\\]^_")
    return "shift" not in modifiers


def is_printable(name: str) -> bool:
    """Whether a text field with the focus takes this key as text."""
    name = name.partition(" ")[0]
    return "+" not in name and (name == "space" or (name not in _NAMED and bool(_character(name))))


def key_text(name: str, *, ascii_only: bool = False) -> str:
    """A key as footer and help show it: ``ctrl+p`` as ``^p``, ``question_mark`` as ``?``."""
    if " " in name:
        return " ".join(key_text(part, ascii_only=ascii_only) for part in name.split())
    if ascii_only and name in _SHOWN_ASCII:
        return _SHOWN_ASCII[name]
    if name in _SHOWN:
        return _SHOWN[name]
    modifiers, _plus, last = name.rpartition("+")
    if last in _NAMED:
        shown = _SHOWN.get(last, last.upper() if last in _FUNCTION_KEYS else last)
    else:
        shown = _character(last) or last
    if modifiers == "ctrl":
        return f"^{shown}"
    return f"{modifiers}+{shown}" if modifiers else shown


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> set[str]:
    """Keys that both have, and those of one with which a pair of keys of the other begins."""
    found = set(one) & set(other)
    for some, others in ((one, other), (other, one)):
        found |= {key for key in some for pair in others if pair.startswith(key + " ")}
    return found


def _meet(one: str, other: str) -> bool:
    """Whether actions of two contexts can apply at the same time."""
    if one == other:
        return True
    for over, beside in ((one, other), (other, one)):
        if over in OVER:
            return beside in OVER[over] or over in OVER.get(beside, ())
    return APP in (one, other) or LIST in (one, other)
