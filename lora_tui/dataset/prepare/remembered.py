"""What was chosen last for preparing the images of a project; kept in the user's state folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lora_tui.dataset.prepare.carry import WORKERS
from lora_tui.dataset.prepare.options import Options, options_from
from lora_tui.errors import UserError
from lora_tui.state import recall, remember

FILE = "prepare.json"


@dataclass(frozen=True)
class Choices:
    """Source and destination as absolute paths (none for the usual ones), options, and the processes at work."""

    source: Path | None = None
    destination: Path | None = None
    options: Options = field(default_factory=Options)
    workers: int = WORKERS


def load_choices(project: Path) -> Choices | None:
    """The choices of a project; none where there are none, or none that this version understands."""
    found = recall(FILE).get(str(project))
    try:
        if not isinstance(found, dict):
            return None
        return Choices(
            Path(found["source"]) if found["source"] else None,
            Path(found["destination"]) if found["destination"] else None,
            options_from(found["options"]),
            int(found["workers"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UserError):
        return None


def save_choices(project: Path, choices: Choices) -> None:
    """Remember them; a state folder that cannot be written is let be."""
    found = {
        "source": str(choices.source or ""),
        "destination": str(choices.destination or ""),
        "options": choices.options.as_dict(),
        "workers": choices.workers,
    }
    remember(FILE, project, lambda _before: found)
