"""What the parameter form does with files and processes: save, load, presets, start a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import work

from lora_tui.config.load import dump_config, load_config, save_config
from lora_tui.config.presets import Preset, apply_preset, list_presets
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, plain
from lora_tui.tui.form import Form, FormRow
from lora_tui.tui.plan_text import start_question
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.dialog import AskPath, Choice, Choose, Confirm
from lora_tui.tui.widgets.text_view import TextView


class ParametersWork(BaseScreen):
    """The part of the form's screen that reaches outside. The screen gives it :attr:`form` and :meth:`edited`."""

    form: Form
    trainer_command: ClassVar[Sequence[str] | None] = None
    """Another program in the trainer's place, for trials without one."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: Config | None = None
        self._starting = False

    @property
    def unsaved(self) -> bool:
        """Whether the configuration differs from its file, or has none."""
        return self.saved is None or self.form.config != self.saved

    def edited(self, row: FormRow | None = None) -> None:
        """The configuration was changed."""
        raise NotImplementedError

    def commit(self) -> bool:
        """Close an open editor; false when its text is not allowed."""
        raise NotImplementedError

    # -- files

    def action_save(self) -> None:
        if self.commit():
            self.save()

    def save(self) -> bool:
        """Write the configuration; false, and said why, when it cannot be."""
        work = self.workspace
        path = work.config_path or free_path(work.root / "configs", self.form.config.saving.name)
        try:
            save_config(self.form.config, path)
        except UserError as error:
            self.tell(plain(str(error)), "error")
            return False
        self.saved = self.form.config
        self.form.base = path.parent
        self.shell.use_config(self.form.config, path, changed=False)
        self.edited()
        self.tell(_("saved {path}").format(path=plain(str(path))), "success")
        return True

    def action_load(self) -> None:
        if not self.commit():
            return
        folder = self.workspace.root / "configs"
        paths = sorted(folder.glob("*.toml"))
        if not paths:
            self._ask_file(folder)
            return
        current = self.workspace.config_path or Path()
        choices = [Choice(path, plain(path.name)) for path in paths] + [Choice(Path(), _("another file"))]
        dialog = Choose(_("Load a configuration"), choices, current=current)
        self.app.push_screen(dialog, self._loaded_or_other)

    def _loaded_or_other(self, path: Path | None) -> None:
        if path == Path():
            self._ask_file(self.workspace.root)
        elif path is not None:
            self._load(path)

    def _ask_file(self, start: Path) -> None:
        start = start if start.is_dir() else self.workspace.root
        self.app.push_screen(AskPath(_("Load a configuration"), start, suffixes=(".toml",)), self._load)

    def _load(self, path: Path | None) -> None:
        if path is None:
            return
        try:
            config = load_config(path)
        except UserError as error:
            self.tell(plain(str(error)), "error")
            return
        self.form.replace(config, _("load {name}").format(name=plain(path.name)))
        self.form.base = path.parent
        self.saved = self.form.config = config
        self.shell.use_config(config, path, changed=False)
        self.edited()
        self.tell(_("loaded {path}").format(path=plain(str(path))), "success")

    def action_toml(self) -> None:
        path = self.workspace.config_path
        try:
            text = dump_config(self.form.config, comments=True, base=path.parent if path else None)
        except UserError as error:
            self.tell(plain(str(error)), "error")
            return
        self.app.push_screen(TextView(plain(path.name) if path else _("not saved yet"), text.splitlines()))

    def action_preset(self) -> None:
        if not self.commit():
            return
        project = self.workspace.project
        fitting = {p.name for p in list_presets(purpose=project.purpose)} if project and project.purpose else set()
        presets = sorted(list_presets(family=self.form.config.model.family), key=lambda p: p.name not in fitting)
        choices = [Choice(preset, plain(preset.title), plain(preset.description)) for preset in presets]
        dialog = Choose(
            _("Take the settings of a preset"),
            choices,
            detail=_("Only the settings that it names change; undo takes them back."),
        )
        self.app.push_screen(dialog, self._take_preset)

    def _take_preset(self, preset: Preset | None) -> None:
        if preset is None:
            return
        try:
            config = apply_preset(self.form.config, preset)
        except UserError as error:
            self.tell(plain(str(error)), "error")
            return
        name = _("preset {name}").format(name=plain(preset.title))
        if self.form.replace(config, name):
            self.edited()
        self.tell(name, "success")

    # -- a run

    def action_start(self) -> None:
        if self._starting or not self.commit():
            return
        errors = [finding for finding in self.form.findings or () if finding.severity == "error"]
        if errors:
            self.tell(plain(f"{errors[0].message} {errors[0].remedy}".strip()), "error")
            row = self.form.row_of(errors[0].field)
            self.edited(row)
            return
        plan = self.workspace.plan
        if plan is None:
            self.tell(_("The run is not planned yet: its images are still being read, or there are none."), "warning")
            return
        if (self.unsaved or self.workspace.config_path is None) and not self.save():
            return
        question, details = start_question(plan, self.workspace)
        living = self.workspace.living
        if living is not None:
            details += "\n" + _("Run {number} is still at work; both share the machine.").format(number=living.number)
        self.app.push_screen(Confirm(question, details, yes=_("start")), self._start)

    def _start(self, sure: bool | None) -> None:
        if sure:
            self._starting = True
            self.tell(_("starting"))
            self._launch(self.form.config.model_copy(deep=True))

    @work(group="start", exclusive=True)
    async def _launch(self, config: Config) -> None:
        try:
            run = await in_thread(_start_run, config, self.workspace.runs_dir, self.trainer_command)
        except UserError as error:
            self.tell(plain(str(error)), "error")
            return
        finally:
            self._starting = False
        self.shell.poll_runs()
        self.shell.open_run(run)


def _start_run(config: Config, runs_dir: Path, command: Sequence[str] | None) -> RunFolder:
    from lora_tui.runs.start import start_run

    return start_run(config, runs_dir, command=command)


def free_path(folder: Path, name: str) -> Path:
    """A file in ``folder`` that is not there yet, called after ``name``."""
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "config"
    path = folder / f"{stem}.toml"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.toml"
        number += 1
    return path
