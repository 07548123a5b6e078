"""From the dataset's screen to the one that prepares its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_tui.tui.screens.dataset import DatasetScreen


class Preparing:
    """The part of the dataset's screen that leads there."""

    def __init__(self, screen: DatasetScreen) -> None:
        self._screen = screen

    def action_prepare(self) -> None:
        from lora_tui.tui.screens.dataset_prepare import PrepareScreen

        here = self._screen.here
        at = here.path if here is not None and here.image is not None else None
        self._screen.app.push_screen(PrepareScreen(self._screen.acts, at))
