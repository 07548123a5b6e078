"""Changing the settings of a preparation: the next choice with an arrow, all of them with Enter, texts and folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.prepare_settings import OTHER, Setting
from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.dataset_prepare import PrepareScreen


class PrepareEditing:
    """The part of the screen that changes settings."""

    def __init__(self, screen: PrepareScreen) -> None:
        self._screen = screen

    @property
    def setting(self) -> Setting | None:
        """The one under the cursor."""
        form, index = self._screen.form, self._screen.settings.cursor
        rows = form.rows() if form is not None else ()
        return rows[index] if 0 <= index < len(rows) else None

    def refusal(self, name: str) -> str:
        """Why something cannot be done now."""
        screen = self._screen
        if name == "undo" and (screen.form is None or not screen.form.can_undo):
            return _("There is nothing to undo.")
        return ""

    # -- actions

    def action_edit(self) -> None:
        screen, setting, form = self._screen, self.setting, self._screen.form
        if screen.images.has_focus:
            screen.action_zoom()
            return
        if setting is None or form is None or screen.has_class("-task"):
            return
        if setting.key == "source":
            self._ask_source()
        elif setting.kind == "switch":
            self._turn(1)
        elif setting.kind == "choice":
            self._choose(setting)
        elif setting.kind == "place":
            self._ask_path(setting)
        elif setting.kind in ("folder", "file"):
            self._ask_optional(setting)
        else:
            self._ask_text(setting, _(setting.title), form.text(setting))

    def action_turn_on(self) -> None:
        self._turn(1)

    def action_turn_back(self) -> None:
        self._turn(-1)

    def action_undo(self) -> None:
        form = self._screen.form
        if form is not None and form.undo():
            self._changed(read=True)

    # -- inside

    def _turn(self, by: int) -> None:
        screen, setting = self._screen, self.setting
        if screen.images.has_focus:
            screen.look.turn(by)
        elif setting is not None and screen.form is not None and not screen.has_class("-task"):
            form = screen.form
            self._try(lambda: form.turn(setting, by))

    def _try(self, act: Callable[[], bool], *, read: bool = False) -> None:
        try:
            if act():
                self._changed(read=read)
        except UserError as error:
            self._screen.tell(plain(error_words(error)), "error")

    def _changed(self, *, read: bool = False) -> None:
        screen = self._screen
        screen.trouble = None
        here = self.setting
        screen.show_settings()
        rows = screen.form.rows() if screen.form is not None else ()
        if here in rows:
            screen.settings.cursor = rows.index(here)
        if read or screen.scan is None:
            screen.read_source()
        else:
            screen.replan()

    def _put(self, setting: Setting, text: str) -> None:
        form = self._screen.form
        if form is not None:
            self._try(lambda: form.set(setting.key, text), read=setting.key == "source")

    def _choose(self, setting: Setting) -> None:
        form = self._screen.form
        assert form is not None
        now = form.text(setting)
        choices = [Choice(pick.value, _(pick.label), _(pick.remark) if pick.remark else "") for pick in setting.picks]
        current = now if any(choice.value == now for choice in choices) else OTHER

        def chosen(value: str | None) -> None:
            if value == OTHER:
                self._ask_text(setting, _(setting.asks), now if current == OTHER else "")
            elif value is not None:
                self._put(setting, value)

        dialog = Choose(_(setting.title), choices, detail=_(setting.help), current=current)
        self._screen.app.push_screen(dialog, chosen)

    def _ask_text(self, setting: Setting, title: str, value: str) -> None:
        form = self._screen.form
        assert form is not None
        detail = "" if setting.asks else _(setting.help)

        def answered(text: str | None) -> None:
            if text is not None:
                self._put(setting, text)

        dialog = AskText(title, value, detail=detail, check=lambda text: plain(form.complaint(setting.key, text)))
        self._screen.app.push_screen(dialog, answered)

    def _ask_optional(self, setting: Setting) -> None:
        """A file or folder that may be none."""
        form = self._screen.form
        assert form is not None
        now = form.text(setting)
        if not now:
            self._ask_path(setting)
            return
        choices = [Choice(now, plain(now)), Choice(OTHER, _("another one")), Choice("", _("none"))]

        def chosen(value: str | None) -> None:
            if value == OTHER:
                self._ask_path(setting)
            elif value is not None:
                self._put(setting, value)

        dialog = Choose(_(setting.title), choices, detail=_(setting.help), current=now)
        self._screen.app.push_screen(dialog, chosen)

    def _ask_path(self, setting: Setting) -> None:
        form = self._screen.form
        assert form is not None
        now, is_new = form.text(setting), setting.key == "destination"
        start = form.source if setting.key == "source" else Path(now).parent if now else form.source.parent
        if is_new and form.place is not None:
            start = form.place.parent

        def answered(path: Path | None) -> None:
            if path is not None and not (is_new and path == form.place):  # what is suggested goes on following
                self._put(setting, str(path))

        dialog = AskPath(
            _(setting.title),
            start,
            detail=_(setting.help),
            folders_only=setting.kind != "file",
            suffixes=(".onnx",) if setting.kind == "file" else (),
            must_exist=not is_new,
            value=form.place if is_new else None,
            check=(lambda path: _wrong_place(form.source, path)) if is_new else (lambda path: ""),
        )
        self._screen.app.push_screen(dialog, answered)

    def _ask_source(self) -> None:
        form = self._screen.form
        setting = self.setting
        assert form is not None and setting is not None
        if len(form.sources) < 2:
            self._ask_path(setting)
            return
        choices = [Choice(str(path), plain(path.name), plain(str(path.parent))) for path in form.sources]
        choices.append(Choice(OTHER, _("another folder")))

        def chosen(value: str | None) -> None:
            if value == OTHER:
                self._ask_path(setting)
            elif value is not None:
                self._put(setting, value)

        dialog = Choose(_(setting.title), choices, detail=_(setting.help), current=str(form.source))
        self._screen.app.push_screen(dialog, chosen)


def _wrong_place(source: Path, destination: Path) -> str:
    """Why images cannot be made there, with what to do; empty when they can."""
    from lora_tui.dataset.prepare.carry import check_places

    try:
        check_places(source, destination)
    except UserError as error:
        return f"{error.message} {error.remedy}"
    return ""
