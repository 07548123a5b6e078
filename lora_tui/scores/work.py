"""Scoring a grid, as a task: looks at the pictures that are there, and writes ``scores.json`` and all that shows it.

Imports torch when it is called and a model is named. Vectors are kept as they are computed, so that a scoring that was
stopped or killed goes on where it was, and a grid that grew is scored by looking at its new pictures alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.config.schema import Config
from lora_tui.demo.recipe import TRIALS
from lora_tui.grids.drawing import of_disk
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.grid import Grid
from lora_tui.grids.outputs import shown_cells, write_outputs
from lora_tui.hub import StoppedError
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder, write_json
from lora_tui.scores.material import Worn, references_of, trigger_of, words_of, worn_of
from lora_tui.scores.named import Panel, panel_of
from lora_tui.scores.reasons import by_scores, by_validation
from lora_tui.scores.told import FILE, Choice, Model, Scores
from lora_tui.tasks.report import Report
from lora_tui.text import _, ngettext

if TYPE_CHECKING:
    from lora_tui.scores.likeness import Aspect
    from lora_tui.scores.measures import Compared, Looked
    from lora_tui.scores.recommend import Parts


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Score the grid in the folder of ``options`` (``folder``; ``encoders``: names of models, none for the loss of
    validation; ``trigger``: the trigger word where the run tells none; ``on_sheet``: whether sheets have numbers, too).

    Raises:
        UserError: the grid or a model cannot be read, or the disk is full.
    """
    folder = GridFolder(Path(str(options["folder"])))
    names = [str(one) for one in options.get("encoders", ())]
    try:
        grid, config = folder.read(), folder.config()
        scoring = _Scoring(folder, grid, config, report, str(options.get("trigger", "")))
        return scoring.run(names, on_sheet=bool(options.get("on_sheet", True)))
    except OSError as error:
        raise of_disk(error, folder.root) from error


@dataclass
class _Scoring:
    """One life of the work: ``notes`` tell what could not be measured, ``fresh`` how many pictures were looked at."""

    folder: GridFolder
    grid: Grid
    config: Config
    report: Report
    trigger: str
    notes: list[str] = field(default_factory=list)
    fresh: int = 0

    def run(self, names: Sequence[str], *, on_sheet: bool) -> dict[str, Any]:
        """Look, compare, write."""
        self.report.progress("reading", 0, 0)
        self.trigger = self.trigger.strip() or trigger_of(self.config, self.folder.root)
        shown = shown_cells(self.folder, self.grid)
        worn = worn_of(self.grid, shown, self.folder.cells)
        missing = len({one.key for one in shown if one.state != "drawn"})
        if missing:
            self.notes.append(
                ngettext("{count} picture is not there.", "{count} pictures are not there.", missing).format(
                    count=missing
                )
            )
        try:
            panel = panel_of(names, on_progress=self.report.progress, should_stop=self.report.should_stop)
            scores = self._by_models(worn, panel) if panel is not None else self._by_loss(worn)
            scores = replace(scores, on_sheet=on_sheet)
        except StoppedError:
            return self._told(complete=False)
        self.report.progress("writing", 0, 0)
        write_json(self.folder.root / FILE, scores.as_json())
        write_outputs(self.folder, self.grid)
        best = scores.recommendation
        named = {"checkpoint": best.checkpoint, "strength": best.strength, "by": best.by} if best is not None else {}
        return {**self._told(complete=True), "scored": len(scores.cells), "recommended": named}

    def _run(self) -> RunFolder | None:
        return RunFolder(Path(self.grid.run)) if self.grid.run else None

    def _told(self, *, complete: bool) -> dict[str, Any]:
        return {"complete": complete, "folder": str(self.folder.root), "fresh": self.fresh}

    # -- without a model -------------------------------------------------------------------------------------------

    def _by_loss(self, worn: Sequence[Worn]) -> Scores:
        choices = tuple(
            Choice(one.checkpoint, one.strength, one.base, one.step, one.weight,
                   tuple(drawn.key for drawn in one.pictures.values()))
            for one in worn
        )  # fmt: skip
        found = by_validation(choices, self._run())
        if found is None:
            self.notes.append(
                _("No model was named, and there is no validation loss: nothing tells which is best. "
                  "Name a model: lora-tui grid score --encoder FOLDER")
            )  # fmt: skip
        return Scores(
            trigger=self.trigger, choices=choices, recommendation=found, notes=tuple(self.notes), made=time.time()
        )

    # -- with models -----------------------------------------------------------------------------------------------

    def _by_models(self, worn: Sequence[Worn], panel: Panel) -> Scores:
        from lora_tui.scores import measures, recommend

        looked = self._look(worn, panel)
        told = measures.references_told(looked)
        cells = measures.cell_scores(worn, looked, told, self.trigger)
        there = measures.compared(worn, cells, self.trigger)
        choices = measures.choices_of(there, cells, looked) if there.conditions else []
        told = measures.with_base(told, there, choices, looked, self.trigger)
        recommended = None
        if choices:
            parts = recommend.parts_of(there, cells, told, choices)
            choices = recommend.graded(choices, parts, len(there.called), len(there.uncalled))
            self._note_parts(there, parts, panel)
            if any(one.score is not None and not one.base for one in choices):
                recommended = by_scores(
                    choices, told, called=len(there.called), seeds=len({one.seed for one in there.conditions})
                )
        recommended = recommended or by_validation(choices, self._run(), looked=True)
        self._note_comparison(there, choices)
        asked = [("images", panel.images), *([("prompts", panel.prompts)] if panel.prompts is not None else [])]
        models = {one.name: Model(one.name, one.kind) for _what, one in asked}
        for what, one in asked:
            models[one.name] = Model(one.name, one.kind, (*models[one.name].asked, what))
        return Scores(
            models=tuple(models.values()), trigger=self.trigger, references=told, cells=cells,
            choices=tuple(choices), recommendation=recommended, notes=tuple(self.notes), made=time.time(),
        )  # fmt: skip

    def _look(self, worn: Sequence[Worn], panel: Panel) -> Looked:
        """Show pictures, training images and prompts to the models."""
        from lora_tui.scores.look import look

        references, why = references_of(
            self.config, self.trigger, lambda done: self.report.progress("reading", done, 0, _("near-duplicates"))
        )
        if why:
            self.notes.append(why)
        drawn = {one.key: one for each in worn for one in each.pictures.values()}
        prompts = {one.condition.prompt for one in drawn.values()}
        texts = {words_of(prompt, word) for prompt in prompts for word in ("", self.trigger)} - {""}
        looked, self.fresh = look(
            panel, self.config, list(drawn.values()), references, sorted(texts), _aspect(self.config, self.folder.root),
            self.report,
        )  # fmt: skip
        return looked

    def _note_parts(self, there: Compared, parts: Parts, panel: Panel) -> None:
        """What the scores are not made of, and why."""
        plain = {words_of(one.prompt, self.trigger) for one in there.conditions}
        base = any(one.base for one in there.worn)
        if not base:
            self.notes.append(_("There are no pictures without a LoRA to compare with: add them with --baseline."))
        if parts.likeness is None:
            self.notes.append(_("Likeness does not count: it cannot be told apart from what pictures have anyway."))
        if panel.prompts is None:
            self.notes.append(_("No model read the prompts: their fit is not known. CLIP and SigLIP read them."))
        elif parts.prompt is None and base:
            why = _("draw more of them with --prompt") if len(plain) < 2 else _("the model cannot tell them apart")
            self.notes.append(_("Fit to the prompt does not count: {why}.").format(why=why))
        if not self.trigger:
            self.notes.append(_("No trigger word is known: bleed is not measured. --trigger names it."))
        elif not there.uncalled:
            self.notes.append(_("Bleed is not measured: no prompt lacks the trigger word. Add one with --prompt."))
        elif parts.bleed is None and base:
            self.notes.append(_("Bleed does not count: there is nothing to measure it by."))

    def _note_comparison(self, there: Compared, choices: Sequence[Choice]) -> None:
        if not there.worn:
            self.notes.append(_("There is no picture to look at: lora-tui grid run GRID draws what is missing."))
            return
        if there.left_out:
            self.notes.append(ngettext(
                "{count} choice has too few pictures to be compared.",
                "{count} choices have too few pictures to be compared.", there.left_out,
            ).format(count=there.left_out))  # fmt: skip
        if not there.conditions:
            self.notes.append(_("No prompt and seed is drawn with all of them: nothing can be compared."))
        elif all(one.base for one in choices):
            self.notes.append(_("No LoRA is at work in any picture: there is nothing to recommend."))


def _aspect(config: Config, place: Path) -> Aspect:
    """What the small encoder compares: the style where that is what is learned, else the subject."""
    trial = TRIALS.get(config.saving.trigger.strip())
    if trial is not None:
        return "style" if trial.aspect == "style" else "subject"
    project = Project.find(place)
    return "style" if project is not None and project.purpose == "style" else "subject"
