"""When a screen is painted: at once where nothing was painted lately, else a moment after the last frame.

Textual paints by a grid of sixtieths of a second, and after each frame passes one of them by: what changes right after
a frame is seen 17 to 33 ms later. A held key met that with every other step, for what it shows comes in several frames.
"""

from __future__ import annotations

import asyncio
import time

from textual.screen import Screen
from textual.timer import EventTargetGone, Timer

FRAME_SECONDS = 1 / 120
"""Between two frames at least. With a sixtieth the frame of a picture that is there a little later than its name makes
the next step of a held key wait; a slow terminal is spared by the app's own pace."""


class FrameTimer(Timer):
    """Calls back as soon as it is resumed, and never twice within its interval; whoever is called pauses it."""

    async def _run(self) -> None:
        last = float("-inf")
        while True:
            await self._active.wait()
            if (wait := last + self._interval - time.monotonic()) > 0:
                await asyncio.sleep(wait)
                continue  # it may have been paused
            last = time.monotonic()
            try:
                await self._tick(next_timer=last, count=0)
            except EventTargetGone:
                return


class PromptScreen(Screen[None]):
    """A screen whose frames come as soon as they may."""

    _frames: FrameTimer | None = None

    @property
    def _update_timer(self) -> Timer:
        """Textual's own name for what its screens paint by."""
        if self._frames is None:
            frames = FrameTimer(self, FRAME_SECONDS, callback=self._on_timer_update, name="frames", pause=True)
            self._frames = frames
            frames._start()
            self._timers.add(frames)
        return self._frames
