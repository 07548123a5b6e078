"""The tag editor's view of a caption as it is trained: what the trainer's first epochs show of it."""

from __future__ import annotations

from pathlib import Path

from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready

from lora_tui.captions.as_trained import first_captions
from lora_tui.captions.document import CaptionDocument


async def test_prefix_wildcards_and_placeholder_are_shown_as_they_are_trained(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    caption = b"[w], {red|blue} hat, smile"
    (tmp_path / "4_hat" / "0000.txt").write_bytes(caption)
    async with running(tmp_path, size=(120, 40), screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        config = app.workspace.config
        assert config is not None
        config.captions.wildcards, config.captions.prefix = True, "photo,"
        config.captions.placeholder, config.saving.trigger = "[w]", "hatgirl"
        await pilot.press("v")
        shown = first_captions(CaptionDocument.parse(caption), config, dataset=0, name="4_hat/0000.png")
        assert shown[0] in ("photo, hatgirl, red hat, smile", "photo, hatgirl, blue hat, smile")
        await soon(pilot, lambda: all(text in screen_text(app) for text in shown))
