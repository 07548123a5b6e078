"""The form of a tagging over a screen: which models, which images, what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.errors import UserError
from lora_tui.tagging.hub import is_hub_name
from lora_tui.tagging.known import KnownModel, kind_of, known_models
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.text import N_, _, plain
from lora_tui.tui.acting import hints_of
from lora_tui.tui.actions import TAGGING
from lora_tui.tui.marks import marks_of
from lora_tui.tui.tagging_form import KIND_WORDS, WHICH_WORDS, Line, TaggingForm, where_words
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose, Dialog
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.form import FieldRow, FormPane
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words

Asked = tuple[Request, str]
"""What is asked for, and of which images."""

_FOLDER, _HUB, _SERVER, _AWAY = "folder", "hub", "server", "away"
_TYPED = "typed:"
_PATHS = ("/", "~", "./", "../")
_OTHERS = {
    _FOLDER: (N_("a folder or a file"), N_("model.onnx with selected_tags.csv, a description, Florence-2, BLIP")),
    _HUB: (N_("another name on the hub"), N_("owner/model")),
    _SERVER: (N_("a server"), N_("that speaks OpenAI's protocol and sees pictures")),
}


class TaggingDialog(Dialog[Asked]):
    """Rows to change; Ctrl+R begins."""

    ALSO = TAGGING
    DEFAULT_CSS = """
    TaggingDialog > #box { width: 100; height: 92%; }
    TaggingDialog FormPane { height: 1fr; }
    TaggingDialog VirtualList { height: 1fr; max-height: 100%; }
    TaggingDialog #said { height: 1; color: $muted; text-style: $muted-style; }
    """

    def __init__(self, form: TaggingForm, root: Path, said: str = "") -> None:
        """``root``: where paths count from; ``said``: why it is asked again."""
        super().__init__(_("Tag with models"))
        self.form, self._root, self._said = form, root, said
        self._known: list[KnownModel] = []
        self._lines = form.rows()
        self.accept_words = _("change")

    def compose_body(self) -> ComposeResult:
        yield FormPane(self._row)
        yield Static(self._said, id="said", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._pane.rows.passes = lambda row: row < len(self._lines) and self._lines[row].field.kind == "head"
        self._reload()
        self.set_focus(self._pane.rows)
        place = next(at for at, line in enumerate(self._lines) if line.field.path == "existing") if self._said else 1
        self._pane.rows.cursor = self._last = place  # where what is said can be mended
        if self._said:
            self.query_one("#said", Static).update(self._said)
        start_job(self, self._learn, "known")

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        return [*hints_of(self.app, TAGGING)[:1], *found[:1], *hints_of(self.app, TAGGING)[1:], *found[1:]]

    async def _learn(self) -> None:
        """Look which models are on this machine."""
        self._known = await in_thread(known_models)
        self.form.known = {one.name: one for one in self._known}
        self._reload()
        if not self._said:
            self._say("")

    # -- rows

    @property
    def _pane(self) -> FormPane:
        return self.query_one(FormPane)

    @property
    def _line(self) -> Line:
        return self._lines[max(self._pane.rows.cursor, 0)]

    def _row(self, index: int) -> FieldRow:
        return self.form.row(self._lines[index])

    def _reload(self) -> None:
        rows = self._pane.rows
        here = self._lines[rows.cursor] if 0 <= rows.cursor < len(self._lines) else None
        self._lines = self.form.rows()
        place = self._lines.index(here) if here in self._lines else rows.cursor
        rows.set_count(len(self._lines), cursor=place)
        rows.reload()

    def _say(self, text: str) -> None:
        """Say what is wrong; else all of what stands beside the row, which may be cut there."""
        note = self.form.row(self._lines[self._pane.rows.cursor]).note.text if self._lines else ""
        self.query_one("#said", Static).update(text or note)

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        if self._pane.rows.cursor != self._last:
            self._last = self._pane.rows.cursor
            self._say("")

    _last = 0

    # -- changing

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        """Enter: change the row."""
        line, one = self._line, self._line.field
        if one.kind in ("model", "add"):
            self._choose_model(line.model if one.kind == "model" else len(self.form.request.models))
        elif one.kind == "bool":
            self._turn(1)
        elif one.kind in ("choice", "which"):
            words = one.choices or {name: WHICH_WORDS[name] for name in self.form.numbers}
            choices = [Choice(value, _(text)) for value, text in words.items()]
            now = self.form.which if one.kind == "which" else self.form.text(line)
            self.app.push_screen(Choose(_(one.title), choices, current=now), partial(self._chosen, line))
        elif one.kind == "path":
            self.app.push_screen(AskPath(_(one.title), self._root), lambda path: self._chosen(line, path and str(path)))
        elif one.kind in ("text", "number"):
            self._pane.edit(self.form.text(line), narrow=one.kind == "number")

    def _chosen(self, line: Line, value: str | None) -> None:
        if value is not None:
            self._set(line, value)

    def _set(self, line: Line, text: str) -> bool:
        try:
            self.form.set(line, text)
        except UserError as error:
            self._say(error_words(UserError(error.message, remedy=error.remedy)))
            self.app.bell()
            return False
        self._say("")
        self._reload()
        return True

    def _turn(self, by: int) -> None:
        try:
            if self.form.turn(self._line, by):
                self._say("")
                self._reload()
        except UserError as error:
            self._say(error_words(error))

    def action_more(self) -> None:
        self._turn(1)

    def action_less(self) -> None:
        self._turn(-1)

    @on(FormPane.Done)
    def _done(self, event: FormPane.Done) -> None:
        event.stop()
        if event.accept and not self._set(self._line, event.text):
            return
        self._pane.close()
        self._pane.rows.cursor += event.by

    # -- models

    def _choose_model(self, number: int) -> None:
        kinds = {kind: _(words) for kind, words in KIND_WORDS.items()}
        choices = []
        for one in self._known:
            sign = marks_of(self.app).done if one.here else " "
            remark = where_words(one) + _(", ") + kinds[one.kind]
            choices.append(Choice(f"{one.kind}:{one.name}", f"{sign} {plain(one.name)}", remark))
        choices += [Choice(value, "  " + _(words), _(remark)) for value, (words, remark) in _OTHERS.items()]
        models = self.form.request.models
        if number < len(models) and len(models) > 1:
            choices.append(Choice(_AWAY, "  " + _("none: take this model away")))
        now = f"{models[number].kind}:{models[number].name}" if number < len(models) else None
        dialog = Choose(_("Which model?"), choices, current=now, label_width=40, typed=_typed_model)
        self.app.push_screen(dialog, partial(self._model_chosen, number))

    def _model_chosen(self, number: int, value: str | None) -> None:
        ask: Callable[[Any, Callable[[Any], None]], Any] = self.app.push_screen
        if value is not None and value.startswith(_TYPED):
            self._take_typed(number, value.removeprefix(_TYPED))
        elif value == _FOLDER:
            ask(AskPath(_("The model's folder or file"), self._root), partial(self._take_path, number))
        elif value == _HUB:
            ask(AskText(_("Its name on the hub"), placeholder="owner/model"), partial(self._take_name, number))
        elif value == _SERVER:
            ask(
                AskText(_("The name of the server's model"), detail=_("By which the server knows it.")),
                partial(self._take_server, number),
            )
        elif value == _AWAY:
            self._put(number, None)
        elif value is not None:
            kind, _colon, name = value.partition(":")
            self._put(number, ModelChoice(kind, name))  # type: ignore[arg-type]

    def _take_typed(self, number: int, text: str) -> None:
        if text.startswith(_PATHS):
            self._take_path(number, self._root / Path(text).expanduser())
        else:
            self._take_name(number, text)

    def _take_path(self, number: int, path: Path | None) -> None:
        if path is None:
            return

        async def look() -> None:
            kind = await in_thread(_kind_of_path, path)
            if kind is None:
                self._say(_("{name}: no tagger is found there.").format(name=plain(path.name)))
            else:
                self._put(number, ModelChoice(kind, str(path)))

        start_job(self, look, "path")

    def _take_name(self, number: int, name: str | None) -> None:
        if not name:
            return
        if not is_hub_name(name.strip()):
            self._say(_("A name on the hub is owner/model."))
            return
        low = name.lower()
        kind = "florence2" if "florence" in low else "blip" if "blip" in low else "wd14"
        self._put(number, ModelChoice(kind, name.strip()))  # type: ignore[arg-type]

    def _take_server(self, number: int, name: str | None) -> None:
        if name and name.strip():
            self._put(number, ModelChoice("endpoint", name.strip()))
            if not self.form.request.endpoint.url:
                self._say(_("Its address is asked for below, among SERVER."))

    def _put(self, number: int, model: ModelChoice | None) -> None:
        try:
            self.form.put_model(number, model)
            self._reload()
            self._say("")
        except UserError as error:
            self._say(error_words(error))
            self._reload()

    def action_remove(self) -> None:
        line = self._line
        if line.field.kind == "model" and len(self.form.request.models) > 1:
            self._put(line.model, None)

    # -- going on

    def action_start(self) -> None:
        """Ctrl+R: begin, if nothing is missing."""
        if self._pane.editing:
            if not self._set(self._line, self._pane.text):
                return
            self._pane.close()
        request, server = self.form.request, any(one.kind == "endpoint" for one in self.form.request.models)
        if server and not request.endpoint.url:
            self._say(_("The server's address is missing."))
            place = next(i for i, line in enumerate(self._lines) if line.field.path == "endpoint.url")
            self._pane.rows.cursor = place
        elif not self.form.numbers.get(self.form.which):
            self._say(_("There is no image to tag."))
        else:
            self.dismiss((request, self.form.which))


def _typed_model(text: str) -> Choice[str] | None:
    """The model that is typed instead of chosen: a path, or a name on the hub."""
    if text.startswith(_PATHS):
        return Choice(_TYPED + text, "  " + plain(text), _(_OTHERS[_FOLDER][0]))
    return Choice(_TYPED + text, "  " + plain(text), _(_OTHERS[_HUB][0])) if is_hub_name(text) else None


def _kind_of_path(path: Path) -> Any:
    """The kind of tagger that a folder or file is; none for anything else."""
    if path.is_dir():
        return kind_of(path)
    endings: Mapping[str, str] = {".toml": "onnx", ".onnx": "wd14"}
    return endings.get(path.suffix.lower())
