"""Questions are answered by keys, and Escape changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App
from tui.driving import screen_text, soon

from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose, Confirm, Dialog
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.text_field import TextField

NONE_YET = "none yet"


class Asking(App[None]):
    def __init__(self, dialog: Callable[[], Dialog[Any]]) -> None:
        super().__init__()
        self.dialog = dialog
        self.answer: Any = NONE_YET

    def on_mount(self) -> None:
        self.push_screen(self.dialog(), self.answered)

    def answered(self, answer: Any) -> None:
        self.answer = answer


async def answer(dialog: Callable[[], Dialog[Any]], *keys: str) -> Any:
    app = Asking(dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await soon(pilot, lambda: app.answer != NONE_YET)
        return app.answer


async def test_confirming() -> None:
    def ask() -> Confirm:
        return Confirm("Delete [/b] x?", "It cannot be undone.", yes="delete")

    assert await answer(ask, "enter") is True
    assert await answer(ask, "y") is True
    assert await answer(ask, "n") is None
    assert await answer(ask, "escape") is None


async def test_choosing_one_of_a_few_with_a_preview() -> None:
    seen: list[str] = []

    def ask() -> Choose[str]:
        return Choose("Which", [Choice(v, f"[/{v}]", "remark") for v in "abc"], current="b", on_move=seen.append)

    assert await answer(lambda: Choose("Which", [Choice(v, v) for v in "abc"], search=True), "c", "enter") == "c"
    assert await answer(ask, "down", "enter") == "c"
    assert seen[-2:] == ["b", "c"]
    assert await answer(ask, "escape") is None


async def test_choosing_one_of_many_by_typing() -> None:
    choices = [Choice(n, f"number {n}", "odd" if n % 2 else "even") for n in range(30)]
    assert await answer(lambda: Choose("Which", choices), *"17", "enter") == 17
    assert await answer(lambda: Choose("Which", choices), *"even", "down", "down", "enter") == 4


async def test_the_box_of_a_long_choice_ends_below_its_keys() -> None:
    app = Asking(lambda: Choose("Which", [Choice(n, f"number {n}") for n in range(30)]))
    async with app.run_test(size=(80, 36)) as pilot:
        await pilot.pause()
        box, keys = app.screen.query_one("#box"), app.screen.query_one(Keys)
        await soon(pilot, lambda: keys.region.bottom > 0)
        assert keys.region.bottom == box.content_region.bottom


async def test_a_choice_that_fits_nothing_cannot_be_taken() -> None:
    app = Asking(lambda: Choose("Which", [Choice(n, str(n)) for n in range(30)]))
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press(*"xyz", "enter")
        await pilot.pause()
        assert app.answer == NONE_YET
        assert "Nothing fits" in screen_text(app)


async def test_asking_for_a_text_with_a_check() -> None:
    def ask() -> AskText:
        return AskText("Name", "old", check=lambda text: "" if text.isalpha() else "Letters only, [/please].")

    assert await answer(ask, "enter") == "old"
    app = Asking(ask)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("end", "1", "enter")
        await soon(pilot, lambda: "Letters only, [/please]." in screen_text(app))
        assert app.answer == NONE_YET
        await pilot.press("backspace", "enter")
        await soon(pilot, lambda: app.answer == "old")


async def test_what_is_typed_takes_the_place_of_the_text_that_stands_there() -> None:
    from textual import events

    assert await answer(lambda: AskText("Name", "old"), "n", "e", "w", "enter") == "new"
    app = Asking(lambda: AskText("Name", "old"))
    async with app.run_test() as pilot:
        await pilot.pause()
        app.screen.focused.post_message(events.Paste("pasted"))  # type: ignore[union-attr]
        await pilot.press("enter")
        await soon(pilot, lambda: app.answer == "pasted")


async def test_a_paste_of_several_lines_gives_the_first() -> None:
    from textual import events

    app = Asking(lambda: AskText("Name"))
    async with app.run_test() as pilot:
        await pilot.pause()
        app.screen.focused.post_message(events.Paste("one\rtwo\r\nthree\x1b"))  # type: ignore[union-attr]
        await pilot.press("enter")
        await soon(pilot, lambda: app.answer == "one")


async def test_walking_to_a_folder(tmp_path: Path) -> None:
    for name in ("alpha", "beta/inner", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file.toml").write_text("")
    for name in ("a.png", "b.JPG", "b.txt"):
        (tmp_path / "beta" / "inner" / name).write_text("")

    def ask() -> AskPath:
        return AskPath("Open", tmp_path, folders_only=True)

    assert await answer(ask, "enter") == tmp_path
    app = Asking(ask)
    async with app.run_test(size=(100, 24)) as pilot:
        await soon(pilot, lambda: "alpha/" in screen_text(app))
        assert "file.toml" not in screen_text(app)
        assert ".hidden" not in screen_text(app)
        await pilot.press("b")
        await soon(pilot, lambda: "alpha/" not in screen_text(app))
        await pilot.press("tab")
        await soon(pilot, lambda: "inner/" in screen_text(app))
        await pilot.press("tab")
        await soon(pilot, lambda: "2 images here, no folders. Enter takes this folder." in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: app.answer == tmp_path / "beta" / "inner")


async def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    app = Asking(lambda: AskPath("Open", tmp_path))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        await pilot.press("x", "enter")
        await soon(pilot, lambda: "There is no" in screen_text(app))
        assert app.answer == NONE_YET
    assert await answer(lambda: AskPath("New", tmp_path, must_exist=False), "x", "enter") == tmp_path / "x"


async def test_a_folder_that_is_not_there_yet_will_be_made(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    value = tmp_path / "out" / "new"
    app = Asking(lambda: AskPath("Export", tmp_path, folders_only=True, must_exist=False, value=value))
    async with app.run_test(size=(100, 24)) as pilot:
        await soon(pilot, lambda: "not there yet; it will be made" in screen_text(app))
        await pilot.press("backspace", "backspace", "backspace")
        await soon(pilot, lambda: "Nothing here." in screen_text(app))


async def test_files_of_one_kind(tmp_path: Path) -> None:
    for name in ("a.toml", "b.TOML", "c.png"):
        (tmp_path / name).write_text("")
    app = Asking(lambda: AskPath("Load", tmp_path, suffixes=(".toml",)))
    async with app.run_test(size=(100, 24)) as pilot:
        await soon(pilot, lambda: "a.toml" in screen_text(app))
        assert "b.TOML" in screen_text(app)
        assert "c.png" not in screen_text(app)


async def test_a_whole_path_takes_the_place_of_what_stands_there(tmp_path: Path) -> None:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "beta" / "inner").mkdir(parents=True)
    app = Asking(lambda: AskPath("Open", tmp_path / "alpha"))
    async with app.run_test(size=(160, 24)) as pilot:
        await pilot.pause()
        app.post_message(events.Paste(str(tmp_path / "beta")))
        await soon(pilot, lambda: app.screen.query_one(TextField).value == str(tmp_path / "beta"))
        await pilot.press("/", "enter")
        await soon(pilot, lambda: app.answer == tmp_path / "beta")
