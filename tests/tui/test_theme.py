"""Themes are read from files, checked, and readable."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.errors import UserError
from lora_tui.settings import Settings, config_dir
from lora_tui.tui.theme import DEFAULT_THEME, SHIPPED_TITLES, ThemeSpec, contrast, load_themes, parse_theme, read_theme

SHIPPED, FAILED = load_themes()


def test_enough_themes_ship_and_none_is_wrong() -> None:
    assert FAILED == ()
    assert len(SHIPPED) >= 6
    assert DEFAULT_THEME in SHIPPED
    assert any(not spec.dark for spec in SHIPPED.values())
    assert any(spec.ansi for spec in SHIPPED.values())
    assert {spec.title for spec in SHIPPED.values()} == set(SHIPPED_TITLES)


@pytest.mark.parametrize("spec", [s for s in SHIPPED.values() if not s.ansi], ids=lambda spec: spec.name)
def test_text_can_be_read_on_its_ground(spec: ThemeSpec) -> None:
    colours = spec.colours
    for ground in ("background", "surface", "panel"):
        assert contrast(colours["foreground"], colours[ground]) >= 7
        assert contrast(colours["muted"], colours[ground]) >= 4.5
    for tone in ("accent", "running", "success", "warning", "error"):
        assert contrast(colours[tone], colours["background"]) >= 4.5, tone
        assert contrast(colours[tone], colours["cursor"]) >= 3, tone
    assert contrast(colours["cursor_text"], colours["cursor"]) >= 7
    assert contrast(colours["muted"], colours["cursor"]) >= 3
    assert all(contrast(chart, colours["background"]) >= 4.5 for chart in spec.charts)
    # raw values stand back behind their smoothed curve, and are seen all the same
    assert 2.5 <= contrast(colours["faint"], colours["background"]) < contrast(colours["muted"], colours["background"])


def test_high_contrast_is_high() -> None:
    colours = SHIPPED["contrast"].colours
    assert contrast(colours["foreground"], colours["background"]) >= 15
    for tone in ("muted", "accent", "running", "success", "warning", "error"):
        assert contrast(colours[tone], colours["background"]) >= 7


def test_three_colours_are_enough() -> None:
    spec = parse_theme(
        {"colours": {"background": "#101010", "foreground": "#eeeeee", "accent": "#88aaff"}}, Path("mine.toml")
    )
    assert spec.name == spec.title == "mine"
    assert all(spec.colours.values())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[colours]\nbackground = "#000"\nforeground = "#fff"\n', "colours.accent"),
        ('[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "bleu"\n', "colours.accent"),
        ('[colours]\nbackground = 3\nforeground = "#fff"\naccent = "#00f"\n', "colours.background"),
        ('colors = 1\n[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "#00f"\n', "colors"),
        ('[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "#00f"\nhover = "#fff"\n', "colours.hover"),
        ('dark = "yes"\n[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "#00f"\n', "dark"),
        ('charts = []\n[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "#00f"\n', "charts"),
        ("this is no TOML", ""),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_theme(path)
    assert "wrong.toml" in caught.value.place
    assert place in caught.value.place


def test_one_bad_file_costs_nothing_but_itself(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[colours]")
    (tmp_path / "good.toml").write_text('[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "#4af"\n')
    found, failures = load_themes((tmp_path, tmp_path / "missing"))
    assert list(found) == ["good"]
    assert len(failures) == 1


async def test_a_theme_of_ones_own_can_be_used_and_a_bad_one_is_said(tmp_path: Path) -> None:
    folder = config_dir() / "themes"
    folder.mkdir()
    (folder / "mine.toml").write_text('[colours]\nbackground = "#000"\nforeground = "#fff"\naccent = "#4af"\n')
    (folder / "bad.toml").write_text("[colours]")
    async with running(make_dataset(tmp_path), settings=Settings(theme="mine")) as (app, pilot):
        assert app.theme == "mine"
        await soon(pilot, lambda: app.theme_failures)
        assert "bad.toml" in app.theme_failures[0].place


async def test_every_theme_draws_every_screen(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 2), settings=Settings(theme="paper")) as (app, pilot):
        assert app.theme == "paper"
        for keys in ("f9", "f2", "f4", "f5", "f8", "question_mark", "escape ctrl+p"):
            await pilot.press(*keys.split())
            drawn: dict[str, str] = {}

            def is_drawn(following: str, drawn: dict[str, str] = drawn) -> bool:
                """Whether it looks alike in all themes, as it does once it has opened; go on to the next theme."""
                drawn[app.theme] = screen_text(app)
                app.theme = following
                return len(drawn) == len(SHIPPED) and len(set(drawn.values())) == 1

            names = itertools.cycle(sorted(SHIPPED))
            await soon(pilot, lambda: is_drawn(next(names)))  # noqa: B023 - awaited here
