"""Keys of one's own from the list of keys: pressed, refused where they clash, kept, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags

from lora_tui.settings import Settings, load_settings, save_settings
from lora_tui.tui.screens.help import HelpScreen


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))


async def test_another_key_is_pressed_in_the_list_of_keys_works_at_once_and_is_kept(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "project", 3)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("?")
        await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press(*"tags.mark-all", "ctrl+r")
        await soon(pilot, lambda: "Another key for: mark all shown" in screen_text(app))
        await pilot.press("m")
        await soon(pilot, lambda: "m already belongs to tags.mark" in screen_text(app))
        await pilot.press("enter")  # refused
        await pilot.press("b")
        await soon(pilot, lambda: "then m b" in screen_text(app))  # a pair
        await pilot.press("b")
        await soon(pilot, lambda: "then b " in screen_text(app))  # begun anew
        await pilot.press("enter")
        await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
        await soon(pilot, lambda: "b  " in screen_text(app).partition("mark all shown")[0][-20:])
        await soon(pilot, lambda: load_settings().keys == {"tags.mark-all": ("b",)})
        await pilot.press("escape", "b")
        await soon(pilot, lambda: ready(app) and len(tags(app).editor.marks) == 3)  # type: ignore[union-attr]
        await pilot.press("?")
        await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press(*"tags.mark-all", "ctrl+r")
        await soon(pilot, lambda: "Another key for" in screen_text(app))
        await pilot.press("enter")  # nothing pressed: the usual key
        await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
        await soon(pilot, lambda: load_settings().keys == {})
        assert app.keymap.keys("tags.mark-all") == ("asterisk",)


async def test_many_keys_without_effect_make_one_notice_and_a_list_that_can_be_searched(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "project", 1)
    own = Settings(keys={"tags.add": ("m",), "tags.rename": ("q",), "tags.nonsense": ("z",)})
    async with running(root, screen="tags", settings=own) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        said = [notice.message for notice in app._notifications]
        assert said == ["3 lines of your keys have no effect; ? says why."]
        await pilot.press("?")
        await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press(*"nonsense")
        await soon(pilot, lambda: "There is no action tags.nonsense" in screen_text(app))


def test_the_usual_keymap_has_a_name_and_comments_stay_when_keys_change(tmp_path: Path) -> None:
    path = tmp_path / "home" / "config" / "settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text('# mine\nkeymap = "vim"  # letters\n\n[keys]\n"tags.add" = ["n"]\n')
    assert load_settings() == Settings(keymap="vim", keys={"tags.add": ("n",)})
    save_settings(Settings(keymap="bdtm", keys={"tags.add": ("o",)}))
    assert path.read_text().startswith('# mine\nkeymap = "bdtm" # letters\n')
    assert load_settings() == Settings(keymap="bdtm", keys={"tags.add": ("o",)})
