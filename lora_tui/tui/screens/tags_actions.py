"""What can be done in the tag editor. The keys are those of the vim-like keymap; see ``tui.keymaps`` for the others."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import CONFLICTS, PRUNE, SHEET, SWEEP, WRITING, Action, keys_of


def _quiet(name: str, keys: tuple[str, ...], title: str, help_: str) -> Action:
    return Action(f"tags.{name}", keys, title, help_, show=False)


_QUICK = tuple(
    Action(
        f"tags.quick-{digit}",
        (str(digit),),
        N_("quick tag"),
        N_("Toggle the tag on this digit in the scope."),
        show=False,
        palette=False,
    )
    for digit in range(1, 10)
)

TAGS_ACTIONS: tuple[Action, ...] = (
    Action("tags.add", ("a",), N_("add"), N_("Add tags at the end, in the scope.")),
    Action(
        "tags.remove",
        ("x", "delete"),
        N_("remove"),
        N_("Remove the tag under the cursor in the scope; in the vocabulary from the marked images, else all shown."),
    ),
    Action(
        "tags.rename",
        ("r",),
        N_("rename"),
        N_("Rename the tag under the cursor in the scope; in the vocabulary in the marked images, else all shown."),
    ),
    Action(
        "tags.toggle-tag",
        ("t",),
        N_("toggle"),
        N_("The tag under the cursor: to all of the scope, or away where all have it."),
    ),
    Action(
        "tags.mark", ("m", "insert"), N_("mark"), N_("Mark the image, or take its mark away; marked ones are edited.")
    ),
    Action("tags.filter", ("/",), N_("filter"), N_("Filter images by an expression; in the vocabulary, find a tag.")),
    Action("tags.command", (":",), N_("command"), N_("Type an operation for the scope, or a command of the editor.")),
    Action("tags.undo", ("u",), N_("undo"), N_("Undo the last change of captions, whoever made it.")),
    Action(
        "tags.open",
        ("enter",),
        N_("open"),
        N_("Apply a preview; else zoom, rename, write, or filter by the tag."),
    ),
    _quiet("write", ("c",), N_("write"), N_("Write the caption of this image as text, on as many lines as it has.")),
    _quiet("redo", ("U", "ctrl+r"), N_("redo"), N_("Do again what was undone.")),
    Action("tags.scope", ("s",), N_("scope"), N_("The next scope: marked or this image, the filtered ones, all.")),
    _quiet("repeat", (".",), N_("repeat"), N_("The last operation again, in the scope as it is now.")),
    _quiet("add-front", ("i",), N_("add in front"), N_("Add tags in front, in the scope.")),
    _quiet("add-shown", ("A",), N_("add to all shown"), N_("Add tags to every image of the list.")),
    _quiet("remove-shown", ("X",), N_("remove from all shown"), N_("Remove the tag from every image of the list.")),
    _quiet("rename-shown", ("R",), N_("rename in all shown"), N_("Rename the tag in every image of the list.")),
    _quiet("next-image", ("J",), N_("next image"), N_("To the next image, from any pane.")),
    _quiet("previous-image", ("K",), N_("previous image"), N_("To the image before, from any pane.")),
    _quiet("pane-left", ("left", "h"), N_("pane left"), N_("To the pane at the left.")),
    _quiet("pane-right", ("right", "l"), N_("pane right"), N_("To the pane at the right.")),
    _quiet("next-pane", ("tab",), N_("next pane"), N_("Files, tags, vocabulary, and round again.")),
    _quiet("previous-pane", ("shift+tab",), N_("pane before"), N_("To the pane before.")),
    _quiet("mark-range", ("V",), N_("mark range"), N_("Mark from the last marked image to this one.")),
    _quiet("mark-all", ("*",), N_("mark all shown"), N_("Mark every image of the list.")),
    _quiet("mark-invert", ("~",), N_("invert marks"), N_("Marked images of the list become unmarked, others marked.")),
    _quiet("mark-none", ("M",), N_("no marks"), N_("Take all marks away.")),
    _quiet("move-up", ("alt+k", "alt+up"), N_("tag up"), N_("Move the tag one place to the front.")),
    _quiet("move-down", ("alt+j", "alt+down"), N_("tag down"), N_("Move the tag one place to the end.")),
    _quiet("to-front", ("<",), N_("tag to front"), N_("Move the tag to the front, in the scope.")),
    _quiet("to-back", (">",), N_("tag to end"), N_("Move the tag to the end, in the scope.")),
    _quiet("copy", ("y",), N_("copy"), N_("Copy the tag under the cursor; in the files, all tags of the image.")),
    _quiet("paste", ("p",), N_("paste"), N_("Add the copied tags in the scope where they are missing.")),
    _quiet("paste-over", ("P",), N_("paste over"), N_("The copied tags in the place of the captions of the scope.")),
    _quiet("view", ("v",), N_("view"), N_("Picture, caption as it is trained, or history of the caption.")),
    _quiet("zoom", ("z",), N_("zoom"), N_("The picture on the whole screen, and back.")),
    _quiet("variant", ("e",), N_("other captions"), N_("Edit the captions of the next ending, such as .caption.")),
    _quiet("line", ("E",), N_("next line"), N_("Edit the next line of captions of several lines, then every line.")),
    _quiet("variants", ("space e",), N_("which captions"), N_("Choose which captions of the images are edited.")),
    _quiet("take", ("space y",), N_("copy captions"), N_("Copy from captions of another ending, in the scope.")),
    _quiet("next-problem", ("]",), N_("next problem"), N_("To the next image whose caption has a problem.")),
    _quiet("previous-problem", ("[",), N_("problem before"), N_("To the image before whose caption has a problem.")),
    _quiet("fix", ("f",), N_("fix"), N_("Show what fixes the problems of this caption; Enter does it.")),
    _quiet("lint", ("!",), N_("problems"), N_("The problems of the images shown by kind; fix one kind at once.")),
    _quiet("trigger", ("T",), N_("trigger first"), N_("The trigger word in front of every caption of the list.")),
    _quiet("prune", ("space p",), N_("prune assistant"), N_("Which tags the LoRA should absorb, and which stay.")),
    _quiet("sweep", ("space s",), N_("review sweep"), N_("One tag, image after image: has it, has it not.")),
    _quiet("sheet", ("space c",), N_("contact sheet"), N_("The pictures of the marked images, else of those shown.")),
    _quiet("diff", ("space i",), N_("diff to disk"), N_("Captions whose files differ from what is shown here.")),
    _quiet("conflicts", ("space m",), N_("edits that wait"), N_("Merge or drop edits that other programs kept out.")),
    _quiet("undo-file", ("space u",), N_("undo here"), N_("Undo the last change of this image's caption alone.")),
    _quiet("undo-tag", ("space t",), N_("undo a tag"), N_("Undo what was done with this tag since the start.")),
    _quiet("find", ("space v",), N_("find a tag"), N_("Search the vocabulary.")),
    _quiet("order", ("space o",), N_("order of tags"), N_("The vocabulary by frequency, by name, or by length.")),
    _quiet("phrases", ("w",), N_("phrases or tags"), N_("The vocabulary lists the phrases of sentences, or the tags.")),
    _quiet("history", ("space h",), N_("history"), N_("What was done to the captions; undo one transaction.")),
    _quiet("tag", ("space a",), N_("tag with models"), N_("Tag images with models; tuned before it is written.")),
    _quiet("accept-score", ("+",), N_("accept a score"), N_("Add the tag under the cursor of the scores.")),
    _quiet(
        "accept-scores", ("space +",), N_("accept all scores"), N_("Add all tags above the threshold of the scores.")
    ),
    _quiet("reviewed", ("space r",), N_("reviewed"), N_("Note that the captions of the scope were found right.")),
    _quiet("next-unreviewed", ("space n",), N_("next unreviewed"), N_("To the next image that nobody reviewed.")),
    Action(
        "tags.tasks",
        ("space b",),
        N_("in the background"),
        N_("Tagging, preparing, work on LoRA files: what goes on or has ended, its progress and results; stop, go on."),
        show=False,
        palette=False,
    ),
    _quiet("saved", ("space f",), N_("saved filters"), N_("Choose one of the saved filters.")),
    _quiet("refilter", ("space /",), N_("filter again"), N_("Ask the filter again: edits changed what it finds.")),
    _quiet("record", ("space q",), N_("record a macro"), N_("Begin or end a macro: the operations done in between.")),
    _quiet("replay", ("@",), N_("play the macro"), N_("The operations of the macro as one, in the scope.")),
    _quiet(
        "quick-set",
        ("=",),
        N_("set a quick tag"),
        N_("Put a tag on a digit: the one under the cursor, or one that is typed."),
    ),
    _quiet("save", ("ctrl+s",), N_("save"), N_("Wait until every change is on disk; they go there by themselves.")),
    _quiet("folder", ("space d",), N_("folder"), N_("Edit the captions of another dataset folder.")),
    _quiet("keymap", ("space k",), N_("keymap"), N_("Choose the keys: vim-like, conventional, or those of BDTM.")),
    *_QUICK,
)


def _over(context: str, name: str, keys: tuple[str, ...], title: str, help_: str) -> Action:
    return Action(f"{context}.{name}", keys, title, help_, palette=False, show=name not in _MOVES)


_MOVES = ("left", "right", "up", "down", "page-up", "page-down", "first", "last")


OVER_ACTIONS: tuple[Action, ...] = (
    _over(PRUNE, "flip", ("space", "x"), N_("remove or keep"), N_("Mark the tag for removal, or let it stay.")),
    _over(CONFLICTS, "merge", ("m", "b"), N_("both"), N_("Both changes of this caption together.")),
    _over(CONFLICTS, "ours", ("e",), N_("edit"), N_("The edit that waits, in the place of what is on disk.")),
    _over(CONFLICTS, "theirs", ("d",), N_("disk"), N_("What is on disk stays, and the edit is dropped.")),
    _over(CONFLICTS, "wait", ("w",), N_("wait on"), N_("Decide nothing about this caption now.")),
    _over(CONFLICTS, "merge-all", ("M", "B"), N_("both, all"), N_("Both changes of every caption that allows it.")),
    _over(CONFLICTS, "ours-all", ("E",), N_("edit, all"), N_("The edit that waits, for every caption.")),
    _over(CONFLICTS, "theirs-all", ("D",), N_("disk, all"), N_("What is on disk stays, for every caption.")),
    _over(SWEEP, "yes", ("y",), N_("has it"), N_("The image has the tag: it is added where it is missing.")),
    _over(SWEEP, "no", ("n",), N_("has it not"), N_("The image has it not: the tag is removed.")),
    _over(SWEEP, "skip", ("s", "space", "right"), N_("skip"), N_("To the next image; this caption stays as it is.")),
    _over(SWEEP, "before", ("u", "left"), N_("answer before"), N_("To the image before, its caption as it was.")),
    _over(SWEEP, "leave", ("escape", "q"), N_("end"), N_("Back to the tags; the answers stay.")),
    _over(SHEET, "left", ("left", "h"), N_("left"), N_("One picture to the left.")),
    _over(SHEET, "right", ("right", "l"), N_("right"), N_("One picture to the right.")),
    _over(SHEET, "up", ("up", "k"), N_("up"), N_("One line of pictures up.")),
    _over(SHEET, "down", ("down", "j"), N_("down"), N_("One line of pictures down.")),
    _over(SHEET, "page-up", ("pageup",), N_("page up"), N_("The page before.")),
    _over(SHEET, "page-down", ("pagedown",), N_("page down"), N_("The next page.")),
    _over(SHEET, "first", ("home", "g"), N_("first"), N_("To the first picture.")),
    _over(SHEET, "last", ("end", "G"), N_("last"), N_("To the last picture.")),
    _over(SHEET, "mark", ("m", "space", "insert"), N_("mark"), N_("Mark the image, or take its mark away.")),
    _over(SHEET, "toggle-tag", ("t",), N_("toggle the tag"), N_("Add the tag named above to the image, or remove it.")),
    _over(SHEET, "larger", ("+",), N_("larger"), N_("Fewer pictures, each larger.")),
    _over(SHEET, "smaller", ("-",), N_("smaller"), N_("More pictures, each smaller.")),
    _over(SHEET, "open", ("enter",), N_("go there"), N_("To this image in the tag editor.")),
    _over(SHEET, "leave", ("escape", "q"), N_("end"), N_("Back to the tags.")),
    _over(WRITING, "save", ("ctrl+s", "ctrl+o"), N_("save"), N_("The text as it stands here becomes the caption.")),
    _over(WRITING, "save-next", ("ctrl+n",), N_("save, next"), N_("The same, and on to the next image's caption.")),
    _over(WRITING, "leave", ("escape",), N_("cancel"), N_("Back to the tags; the caption stays as it was.")),
    *keys_of(WRITING, "f1"),
)
"""What can be done in what lies over the tag editor: prune assistant, edits that wait, review sweep, contact sheet,
the field in which a caption is written."""
