"""A compositor that cuts no line at the borders of what is hidden on it.

Textual divides every line of a screen at the borders of all widgets there, those that lie behind others included. A
character of two cells on such a border becomes two blanks, so that a line of Chinese that lies over two panes loses
characters where they meet.
"""

from __future__ import annotations

from textual._compositor import Compositor
from textual.geometry import Region


class CoveringCompositor(Compositor):
    """What is behind a widget that spans the whole line cuts nothing there."""

    @property
    def cuts(self) -> list[list[int]]:
        """For every line where widgets that can be seen on it begin and end."""
        if self._cuts is None:
            width, height = self.size
            found = [{0, width} for _line in range(height)]
            hidden = [False] * height
            for region, clip in self.visible_widgets.values():  # from the front to the back
                x, y, across, down = Region.intersection(region, clip)
                if not (across and down):
                    continue
                for line in range(y, min(y + down, height)):
                    if not hidden[line]:
                        found[line].update((x, x + across))
                        hidden[line] = across >= width
            self._cuts = [sorted(line) for line in found]
        return self._cuts
