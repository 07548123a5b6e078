"""Themes: TOML files with a handful of named colours, checked before the app sees them.

Looked for in the package, beside it (a source checkout), and in the user's folder; a later one of the
same name wins. A file that is wrong is reported and left out, and never stops the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.color import Color, ColorParseError

from lora_tui.errors import UserError
from lora_tui.settings import config_dir
from lora_tui.text import N_, _, plain
from lora_tui.toml_files import read_toml

if TYPE_CHECKING:
    from textual.theme import Theme

DEFAULT_THEME = "dusk"

SHIPPED_TITLES = (
    N_("Dusk"),
    N_("Paper"),
    N_("High contrast"),
    N_("Clear (colour-blind safe)"),
    N_("Ember"),
    N_("Sixteen (the terminal's own)"),
    N_("Mono"),
)
"""Titles of the themes that come with the program, here so that they are translated."""

NEEDED = ("background", "foreground", "accent")
COLOURS = (
    "background",
    "foreground",
    "accent",
    "surface",
    "panel",
    "muted",
    "faint",
    "rule",
    "cursor",
    "cursor_text",
    "cursor_blurred",
    "running",
    "success",
    "warning",
    "error",
)
CHART_COLOURS = 8

_FALLBACK_CHART = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866")
"""Paul Tol's "bright" qualitative scheme, distinguishable under the common colour deficiencies."""


@dataclass(frozen=True)
class ThemeSpec:
    """One theme, complete and checked.

    Attributes:
        name: the file's stem; what the settings hold.
        title: what a person reads.
        dark: whether text is light on dark.
        ansi: colours are the terminal's own sixteen, by name.
        colours: every name of :data:`COLOURS` to a colour that parses.
        charts: colours of curves in order, at least one.
    """

    name: str
    title: str
    dark: bool
    ansi: bool
    colours: dict[str, str]
    charts: tuple[str, ...]

    @property
    def variables(self) -> dict[str, str]:
        """The style sheet's variables that this theme sets."""
        found = {
            name.replace("_", "-"): self.colours[name]
            for name in ("muted", "faint", "rule", "cursor", "cursor_text", "cursor_blurred", "running")
        }
        # In the terminal's own colour, muted text is told by faintness: bright black, which many take for grey, is the
        # ground itself in some palettes.
        found["muted-style"] = "dim" if self.colours["muted"] == "ansi_default" else "none"
        for number in range(CHART_COLOURS):
            found[f"chart-{number + 1}"] = self.charts[number % len(self.charts)]
        colours = self.colours
        if self.ansi:  # names that Textual's own style sheets use and its ansi colour system leaves open
            found |= {
                "ansi-background": colours["background"],
                "ansi-foreground": colours["foreground"],
                "screen-selection-background": colours["cursor"],
                "screen-selection-foreground": colours["foreground"],
            }
        return found | {
            "border": colours["accent"],
            "border-blurred": colours["rule"],
            "scrollbar": colours["rule"],
            "scrollbar-hover": colours["muted"],
            "scrollbar-active": colours["accent"],
            "scrollbar-background": colours["background"],
            "scrollbar-background-hover": colours["background"],
            "scrollbar-background-active": colours["background"],
            "scrollbar-corner-color": colours["background"],
            "input-cursor-background": colours["foreground"],
            "input-cursor-foreground": colours["background"],
            "input-selection-background": colours["cursor"],
            "input-selection-foreground": colours["foreground"],
            "block-cursor-background": colours["cursor"],
            "block-cursor-foreground": colours["foreground"],
        }

    def textual(self) -> Theme:
        """The theme as Textual takes it."""
        from textual.theme import Theme

        colours = self.colours
        return Theme(
            name=self.name,
            primary=colours["accent"],
            secondary=colours["muted"],
            accent=colours["accent"],
            foreground=colours["foreground"],
            background=colours["background"],
            surface=colours["surface"],
            panel=colours["panel"],
            boost=colours["panel"],
            success=colours["success"],
            warning=colours["warning"],
            error=colours["error"],
            dark=self.dark,
            ansi=self.ansi,
            variables=self.variables,
        )


def theme_folders() -> tuple[Path, ...]:
    """Where themes are looked for, in order."""
    package = Path(__file__).resolve().parent.parent
    return (package / "themes", package.parent / "themes", config_dir() / "themes")


def load_themes(folders: tuple[Path, ...] | None = None) -> tuple[dict[str, ThemeSpec], tuple[UserError, ...]]:
    """All themes by name, and what is wrong with the files that are left out."""
    found: dict[str, ThemeSpec] = {}
    failures: list[UserError] = []
    for folder in theme_folders() if folders is None else folders:
        try:
            paths = sorted(path for path in folder.glob("*.toml") if path.is_file())
        except OSError:
            continue
        for path in paths:
            try:
                found[path.stem] = read_theme(path)
            except UserError as error:
                failures.append(error)
    return found, tuple(failures)


def read_theme(path: Path) -> ThemeSpec:
    """The theme in a file.

    Raises:
        UserError: it cannot be read, is no TOML, or holds an unknown key or something that is no colour.
    """
    try:
        data = read_toml(path)
    except (OSError, ValueError) as error:
        raise _wrong(path, "", plain(str(error))) from error
    return parse_theme(data, path)


def parse_theme(data: dict[str, Any], path: Path) -> ThemeSpec:
    """A theme from the content of its file; what is not given follows from what is.

    Raises:
        UserError: an unknown key, a missing colour, or something that is no colour.
    """
    for key in data:
        if key not in ("title", "dark", "ansi", "colours", "charts"):
            raise _wrong(path, key, _("This key is not known."))
    given = data.get("colours")
    if not isinstance(given, dict):
        raise _wrong(path, "colours", _("The table of colours is missing."))
    for name in given:
        if name not in COLOURS:
            raise _wrong(path, f"colours.{name}", _("This colour is not known."))
    for name in NEEDED:
        if name not in given:
            raise _wrong(path, f"colours.{name}", _("This colour is missing."))
    ansi = _flag(data, "ansi", False, path)
    colours = {name: _colour(value, f"colours.{name}", path) for name, value in given.items()}
    charts = data.get("charts", list(_FALLBACK_CHART))
    if not isinstance(charts, list) or not charts:
        raise _wrong(path, "charts", _("It must be a list of colours."))
    return ThemeSpec(
        name=path.stem,
        title=plain(str(data.get("title", path.stem)), limit=40),
        dark=_flag(data, "dark", True, path),
        ansi=ansi,
        colours=_completed(colours, ansi),
        charts=tuple(_colour(value, f"charts[{number}]", path) for number, value in enumerate(charts)),
    )


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(text: str) -> float:
    channels = [value / 255 for value in Color.parse(text).rgb]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _completed(colours: dict[str, str], ansi: bool) -> dict[str, str]:
    background, foreground, accent = (colours[name] for name in NEEDED)

    def between(share: float) -> str:
        return Color.parse(background).blend(Color.parse(foreground), share).hex

    derived = (
        {
            "surface": background,
            "panel": background,
            "muted": "ansi_default",
            "faint": "ansi_bright_black",
            "rule": "ansi_bright_black",
            "cursor": "ansi_blue",
            "cursor_text": "ansi_bright_white",
            "cursor_blurred": background,
            "success": "ansi_green",
            "warning": "ansi_yellow",
            "error": "ansi_red",
        }
        if ansi
        else {
            "surface": between(0.04),
            "panel": between(0.08),
            "muted": between(0.6),
            "faint": between(0.42),
            "rule": between(0.25),
            "cursor": between(0.2),
            "cursor_text": foreground,
            "cursor_blurred": between(0.08),
            "success": "#5fb070",
            "warning": "#d0a040",
            "error": "#e06060",
        }
    )
    derived["running"] = colours.get("success", derived["success"]) if ansi else accent
    return {name: colours.get(name, derived.get(name, "")) for name in COLOURS}


def _flag(data: dict[str, Any], name: str, default: bool, path: Path) -> bool:
    value = data.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(path, name, _("It must be true or false."))
    return value


def _colour(value: object, place: str, path: Path) -> str:
    if isinstance(value, str):
        try:
            Color.parse(value)
        except ColorParseError:
            pass
        else:
            return value
    raise _wrong(path, place, _("{value} is no colour; write #rrggbb.").format(value=plain(repr(value), limit=40)))


def _wrong(path: Path, key: str, message: str) -> UserError:
    place = f"{plain(str(path))}: {plain(key)}" if key else plain(str(path))
    return UserError(message, place=place, remedy=_("The theme is left out."), code="theme.invalid")
