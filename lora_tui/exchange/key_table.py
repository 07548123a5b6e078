"""The keys of a program that are told one by one: the setting that each is, or why it has no effect here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_tui.exchange.draft import Draft, alike, is_empty
from lora_tui.exchange.fate import Fate
from lora_tui.text import N_, _

FOLDER = N_("a run has a folder of its own, with its files in it")
BY_ITSELF = N_("it is done by itself")
COMPILED = N_("memory.compile asks for compiled blocks, which are experimental here")
NONE = N_("there is no such thing here")
OFF = N_("off")


def why(*reasons: tuple[str, str]) -> dict[str, str]:
    """Keys, many to a text and with blanks between, with the reason that they have no effect."""
    return {key: reason for reason, keys in reasons for key in keys.split()}


@dataclass(frozen=True)
class KeyTable:
    """What is known of the keys of one kind of table.

    Attributes:
        straight: key -> the setting, or of an entry the field, that has the same values.
        idle: key, or the beginning of dotted ones -> why it has no effect.
        usual: of those, keys -> the only values for which that is so; with another the key is not understood.
        elsewhere: keys that the program's own module reads.
        implied: values that the program takes where a key is not there.
    """

    straight: Mapping[str, str]
    idle: Mapping[str, str]
    usual: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    implied: Mapping[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> frozenset[str]:
        """Every key that means something."""
        return frozenset({*self.straight, *self.idle, *self.elsewhere})

    def take(self, draft: Draft) -> None:
        """Take what is straight and not yet told."""
        draft.straight({key: setting for key, setting in self.straight.items() if not draft.known(key)})

    def tell_rest(self, draft: Draft) -> None:
        """Tell why those keys have no effect that nobody has told of; call it last."""
        for key, value in draft.given.told.items():
            if not is_empty(value) and not draft.known(key) and (name := self._named(key)):
                self._tell(draft, key, name, value)

    def tell_entry(
        self, draft: Draft, shown: str, key: str, value: Any, entry: str, values: Mapping[str, Any], note: str = ""
    ) -> None:
        """Tell what became of ``key`` of a folder or prompt, which the report calls ``shown``.

        Args:
            entry: the entry that was made of it, ``datasets.0``.
            values: what the entry was made with.
            note: to be said where it is its place.
        """
        mine = self.straight.get(key, "")
        if mine in values:
            fate = Fate.TAKEN if alike(value, values[mine]) else Fate.TRANSLATED
            draft.tell(shown, fate, {f"{entry}.{mine}": values[mine]}, note if mine == "path" else "")
        elif is_empty(value):
            return
        elif mine:
            draft.tell(shown, Fate.IDLE, {}, _(OFF))
        elif name := self._named(key):
            self._tell(draft, shown, name, value)
        else:
            draft.tell(shown, Fate.UNKNOWN, {})

    def _named(self, key: str) -> str:
        """The row of ``idle`` that a key falls under; empty for none."""
        while key not in self.idle:
            key, dot, _last = key.rpartition(".")
            if not dot:
                return ""
        return key

    def _tell(self, draft: Draft, shown: str, name: str, value: Any) -> None:
        fine = name not in self.usual or any(alike(value, one) for one in self.usual[name])
        draft.tell(shown, Fate.IDLE if fine else Fate.UNKNOWN, {}, _(self.idle[name]) if fine else "")
