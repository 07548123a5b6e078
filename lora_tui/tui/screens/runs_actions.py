"""What can be done on the list of runs, and on the comparison and the table of a sweep over it."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action


def _quiet(name: str, keys: tuple[str, ...], title: str, text: str) -> Action:
    return Action(f"runs.{name}", keys, title, text, show=False)


RUNS_ACTIONS: tuple[Action, ...] = (
    Action("runs.open", ("enter",), N_("open"), N_("Show the run on the training screen, living or ended.")),
    Action("runs.filter", ("/",), N_("filter"), N_("Show only runs that fit, such as family:flux lr<1e-4 tag:good.")),
    Action("runs.note", ("n",), N_("note"), N_("Write what you saw in this run and what to try next.")),
    Action("runs.tags", ("a",), N_("tags"), N_("Give the run, or all marked ones, tags to find them by.")),
    Action("runs.compare", ("c",), N_("compare"), N_("The marked runs side by side, else this one and the one below.")),
    _quiet("sweep", ("w",), N_("its sweep"), N_("All runs of the sweep that this one is of, and what came of each.")),
    Action("runs.grid", ("X",), N_("grid"), N_("Draw its checkpoints at strengths from 0 to 1, and show them.")),
    Action("runs.resume", ("R",), N_("resume"), N_("Go on with a run that was stopped or died.")),
    Action(
        "runs.publish", ("P",), N_("publish"), N_("Copy the best LoRA file with cover and trigger words to ComfyUI.")
    ),
    Action("runs.clone", ("y",), N_("clone"), N_("Take the settings of the run into the form as a new configuration.")),
    Action("runs.mark", ("m", "insert"), N_("mark"), N_("Mark the run, or take its mark away.")),
    _quiet("mark-all", ("M",), N_("mark all"), N_("Mark all runs that are shown, or take their marks away.")),
    Action("runs.sort", ("s",), N_("order"), N_("Order by loss, rating, time, rank and more.")),
    Action("runs.export", ("x",), N_("export"), N_("Write a report, every step as CSV, curves as SVG and PNG.")),
    Action(
        "runs.remove", ("D",), N_("remove"), N_("What it takes on disk; remove what is not needed, or the whole run.")
    ),
    _quiet("best", ("b",), N_("best file"), N_("Say which of its LoRA files is the best one.")),
    _quiet("publish-to", (), N_("publish elsewhere"), N_("Publish the best LoRA file to another place.")),
    _quiet("rate-1", ("1",), N_("rate 1"), N_("Rate the run, or all marked ones.")),
    _quiet("rate-2", ("2",), N_("rate 2"), N_("Rate the run, or all marked ones.")),
    _quiet("rate-3", ("3",), N_("rate 3"), N_("Rate the run, or all marked ones.")),
    _quiet("rate-4", ("4",), N_("rate 4"), N_("Rate the run, or all marked ones.")),
    _quiet("rate-5", ("5",), N_("rate 5"), N_("Rate the run, or all marked ones.")),
    _quiet("rate-0", ("0",), N_("no rating"), N_("Take the rating away.")),
    Action("runs.read", ("r",), N_("read"), N_("How the run ended and what to do, its settings and files, in full.")),
    _quiet("queue", ("Q",), N_("queue"), N_("The queue of this machine.")),
    Action("runs.files", ("o",), N_("files"), N_("Where the files of the run are.")),
    Action("runs.settings", ("t",), N_("settings"), N_("The configuration of the run, as it is in its folder.")),
)

COMPARE_ACTIONS: tuple[Action, ...] = (
    Action("compare.next", ("tab",), N_("next page"), N_("Results and settings, dataset, curves, samples.")),
    Action("compare.previous", ("shift+tab",), N_("page before"), N_("The page before."), show=False),
    Action("compare.left", ("left", "h"), N_("back"), N_("The runs, step or samples before."), show=False),
    Action("compare.right", ("right", "l"), N_("on"), N_("The next runs, step or samples."), show=False),
    Action("compare.up", ("p",), N_("prompt before"), N_("The prompt, or the curve, before."), show=False),
    Action("compare.down", ("n",), N_("next prompt"), N_("The next prompt, or the next curve.")),
    Action("compare.log", ("L",), N_("log axis"), N_("A logarithmic axis for the curves."), show=False),
    Action("compare.export", ("x",), N_("export"), N_("Write the comparison as a report with curves and samples.")),
    Action("compare.leave", ("escape", "q"), N_("back"), N_("Back to the list.")),
)

RESULTS_ACTIONS: tuple[Action, ...] = (
    Action("results.open", ("enter",), N_("open"), N_("Show the run on the training screen, living or ended.")),
    Action("results.sort", ("s",), N_("order"), N_("Order by what varies, or by what came of it.")),
    Action("results.compare", ("c",), N_("compare"), N_("Its runs side by side, with settings, curves and samples.")),
    Action("results.go-on", ("C",), N_("start the rest"), N_("Put the runs that never started into the queue.")),
    Action("results.leave", ("escape", "q"), N_("back"), N_("Back to the list.")),
)
