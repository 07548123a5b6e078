"""The vocabulary of the tag editor: what its keys are about, and how that is said."""

from __future__ import annotations

from pathlib import Path

from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, texts, type_in


async def test_in_the_vocabulary_tags_are_removed_and_renamed_in_all_that_is_shown(tmp_path: Path) -> None:
    before = texts(make_dataset(tmp_path, 4))
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and tags(app).panes.pane("vocab").count == 6)
        assert "SCOPE 0000.png   FILTER none" in screen_text(app)
        await pilot.press("tab", "tab", "home")
        await soon(pilot, lambda: "SCOPE 0000.png (x r: all 4)   FILTER none" in screen_text(app))
        await soon(pilot, lambda: tags(app).panes.tag == "hat")
        tag = "hat"
        await pilot.press("x")
        await soon(pilot, lambda: f"remove {tag}   all 4: 4 images  4 tags   Enter apply" in screen_text(app))
        assert "SCOPE all 4   FILTER none" in screen_text(app)
        assert texts(tmp_path) == before
        await pilot.press("enter")
        without = [", ".join(one for one in text.split(", ") if one != tag) for text in before]
        await soon(pilot, lambda: texts(tmp_path) == without)
        await pilot.press("u")
        await soon(pilot, lambda: texts(tmp_path) == before)

        await pilot.press("shift+tab", "shift+tab", "slash")
        await type_in(pilot, "any('number 1', 'number 2')".replace("'", '"'))
        await pilot.press("enter")
        await soon(pilot, lambda: "2 of 4" in screen_text(app))
        await pilot.press("tab", "tab", "home", "r")
        await soon(pilot, lambda: f"rename {tag} to (filtered 2)" in screen_text(app))
        assert "SCOPE 0001.png (x r: filtered 2)" in screen_text(app)
        await pilot.press("ctrl+u")
        await type_in(pilot, "cap")
        await pilot.press("enter")
        await soon(pilot, lambda: f"rename {tag} to cap   filtered 2: 2 images  2 tags" in screen_text(app))
        await pilot.press("enter")
        some = [text.replace(f"{tag},", "cap,") if number in (1, 2) else text for number, text in enumerate(before)]
        await soon(pilot, lambda: texts(tmp_path) == some)

        await pilot.press("shift+tab", "shift+tab", "home", "m", "tab", "tab")  # of marked images it is about these
        await soon(pilot, lambda: "SCOPE marked 1   FILTER" in screen_text(app))
        await pilot.press("x")
        one = [text.replace("hatgirl, ", "") if number == 1 else text for number, text in enumerate(some)]
        await soon(pilot, lambda: texts(tmp_path) == one)
