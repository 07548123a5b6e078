"""What can be done on the parameter form."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

START = "parameters.start"
"""Where other screens send a person who wants to start: to the form, and to its question."""

PARAMETERS_ACTIONS: tuple[Action, ...] = (
    Action("parameters.edit", ("enter",), N_("edit"), N_("Change the setting, open the entry, or add one.")),
    Action("parameters.next-group", ("tab",), N_("group"), N_("To the next group of settings.")),
    Action("parameters.previous-group", ("shift+tab",), N_("group before"), N_("To the group before."), show=False),
    Action(
        "parameters.turn-on",
        ("right", "space"),
        N_("next value"),
        N_("The next value of a switch or a choice; opens an entry of a list."),
        show=False,
        palette=False,
    ),
    Action(
        "parameters.turn-back",
        ("left",),
        N_("value before"),
        N_("The value before, of a switch or a choice."),
        show=False,
        palette=False,
    ),
    Action(
        "parameters.read",
        ("r",),
        N_("read"),
        N_("The help of this setting and all that the check says, in full."),
    ),
    Action(
        "parameters.vary",
        ("v",),
        N_("several values"),
        N_("Give the setting several values: a run for each, one after the other, and a table of results."),
        show=False,
    ),
    Action(
        "parameters.start",
        ("ctrl+r",),
        N_("start training"),
        N_("Save, check, and start the run that the form describes."),
    ),
    Action(
        "parameters.queue",
        ("Q",),
        N_("queue this"),
        N_("Put the run that the form describes, as it is now, into the queue of this machine; undo takes it back."),
    ),
    Action(
        "parameters.slurm",
        ("C",),
        N_("send to Slurm"),
        N_("Check the run that the form describes and send it to the cluster; its settings go along."),
        show=False,
    ),
    Action("parameters.save", ("ctrl+s",), N_("save"), N_("Write the configuration to its file.")),
    Action(
        "parameters.undo",
        ("u",),
        N_("undo"),
        N_("Undo the last change of the form, or the queueing of the run."),
    ),
    Action("parameters.search", ("/",), N_("find"), N_("Find a setting by its name here or in other programs.")),
    Action(
        "parameters.changed",
        ("c",),
        N_("changed"),
        N_("Show only the settings that differ from their defaults, of all groups; again, or Esc, shows the rest."),
    ),
    Action("parameters.preset", ("p",), N_("preset"), N_("Take the settings of a preset; undo takes them back.")),
    Action("parameters.expert", ("e",), N_("expert"), N_("Show or hide the settings that few need.")),
    Action("parameters.next-problem", ("n",), N_("problem"), N_("Go to the next setting that the check speaks of.")),
    Action(
        "parameters.problems",
        ("exclamation_mark",),
        N_("all problems"),
        N_("All that the check and experience say of this run, in one list; Enter goes to the setting."),
        show=False,
    ),
    Action(
        "parameters.fit",
        ("F",),
        N_("make it fit"),
        N_("Change as little as makes the run fit into the memory of the device; undo takes it back."),
        show=False,
    ),
    Action(
        "parameters.probe",
        ("T",),
        N_("try it"),
        N_("Train two steps and draw a sample to see what they take, for a surer plan; asks first."),
        show=False,
    ),
    Action(
        "parameters.compare",
        ("D",),
        N_("compare"),
        N_("The settings that differ from a preset, a run or another file; Enter goes to one of them."),
        show=False,
    ),
    Action(
        "parameters.save-preset",
        ("W",),
        N_("save preset"),
        N_("Keep what differs from the defaults as a preset of your own."),
        show=False,
    ),
    Action("parameters.toml", ("t",), "TOML", N_("Look at the configuration as it is written to its file.")),
    Action("parameters.load", ("o",), N_("load"), N_("Load another configuration file; undo brings this one back.")),
    Action(
        "parameters.prompts",
        ("P",),
        N_("prompts"),
        N_("Add the sample prompts of a text file, one a line, with sd-scripts' flags."),
        show=False,
    ),
    Action(
        "parameters.import",
        ("I",),
        N_("import"),
        N_("Take the configuration of another program, and read what became of each of its keys; undo takes it back."),
        show=False,
    ),
    Action(
        "parameters.export",
        ("X",),
        N_("export"),
        N_("Write the configuration as sd-scripts takes it: its TOML, its dataset and the command."),
        show=False,
    ),
    Action("parameters.save-as", ("S",), N_("save as"), N_("Write the configuration to another file."), show=False),
    Action("parameters.redo", ("U",), N_("redo"), N_("Do again what was undone."), show=False),
    Action("parameters.reset", ("d",), N_("default"), N_("Back to the default of this setting."), show=False),
    Action("parameters.browse", ("b",), N_("browse"), N_("Choose the file or folder on disk."), show=False),
    Action("parameters.add", ("a",), N_("add entry"), N_("Add a dataset folder or a sample prompt."), show=False),
    Action("parameters.remove", ("x",), N_("remove entry"), N_("Remove this entry of the list."), show=False),
)
