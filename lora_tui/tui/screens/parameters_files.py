"""The files of the parameter form: save, load, presets, and the file as it will be written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.load import dump_config, save_config
from lora_tui.config.presets import Preset, apply_preset, list_presets
from lora_tui.config.prompt_lines import with_prompts
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.places import expand
from lora_tui.sweeps.reading import load_with_axes
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.config_file import FileNow, differing, look_at
from lora_tui.tui.form_origins import Origin
from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.sweeps.axes import Axes
    from lora_tui.tui.screens.parameters import ParametersScreen


class FormFiles:
    """The part of the form's screen that reads and writes configurations.

    Attributes:
        saved: the configuration as it is in its file, none while it has none.
    """

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen
        self.saved: Config | None = None

    @property
    def unsaved(self) -> bool:
        """Whether the configuration differs from its file, or has none."""
        return self.saved is None or self._screen.form.config != self.saved

    def action_save(self) -> None:
        if self._screen.editing.commit() and not self.changed_elsewhere():
            self.save()

    def changed_elsewhere(self) -> bool:
        """Whether the file is another than was read here. Then it is read again, or asked which of the two holds."""
        screen, path = self._screen, self._screen.workspace.config_path
        now = look_at(path) if path is not None else FileNow()
        if path is None or not now.differs(screen.workspace.file_config) or now.config == screen.form.config:
            return False
        if now.config is not None and not self.unsaved:
            self._take(now.config, path)
            screen.tell(_("{name} was changed elsewhere and is read again.").format(name=plain(path.name)), "warning")
            return True
        choices = [Choice("mine", _("write this one over it"))]
        if now.config is not None:
            choices.append(Choice("theirs", _("take what the file holds"), _("undo brings this one back")))
            keys = ", ".join(differing(screen.form.config, now.config))
            detail = _("The two differ in: {settings}.").format(settings=plain(keys, limit=200))
        else:
            detail = error_words(now.error) if now.error is not None else ""

        def chosen(which: str | None) -> None:
            if which == "mine":
                self.save()
            elif which == "theirs" and now.config is not None:
                self._take(now.config, path)

        title = _("{name} was changed elsewhere, and here as well.").format(name=plain(path.name))
        screen.app.push_screen(Choose(title, choices, detail=detail), chosen)
        return True

    def action_save_as(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        folder = screen.workspace.root / "configs"
        path = screen.workspace.config_path
        name = free_path(folder, path.stem if path else screen.form.config.saving.name).stem
        dialog = AskText(
            _("Save the configuration as"),
            name,
            detail=_("A name in {folder}, or a path.").format(folder=plain(str(folder))),
            check=lambda text: _why_not_there(_named(folder, text)),
            accept=_("save"),
        )

        def named(text: str | None) -> None:
            if text is not None:
                self.save(_named(folder, text))

        screen.app.push_screen(dialog, named)

    def save(self, path: Path | None = None) -> bool:
        """Write the configuration, to its own file or to ``path``; false, and said why, when it cannot be."""
        screen = self._screen
        work = screen.workspace
        path = path or work.config_path or free_path(work.root / "configs", screen.form.config.saving.name)
        try:
            save_config(screen.form.config, path)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return False
        self.saved = screen.form.config
        screen.form.origins.saved()
        screen.form.base = path.parent
        screen.shell.use_config(screen.form.config, path, changed=False)
        screen.edited()
        screen.tell(_("saved {path}").format(path=plain(str(path))), "success")
        return True

    def action_load(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        if screen.workspace.config_changed:
            question = _("Load another configuration without them?")
            screen.shell.ask_without_changes(question, _("load"), self._choose_file)
        else:
            self._choose_file()

    def _choose_file(self) -> None:
        screen = self._screen
        folder = screen.workspace.root / "configs"
        paths = sorted(folder.glob("*.toml"))
        if not paths:
            self._ask_file(folder)
            return
        current = screen.workspace.config_path or Path()
        choices = [Choice(path, plain(path.name)) for path in paths] + [Choice(Path(), _("another file"))]
        dialog = Choose(_("Load a configuration"), choices, current=current, search=True)
        screen.app.push_screen(dialog, self._loaded_or_other)

    def _loaded_or_other(self, path: Path | None) -> None:
        if path == Path():
            self._ask_file(self._screen.workspace.root)
        elif path is not None:
            self._load(path)

    def _ask_file(self, start: Path) -> None:
        start = start if start.is_dir() else self._screen.workspace.root
        self._screen.app.push_screen(AskPath(_("Load a configuration"), start, suffixes=(".toml",)), self._load)

    def _load(self, path: Path | None) -> None:
        screen = self._screen
        if path is None:
            return
        try:
            config, axes = load_with_axes(path)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        if axes is not None:
            self._take_sweep(config, axes, path)
            return
        self._take(config, path)
        screen.tell(_("loaded {path}").format(path=plain(str(path))), "success")

    def _take_sweep(self, config: Config, axes: Axes, path: Path) -> None:
        """What a file with a ``[sweep]`` describes. The file is left alone: what is saved is one run in another."""
        screen = self._screen
        screen.form.replace(config, _("load {name}").format(name=plain(path.name)), Origin("file"))
        screen.form.base = path.parent
        self.saved, screen.form.config = None, config
        screen.sweep.take(axes)
        screen.shell.use_new_config(config)
        screen.edited()
        key = screen.shell.keymap.shown("parameters.start", ascii_only=screen.shell.ascii_only)
        text = ngettext(
            "{name} describes {count} run; {key} plans it", "{name} describes {count} runs; {key} plans all", axes.count
        )
        screen.tell(text.format(name=plain(path.name), count=count(axes.count), key=key), "success")

    def _take(self, config: Config, path: Path) -> None:
        """The configuration of a file in the place of this one, which undo brings back."""
        screen = self._screen
        screen.sweep.drop()
        screen.form.replace(config, _("load {name}").format(name=plain(path.name)), Origin("file"))
        screen.form.base = path.parent
        self.saved = screen.form.config = config
        screen.shell.use_config(config, path, changed=False)
        screen.edited()

    def action_prompts(self) -> None:
        screen = self._screen
        if screen.editing.commit():
            dialog = AskPath(_("Add the prompts of a file"), screen.workspace.root, suffixes=(".txt",))
            screen.app.push_screen(dialog, self._add_prompts)

    def _add_prompts(self, path: Path | None) -> None:
        screen = self._screen
        if path is None:
            return
        before = len(screen.form.config.samples)
        try:
            config = with_prompts(screen.form.config, path)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        added = len(config.samples) - before
        told = ngettext("{count} prompt added", "{count} prompts added", added).format(count=added)
        if screen.form.replace(config, told):
            screen.edited()
        screen.tell(told, "success")

    def action_toml(self) -> None:
        screen = self._screen
        path = screen.workspace.config_path
        try:
            text = dump_config(screen.form.config, comments=True, base=path.parent if path else None)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        screen.app.push_screen(TextView(plain(path.name) if path else _("not saved yet"), text.splitlines()))

    def action_preset(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        project = screen.workspace.project
        fitting = {p.name for p in list_presets(purpose=project.purpose)} if project and project.purpose else set()
        presets = sorted(list_presets(family=screen.form.config.model.family), key=lambda p: p.name not in fitting)
        choices = [Choice(preset, plain(preset.title), plain(preset.description)) for preset in presets]
        dialog = Choose(
            _("Take the settings of a preset"),
            choices,
            detail=_("Only the settings that it names change; undo takes them back."),
        )
        screen.app.push_screen(dialog, self._take_preset)

    def _take_preset(self, preset: Preset | None) -> None:
        screen = self._screen
        if preset is None:
            return
        try:
            config = apply_preset(screen.form.config, preset)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        name = _("preset {name}").format(name=plain(preset.title))
        changed = screen.form.replace(config, name, Origin("preset", preset.title))
        screen.form.origins.from_preset(preset.values, preset.title)
        if changed:
            screen.edited()
        screen.tell(name, "success")


def _named(folder: Path, text: str) -> Path:
    """The file that a person means by a name or a path."""
    path = folder / expand(text.strip())
    return path if path.suffix == ".toml" else path.with_name(path.name + ".toml")


def _why_not_there(path: Path) -> str:
    """Why nothing is written to a path, empty when it is free."""
    if path.stem in ("", ".toml") or path.is_dir():
        return _("Give it a name.")
    return _("There is one of this name already: {path}.").format(path=plain(str(path))) if path.exists() else ""


def free_path(folder: Path, name: str) -> Path:
    """A file in ``folder`` that is not there yet, called after ``name``."""
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "config"
    path = folder / f"{stem}.toml"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.toml"
        number += 1
    return path
