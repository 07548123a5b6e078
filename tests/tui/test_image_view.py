"""Pictures come from threads, the newest wish wins, and what cannot be read is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from rich.color import Color
from textual.app import App, ComposeResult
from textual.strip import Strip
from tui.driving import screen_text, soon

from lora_tui.settings import Settings
from lora_tui.tui.widgets.image_view import Drawn, ImageView, PictureCache, Wanted


@pytest.fixture(autouse=True)
def all_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


class PictureApp(App[None]):
    def __init__(self, **settings: object) -> None:
        super().__init__()
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.ascii_only = bool(settings.get("ascii"))

    def compose(self) -> ComposeResult:
        yield ImageView()

    @property
    def view(self) -> ImageView:
        return self.query_one(ImageView)


def colours_of(view: ImageView) -> set[tuple[int, int, int]]:
    found = set()
    for y in range(view.size.height):
        for segment in view.render_line(y):
            colour = segment.style.bgcolor if segment.style else None
            if isinstance(colour, Color) and colour.triplet:
                found.add(tuple(colour.triplet))
    return found


def image(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


async def test_shows_an_image_as_large_as_it_fits(tmp_path: Path) -> None:
    app = PictureApp()
    path = image(tmp_path / "red.png", (200, 0, 0))
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.show(path)
        await soon(pilot, lambda: app.view.shown == path)
        assert (200, 0, 0) in colours_of(app.view)
        widths = [
            sum(len(s.text) for s in app.view.render_line(y) if s.style and str(s.style.bgcolor).find("c80000") >= 0)
            for y in range(10)
        ]
        assert widths == [20] * 10


async def test_the_newest_wish_wins(tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{n}.png", (10 * n, 99, 0)) for n in range(20)]
    app = PictureApp()
    async with app.run_test(size=(40, 10)) as pilot:
        for path in paths:
            app.view.show(path)
        await soon(pilot, lambda: app.view.shown == paths[-1])
        assert (190, 99, 0) in colours_of(app.view)


async def test_a_file_that_changed_is_drawn_again(tmp_path: Path) -> None:
    app = PictureApp()
    path = image(tmp_path / "one.png", (200, 0, 0))
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.show(path, (1, 1))
        await soon(pilot, lambda: (200, 0, 0) in colours_of(app.view))
        image(path, (0, 0, 200))
        app.view.show(path, (2, 1))
        await soon(pilot, lambda: (0, 0, 200) in colours_of(app.view))


async def test_a_kept_picture_comes_back_at_once(tmp_path: Path) -> None:
    app = PictureApp()
    one, two = image(tmp_path / "1.png", (200, 0, 0)), image(tmp_path / "2.png", (0, 200, 0))
    async with app.run_test(size=(40, 10)) as pilot:
        for path in (one, two):
            app.view.show(path)
            await soon(pilot, lambda path=path: app.view.shown == path)
        app.view.show(one)
        assert app.view.shown == one


async def test_what_is_no_image_is_said_and_nothing_breaks(tmp_path: Path) -> None:
    app = PictureApp()
    bad = tmp_path / "[bad] \x1b[31m.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    good = image(tmp_path / "good.png", (0, 200, 0))
    async with app.run_test(size=(40, 10)) as pilot:
        for path in (bad, tmp_path / "missing.png"):
            app.view.show(path)
            await soon(pilot, lambda path=path: app.view.path == path and app.view.problem)
            assert screen_text(app).strip()
        app.view.show(good)
        await soon(pilot, lambda: app.view.shown == good)
        app.view.show(None)
        await soon(pilot, lambda: not screen_text(app).strip())


async def test_a_new_size_draws_anew(tmp_path: Path) -> None:
    app = PictureApp()
    path = image(tmp_path / "wide.png", (200, 0, 0), (300, 100))
    async with app.run_test(size=(30, 10)) as pilot:
        app.view.show(path)
        await soon(pilot, lambda: app.view.shown == path)
        await pilot.resize_terminal(60, 20)
        await soon(pilot, lambda: any(s.cell_length >= 58 for s in app.view.render_line(0)))


async def test_ascii_pictures_are_ascii_and_off_is_off(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.effect_noise((64, 64), 120).convert("RGB").save(path)
    app = PictureApp(ascii=True)
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.show(path)
        await soon(pilot, lambda: app.view.shown == path)
        assert screen_text(app).isascii()
        assert screen_text(app).strip()
    app = PictureApp(images="off")
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.show(path)
        await pilot.pause()
        assert not screen_text(app).strip()


async def test_transparent_parts_show_the_ground(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (32, 32), (255, 255, 255, 0)).save(path)
    app = PictureApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.show(path)
        await soon(pilot, lambda: app.view.shown == path)
        assert (255, 255, 255) not in colours_of(app.view)


def test_the_cache_holds_so_many_cells_and_gives_up_the_oldest() -> None:
    cache = PictureCache(kept_cells=100)
    strips = tuple(Strip.blank(10) for _line in range(4))

    def wanted(number: int) -> Wanted:
        return Wanted(Path(f"{number}.png"), (0, 0), 10, 4, "truecolor", False, True, (0, 0, 0))

    for number in range(3):
        cache.put(wanted(number), Drawn(strips, 10))
        assert cache.get(wanted(0)) is not None or number == 2
    assert [number for number in range(3) if cache.get(wanted(number))] == [0, 2]


async def test_one_image_after_another_is_drawn_when_the_last_one_stays(tmp_path: Path) -> None:
    """A held key over pictures that are kept already sends none of them but the last."""
    app = PictureApp()
    red, blue = image(tmp_path / "red.png", (200, 0, 0)), image(tmp_path / "blue.png", (0, 0, 200))
    async with app.run_test(size=(40, 10)) as pilot:
        for path in (red, blue):
            app.view.show(path)
            await soon(pilot, lambda path=path: app.view.shown == path)
        for path in (red, blue, red, blue):
            app.view.show(path)
        before = app.view.shown
        app.view.show(red if before == blue else blue)
        assert app.view.shown == before
        await soon(pilot, lambda: app.view.shown == app.view.path)


async def test_outside_of_the_part_that_is_used_it_is_dim_and_grey(tmp_path: Path) -> None:
    app = PictureApp()
    path = image(tmp_path / "red.png", (200, 0, 0))
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.show(path, part=(0.0, 0.0, 0.5, 1.0))
        await soon(pilot, lambda: app.view.shown == path)
        found = colours_of(app.view)
        assert (200, 0, 0) in found and len(found) >= 2
        other = next(colour for colour in found if colour != (200, 0, 0) and colour[0] < 100)
        assert max(other) - min(other) < 40
        app.view.show(path)
        await soon(pilot, lambda: (200, 0, 0) in colours_of(app.view) and len(colours_of(app.view)) < len(found))
