"""What can be done while watching a run."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

TRAINING_ACTIONS: tuple[Action, ...] = (
    Action("training.stop", ("s",), N_("stop+save"), N_("Save everything and end; the run can be resumed exactly.")),
    Action("training.pause", ("p",), N_("pause"), N_("Free the GPU and wait, or go on after that.")),
    Action("training.read", ("r",), N_("read"), N_("How the run ended, its warnings and what to do, in full.")),
    Action("training.save", ("w",), N_("save"), N_("Write a LoRA file at the next step.")),
    Action("training.sample", ("i",), N_("sample"), N_("Draw the sample prompts at the next step.")),
    Action("training.validate", ("v",), N_("validate"), N_("Measure the validation loss at the next step.")),
    Action(
        "training.sample-prompt",
        ("I",),
        N_("own prompt"),
        N_("Draw a prompt of your own at the next step."),
        show=False,
    ),
    Action(
        "training.change",
        ("e",),
        N_("rate, end"),
        N_("Another learning rate or another last step for the living run; asks first."),
        show=False,
    ),
    Action(
        "training.measure",
        ("M",),
        N_("measure images"),
        N_("Measure the loss of every image on fixed noise; asks first."),
        show=False,
    ),
    Action("training.resume", ("R",), N_("resume"), N_("Go on with a run that was stopped or died.")),
    Action(
        "training.start",
        ("ctrl+r",),
        N_("start training"),
        N_("Start the run that the parameters describe; asks first."),
    ),
    Action("training.earlier", ("left",), N_("earlier"), N_("To the samples before; the curves show that step.")),
    Action("training.full", ("enter",), N_("full view"), N_("The sample of this step as large as it fits.")),
    Action("training.zoom-in", ("z",), N_("zoom"), N_("Show half as many steps.")),
    Action("training.log-axis", ("l",), N_("log axis"), N_("A logarithmic axis, or back.")),
    Action("training.smoothing", ("m",), N_("smoothing"), N_("How much the loss is smoothed.")),
    Action(
        "training.curve", ("c",), N_("curve"), N_("The next curve: loss, learning rate, gradient, time, memory, GPU.")
    ),
    Action("training.logs", ("t",), N_("log"), N_("What happened, and what the trainer printed.")),
    Action("training.all-samples", ("a",), N_("all samples"), N_("Prompts below each other, steps side by side.")),
    Action(
        "training.images", ("d",), N_("images"), N_("The loss of each image, the worst first; Enter opens its tags.")
    ),
    Action("training.others", ("x",), N_("other runs"), N_("Curves of other runs over those of this one.")),
    Action("training.grid", ("X",), N_("grid"), N_("Draw its checkpoints at strengths from 0 to 1, and show them.")),
    Action("training.search", ("/",), N_("find"), N_("Find words in the log; n and N go on."), show=False),
    Action("training.pan-back", ("<",), N_("view back"), N_("To earlier steps, where it is zoomed."), show=False),
    Action("training.pan-on", (">",), N_("view on"), N_("To later steps, where it is zoomed."), show=False),
    Action("training.stop-now", ("S",), N_("stop now"), N_("End at once; what came after the last state is lost.")),
    Action(
        "training.later", ("right",), N_("later"), N_("To the samples after; from the last on, follow."), show=False
    ),
    Action("training.curve-back", ("C",), N_("curve before"), N_("The curve before this one."), show=False),
    Action("training.follow", ("f",), N_("follow"), N_("Follow the newest step again."), show=False),
    Action(
        "training.cursor-back", ("[",), N_("cursor back"), N_("The cursor of the curves a little back."), show=False
    ),
    Action("training.cursor-on", ("]",), N_("cursor on"), N_("The cursor of the curves a little on."), show=False),
    Action("training.next-prompt", ("n",), N_("next prompt"), N_("The samples of the next prompt."), show=False),
    Action("training.previous-prompt", ("N",), N_("prompt before"), N_("Those of the prompt before."), show=False),
    Action(
        "training.newest",
        ("o",),
        N_("newest run"),
        N_("To the training that is running, or to a newer one."),
        show=False,
    ),
    Action("training.zoom-out", ("Z",), N_("zoom out"), N_("Show twice as many steps."), show=False),
)
