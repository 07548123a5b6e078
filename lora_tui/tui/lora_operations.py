"""What can be made of LoRA files in the app: one row an operation, with its key and the files that it needs.

To add one: a row here, and a screen of the ``place`` that takes the files: ``Class(files)`` with ``files`` the
:class:`lora_tui.loras.files.LoraFile` that are marked, else the one under the cursor (none where ``least`` is 0). It is
pushed over the list of LoRA files and dismissed with the paths that it wrote, or with none. Knows no widget.
"""

from __future__ import annotations

from dataclasses import dataclass

from lora_tui.text import N_, count, ngettext
from lora_tui.tui.actions import Action

PREFIX = "o"
"""The first of the two keys of each operation; a popup then shows them all."""


@dataclass(frozen=True)
class LoraOperation:
    """One operation.

    Attributes:
        name: of its action, ``loras.NAME``.
        key: the second of its two keys.
        title: a few words; ``help`` a sentence.
        place: ``module:Class`` below ``lora_tui.tui.screens``.
        least, most: how many files it takes; ``most`` 0 has no bound.
    """

    name: str
    key: str
    title: str
    help: str
    place: str
    least: int = 1
    most: int = 1

    @property
    def action(self) -> Action:
        """The action that begins it."""
        return Action(f"loras.{self.name}", (f"{PREFIX} {self.key}",), self.title, self.help, show=False)

    def refusal(self, files: int) -> str:
        """Why it cannot be done with so many files; empty where it can."""
        if files < self.least:
            text = ngettext("It takes {count} file.", "It takes {count} files or more: mark them.", self.least)
            return text.format(count=count(self.least))
        if self.most and files > self.most:
            text = ngettext(
                "It takes {count} file; more are marked. Esc takes the marks away.",
                "It takes at most {count} files.",
                self.most,
            )
            return text.format(count=count(self.most))
        return ""


def _made(name: str, key: str, title: str, text: str, place: str, least: int = 1, most: int = 1) -> LoraOperation:
    return LoraOperation(name, key, title, text, f"loras_making:{place}", least, most)


OPERATIONS: tuple[LoraOperation, ...] = (
    _made("merge", "m", N_("merge"), N_("Add the marked files into one, exactly or reduced."), "Merge", 1, 0),
    _made("resize", "r", N_("resize"), N_("A file of a lower rank or a given size, with its curve."), "Resize"),
    _made("convert", "c", N_("convert"), N_("The file for another program, or as a plain LoRA."), "ConvertFile"),
    _made("blocks", "w", N_("weigh blocks"), N_("How much lies in each block; the file with other weights."), "Blocks"),
    _made("bake", "b", N_("bake"), N_("The marked files into a base model."), "Bake", 1, 0),
    _made("extract", "e", N_("extract"), N_("A LoRA of what a tuned model adds to its base."), "Extract", 0, 0),
    _made("compare", "p", N_("compare"), N_("How alike two files are, and how they interfere."), "Compare", 2, 2),
    _made(
        "check-base", "k", N_("check"), N_("Whether files are sound, and whether they fit a base model."), "Check", 1, 0
    ),
    LoraOperation(
        "split",
        "s",
        N_("split a DyLoRA"),
        N_("Write a DyLoRA as files of its ranks."),
        "loras_split:SplitLora",
    ),
    LoraOperation(
        "generate",
        "g",
        N_("generate"),
        N_("Draw pictures with the marked files, or with none."),
        "generate:Generate",
        0,
        0,
    ),
)


def operation_of(action_id: str) -> LoraOperation | None:
    """The operation that an action begins; none for other actions."""
    name = action_id.removeprefix("loras.")
    return next((one for one in OPERATIONS if one.name == name), None)
