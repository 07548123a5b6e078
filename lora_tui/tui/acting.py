"""The one door between a key and what it does: bindings from the table of actions, refusals with a reason."""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode

from lora_tui.text import _
from lora_tui.tui.actions import DIALOG_ACTIONS, LIST_ACTIONS, Action, Actions
from lora_tui.tui.keymap import Keymap

if TYPE_CHECKING:
    from textual.app import App

    from lora_tui.tui.widgets.footer import KeyHint

_BARE = Keymap(Actions((*LIST_ACTIONS, *DIALOG_ACTIONS)))
"""What a widget uses in an app that has no keymap of its own, such as the small ones in tests."""


class Acting:
    """A widget, screen or app whose keys come from the table: :attr:`ACTS` names its context there.

    :attr:`ALSO` names a second one, whose keys it has beside those of the first.
    """

    ACTS: ClassVar[str] = ""
    ALSO: ClassVar[str] = ""

    def doers(self) -> tuple[object, ...]:
        """Who has the methods of the actions: itself first, then the parts that it leaves some of them to."""
        return (self,)

    def refusal(self, action_id: str) -> str:
        """Why the action cannot be done now, as a sentence for the status line; empty when it can."""
        return ""

    async def action_act(self, action_id: str) -> None:
        """Do an action of this context, or say on the status line why not."""
        node = cast(DOMNode, self)
        action = keymap_of(node.app).actions[action_id]
        why = self.refusal(action_id)
        if why:
            tell = getattr(node.app, "tell", None)
            if tell is not None:
                tell(why, "warning")
            return
        doer = next((doer for doer in self.doers() if hasattr(doer, action.method)), self)
        done = getattr(doer, action.method)()
        if isawaitable(done):
            await done

    def action_act_prefix(self, prefix: str) -> None:
        """The first of two keys was pressed: show what the second one does, and do it."""
        from lora_tui.tui.widgets.which_key import WhichKey

        node = cast(DOMNode, self)
        keymap = keymap_of(node.app)
        begin = prefix + " "
        found = [
            (key.removeprefix(begin), action, self.refusal(action.id))
            for action in self._actions(keymap)
            for key in keymap.keys(action.id)
            if key.startswith(begin)
        ]

        def chosen(action_id: str | None) -> None:
            if action_id is not None:
                node.call_later(self.action_act, action_id)

        node.app.push_screen(WhichKey(prefix, found), chosen)

    def take_keys(self) -> None:
        """Bind the keys of this context; again after the keymap or the language changed."""
        node = cast(DOMNode, self)
        keymap = keymap_of(node.app)
        # Textual reads bindings from the class, before anybody's keymap is known; the instance's map
        # is the only place where keys can differ between two apps in one process.
        inherited = type(node)._merged_bindings
        bindings = inherited.copy() if inherited is not None else BindingsMap()
        for action in self._actions(keymap):
            for key in keymap.keys(action.id):
                first, pair, _second = key.partition(" ")
                bindings.key_to_bindings[first] = [_prefix(first) if pair else _binding(action, key)]
        node._bindings = bindings

    def _actions(self, keymap: Keymap) -> tuple[Action, ...]:
        return (*keymap.actions.of(self.ACTS), *(keymap.actions.of(self.ALSO) if self.ALSO else ()))


class WithKeys:
    """What lies over a screen, hides the app's own keys with it, and shows all keys nonetheless."""

    def action_keys(self) -> None:
        """Show all keys, those that work here first."""
        cast(Any, self).app.action_keys()

    def action_palette(self) -> None:
        """Offer what can be done here by its name."""
        cast(Any, self).app.action_palette()


def _binding(action: Action, key: str) -> Binding:
    return Binding(key, f"act('{action.id}')", action.title, show=False, priority=action.priority, id=None)


def _prefix(key: str) -> Binding:
    return Binding(key, f"act_prefix('{key}')", "", show=False, id=None)


def keymap_of(app: App[Any]) -> Keymap:
    """The keymap of an app."""
    keymap = getattr(app, "keymap", None)
    return keymap if isinstance(keymap, Keymap) else _BARE


def hints_of(app: App[Any], context: str) -> list[KeyHint]:
    """The line of keys of what lies over a screen, in the order of the table."""
    from lora_tui.tui.widgets.footer import KeyHint

    keymap, ascii_only = keymap_of(app), bool(getattr(app, "ascii_only", False))
    return [
        KeyHint(
            action.id,
            keymap.shown(action.id, ascii_only=ascii_only),
            _(action.title),
            kept=action.method == "action_keys",
        )
        for action in keymap.actions.of(context)
        if action.show and keymap.keys(action.id)
    ]
