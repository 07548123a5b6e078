"""Lists about the form: all that is said of the run, what differs from a preset or a run; and presets of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.compare import differences
from lora_tui.config.findings import SEVERITIES, Finding
from lora_tui.config.load import load_config
from lora_tui.config.presets import Preset, apply_preset, list_presets, own_presets, save_preset
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.text import _, ngettext, plain
from lora_tui.tui.form_words import name_of
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose
from lora_tui.tui.wording import error_words, sentences

if TYPE_CHECKING:
    from lora_tui.tui.screens.parameters import ParametersScreen
    from lora_tui.tui.workspace import Planned

RUNS = 20
"""Runs of the project that are offered to compare with, newest first."""


class FormLists:
    """The part of the form's screen that shows lists over all settings."""

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen

    def refusal(self, action_id: str) -> str:
        """Why something cannot be done now; empty when it can."""
        screen = self._screen
        if action_id == "parameters.problems" and not screen.form.findings:
            return _("Nothing speaks against this run.")
        planned = screen.workspace.planned
        if action_id == "parameters.fit" and (planned is None or planned.fit is None):
            return self._why_no_fit(planned)
        return ""

    def _why_no_fit(self, planned: Planned | None) -> str:
        if planned is None:
            return _("The plan is not ready yet.")
        if any(finding.code == "memory.too_little" for finding in planned.findings):
            return _("Nothing that keeps the result helps: lower the resolution or the rank.")
        return _("Nothing says that the run does not fit.")

    # -- what is said of the run

    def action_problems(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        findings = sorted(screen.form.findings or (), key=lambda one: SEVERITIES.index(one.severity))
        marks = screen.shell.marks
        choices = [
            Choice(one, f"{marks.of_severity(one.severity)} {self._title(one)}", sentences(one.message, one.remedy))
            for one in findings
        ]
        dialog: Choose[Finding] = Choose(_("What is said of this run"), choices, label_width=20, accept=_("go there"))
        screen.app.push_screen(dialog, self._go_to)

    def _title(self, finding: Finding) -> str:
        return name_of(finding.field) if finding.field else _("the run")

    def _go_to(self, finding: Finding | None) -> None:
        if finding is not None:
            self._go_to_key(finding.field)

    def _go_to_key(self, key: str) -> None:
        screen = self._screen
        row = screen.form.row_of(key) if key else None
        if row is not None:
            screen.close_search()
            screen.show_rows(row)

    def action_fit(self) -> None:
        screen = self._screen
        planned = screen.workspace.planned
        if planned is None or planned.fit is None or not screen.editing.commit():
            return
        change = planned.fit
        config = change.applied(screen.form.config)
        if screen.form.replace(config, _("make it fit")):
            screen.edited()
        told, key = len(change.values), screen.shell.keymap.shown("parameters.undo")
        words = ngettext("{count} setting changed   {key} undo", "{count} settings changed   {key} undo", told)
        screen.tell(words.format(count=told, key=key), "success")

    # -- what differs

    def action_compare(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        family = screen.form.config.model.family
        choices: list[Choice[tuple[str, Preset | Path]]] = []
        for status in (screen.workspace.runs or ())[:RUNS]:
            name = _("run {number}").format(number=status.number) if status.number else _("run")
            choices.append(Choice((name, status.run.config_path), name, plain(status.run.name)))
        for path in sorted((screen.workspace.root / "configs").glob("*.toml")):
            choices.append(Choice((plain(path.name), path), plain(path.name), _("a configuration of this project")))
        for preset in list_presets(family=family):
            name = _("preset {name}").format(name=plain(preset.title))
            choices.append(Choice((name, preset), name, plain(preset.name)))
        title = _("Compare the form with")
        screen.app.push_screen(Choose(title, choices, search=True, accept=_("compare")), self._compare)

    def _compare(self, answer: tuple[str, Preset | Path] | None) -> None:
        screen = self._screen
        if answer is None:
            return
        (name, chosen), config = answer, screen.form.config
        try:
            other = apply_preset(config, chosen) if isinstance(chosen, Preset) else load_config(chosen)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        self.show_differences(name, other)

    def show_differences(self, name: str, other: Config) -> None:
        """The settings of the form that differ from those of ``other``; Enter goes to one."""
        screen = self._screen
        found = differences(screen.form.config, other)
        if not found:
            screen.tell(_("Nothing differs from {name}.").format(name=name))
            return
        choices: Sequence[Choice[str]] = [
            Choice(one.key, one.key, _("{here}  there {there}").format(here=one.here_text, there=one.there_text))
            for one in found
        ]
        differ = ngettext("{count} setting differs from {name}", "{count} settings differ from {name}", len(found))
        title = differ.format(count=len(found), name=name)
        detail = _("The form's value, then that of {name}.").format(name=name)
        dialog = Choose(title, choices, detail=detail, search=True, accept=_("go there"))
        screen.app.push_screen(dialog, lambda key: self._go_to_key(key or ""))

    # -- presets of one's own

    def action_save_preset(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        dialog = AskText(
            _("Save as a preset of your own"),
            "",
            detail=_("Its name. What differs from the defaults is kept, but no places, prompts or folders."),
            check=_why_no_name,
            accept=_("save"),
        )
        screen.app.push_screen(dialog, self._name_preset)

    def _name_preset(self, name: str | None) -> None:
        if name is None:
            return
        dialog = AskText(
            _("What the preset {name} is for").format(name=plain(name)),
            "",
            detail=_("A sentence for the list of presets; it may be empty."),
            accept=_("save"),
        )
        self._screen.app.push_screen(dialog, partial(self._save_preset, name))

    def _save_preset(self, name: str, description: str | None) -> None:
        screen = self._screen
        if description is None:
            return
        project = screen.workspace.project
        try:
            path = save_preset(
                screen.form.config, name, description=description, purpose=project.purpose if project else ""
            )
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        screen.presets_changed()
        screen.tell(_("saved {path}").format(path=plain(str(path))), "success")


def _why_no_name(text: str) -> str:
    """Why a preset cannot be called so; empty when it can."""
    name = text.strip()
    if not name or not all(one.isalnum() or one in "-_." for one in name) or name[0] in ".-":
        return _("Letters, digits, - and _.")
    return _("There is one of this name already.") if (own_presets() / f"{name}.toml").exists() else ""
