"""The ready-made keymaps as tables: action to keys. The vim-like one is what the actions themselves say.

A person's own keys from the settings lie over any of them. Every key here survives a terminal and tmux.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lora_tui.settings import Settings
from lora_tui.text import N_
from lora_tui.tui.actions import Actions
from lora_tui.tui.keymap import Keymap

Table = Mapping[str, tuple[str, ...]]

_CONVENTIONAL: Table = {
    "app.back": ("escape",),
    "app.keys": ("f1",),
    "app.suspend-program": (),
    "list.up": ("up",),
    "list.down": ("down",),
    "list.page-up": ("pageup",),
    "list.page-down": ("pagedown",),
    "list.first": ("home",),
    "list.last": ("end",),
    "tags.add": ("alt+a",),
    "tags.add-front": ("alt+f",),
    "tags.add-shown": ("ctrl+k a",),
    "tags.write": ("alt+t",),
    "tags.remove": ("delete",),
    "tags.remove-shown": ("ctrl+k delete",),
    "tags.rename": ("alt+r",),
    "tags.rename-shown": ("ctrl+k r",),
    "tags.toggle-tag": ("space",),
    "tags.mark": ("insert",),
    "tags.mark-range": ("alt+v",),
    "tags.mark-all": ("*",),
    "tags.mark-invert": ("alt+i",),
    "tags.mark-none": ("alt+m",),
    "tags.filter": ("ctrl+f",),
    "tags.command": ("ctrl+e",),
    "tags.undo": ("ctrl+z", "alt+z"),
    "tags.redo": ("ctrl+y", "alt+y"),
    "tags.scope": ("alt+s",),
    "tags.repeat": ("alt+.",),
    "tags.next-image": ("alt+pagedown",),
    "tags.previous-image": ("alt+pageup",),
    "tags.pane-left": ("left",),
    "tags.pane-right": ("right",),
    "tags.move-up": ("alt+up",),
    "tags.move-down": ("alt+down",),
    "tags.to-front": ("alt+home",),
    "tags.to-back": ("alt+end",),
    "tags.copy": ("alt+c",),
    "tags.paste": ("ctrl+v",),
    "tags.paste-over": ("alt+o",),
    "tags.view": ("alt+p",),
    "tags.zoom": ("ctrl+t",),
    "tags.variant": ("alt+e",),
    "tags.line": ("alt+l",),
    "tags.variants": ("ctrl+k l",),
    "tags.take": ("ctrl+k y",),
    "tags.next-problem": ("ctrl+n",),
    "tags.previous-problem": ("alt+n",),
    "tags.fix": ("alt+x",),
    "tags.lint": ("ctrl+k e",),
    "tags.trigger": ("ctrl+k t",),
    "tags.prune": ("ctrl+k p",),
    "tags.sweep": ("ctrl+k s",),
    "tags.sheet": ("ctrl+k g",),
    "tags.diff": ("ctrl+k i",),
    "tags.conflicts": ("ctrl+k w",),
    "tags.undo-file": ("ctrl+k u",),
    "tags.undo-tag": ("ctrl+k j",),
    "tags.find": ("ctrl+k v",),
    "tags.order": ("ctrl+k o",),
    "tags.phrases": ("alt+w",),
    "tags.history": ("ctrl+k h",),
    "tags.reviewed": ("ctrl+k c",),
    "tags.next-unreviewed": ("ctrl+k n",),
    "tags.saved": ("ctrl+k f",),
    "tags.refilter": ("ctrl+k /",),
    "tags.record": ("ctrl+k q",),
    "tags.replay": ("ctrl+k m",),
    "tags.quick-set": ("ctrl+k =",),
    "tags.tag": ("ctrl+k b",),
    "tags.tasks": ("ctrl+k ,",),
    "tags.accept-score": ("+",),
    "tags.accept-scores": ("ctrl+k +",),
    "tags.folder": ("ctrl+k d",),
    "tags.keymap": ("ctrl+k k",),
}

_BDTM: Table = {
    **_CONVENTIONAL,
    "tags.add": ("ctrl+e", "W"),
    "tags.add-shown": ("ctrl+w",),
    "tags.remove": ("ctrl+d", "delete", "R"),
    "tags.remove-shown": ("ctrl+r",),
    "tags.rename-shown": ("ctrl+g",),
    "tags.command": ("ctrl+t",),
    "tags.zoom": ("ctrl+k z",),
    "tags.find": ("ctrl+f",),
    "tags.filter": ("F",),
    "tags.refilter": ("G",),
    "tags.sweep": ("T",),
    "tags.move-up": ("ctrl+pageup", "alt+up"),
    "tags.move-down": ("ctrl+pagedown", "alt+down"),
}

KEYMAPS: Mapping[str, tuple[str, Table]] = {
    "vim": (N_("vim-like: a letter is a command"), {}),
    "conventional": (N_("conventional: Ctrl, Alt, Insert and Delete"), _CONVENTIONAL),
    "bdtm": (N_("as in BooruDatasetTagManager"), _BDTM),
}
"""Name in the settings to words and table."""

USUAL = "vim"
"""The one that is used where none is named."""


def keymap_for(actions: Actions, settings: Settings) -> Keymap:
    """The keymap that the settings choose, with the person's own keys over it."""
    table = KEYMAPS.get(settings.keymap, KEYMAPS[USUAL])[1]
    chosen = Actions(replace(action, keys=table.get(action.id, action.keys)) for action in actions)
    return Keymap(chosen, settings.keys)
