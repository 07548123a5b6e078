"""The tag editor where another program changed captions that are edited here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import forget_soon, running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, texts, type_in

from lora_tui.tui.screens.tags_conflicts import ConflictDialog

PROSE = "A girl in a red hat stands in a field of grass. She waves."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_dataset(tmp_path, 40)
    (tmp_path / "4_hat" / "0036.txt").write_text(PROSE)
    return tmp_path


async def rename_over_changes(pilot, root: Path) -> None:  # type: ignore[no-untyped-def]  # Textual's pilot
    """Rename in all captions, two of which another program changes without being seen."""
    app = pilot.app
    await soon(pilot, lambda: ready(app))
    (root / "4_hat" / "0035.txt").write_text("hatgirl, hat, number 35, tree")
    (root / "4_hat" / "0036.txt").write_text(PROSE.replace("red", "green"))
    await pilot.press("s", "colon")
    await type_in(pilot, "rename hat to cap; phrase rename red to blue")
    await pilot.press("enter")
    await soon(pilot, lambda: tags(app).edits.pending is not None)
    await pilot.press("enter")
    await soon(pilot, lambda: tags(app).conflicts.number == 2)


async def test_edits_that_wait_are_merged_as_shown_and_taken_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_soon(monkeypatch)
    async with running(root, screen="tags") as (app, pilot):
        await rename_over_changes(pilot, root)
        kept = texts(root)
        assert (kept[34], kept[35]) == ("hatgirl, cap, number 34", "hatgirl, hat, number 35, tree")
        await soon(pilot, lambda: "2 edits wait: Space m" in screen_text(app))
        await pilot.press("space", "m")
        await soon(pilot, lambda: isinstance(app.screen, ConflictDialog) and "becomes" in screen_text(app))
        await soon(pilot, lambda: "hatgirl, cap, number 35, tree" in screen_text(app))
        assert "both changed the same words" in screen_text(app)
        assert texts(root) == kept
        await pilot.press("enter")
        await soon(pilot, lambda: texts(root)[35] == "hatgirl, cap, number 35, tree")
        await soon(pilot, lambda: ready(app) and "1 edit waits" in screen_text(app))
        assert texts(root)[36] == PROSE.replace("red", "green")
        await pilot.press("u")
        await soon(pilot, lambda: texts(root) == kept)
        await soon(pilot, lambda: "2 edits wait" in screen_text(app))


async def test_where_both_changed_the_same_words_a_person_chooses(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await rename_over_changes(pilot, root)
        await pilot.press("space", "m")
        await soon(pilot, lambda: isinstance(app.screen, ConflictDialog))
        await pilot.press("d", "m", "e", "enter")
        await soon(pilot, lambda: texts(root)[36] == PROSE.replace("red", "blue"))
        assert texts(root)[35] == "hatgirl, hat, number 35, tree"
        await soon(pilot, lambda: ready(app) and "wait" not in screen_text(app).splitlines()[-2])
        await pilot.press("space", "m")
        await soon(pilot, lambda: "No edit waits." in screen_text(app))


async def test_what_waited_before_is_told_when_the_folder_is_opened(root: Path) -> None:
    async with running(root, screen="tags") as (_app, pilot):
        await rename_over_changes(pilot, root)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "2 edits wait" in screen_text(app))
