"""The tools that make the documentation's pictures: a terminal's cells, and sheets of datasets."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from rich.segment import Segment
from rich.style import Style
from safetensors.torch import save_file

from tools.pictures.cells import GROUND, HEIGHT, INK, WIDTH, draw_cells, save
from tools.pictures.sheets import ACROSS, checkpoints, dataset


def cell(picture: Image.Image, column: int, row: int) -> Image.Image:
    left, top = column * WIDTH, row * HEIGHT
    return picture.crop((left, top, left + WIDTH, top + HEIGHT))


def test_blocks_fill_their_part_of_the_cell() -> None:
    red = Style.parse("#ff0000 on #0000ff")
    picture = draw_cells([[Segment("█▀▂▌", red)], [Segment("⣿ "), Segment("x", Style(reverse=True))]], 4)
    assert picture.size == (4 * WIDTH, 2 * HEIGHT)
    shares = [dict(map(reversed, cell(picture, column, 0).getcolors())).get((255, 0, 0), 0) for column in range(4)]
    whole = WIDTH * HEIGHT
    assert shares == [whole, whole // 2, whole // 4, whole // 2]
    dots = dict(map(reversed, cell(picture, 0, 1).getcolors()))
    assert dots == {INK: 8 * 4, GROUND: whole - 8 * 4}
    assert cell(picture, 1, 1).getcolors() == [(whole, GROUND)]
    assert cell(picture, 2, 1).getpixel((0, 0)) == INK


def test_wide_letters_take_two_cells() -> None:
    one, other = draw_cells([[Segment("图█")]], 3), draw_cells([[Segment("ab█")]], 3)
    assert cell(one, 2, 0).tobytes() == cell(other, 2, 0).tobytes()


def test_a_dataset_is_shown_whole(tmp_path: Path) -> None:
    for number in range(ACROSS + 1):
        Image.new("RGBA", (50, 50), (0, 200, 0, 255 * (number > 0))).save(tmp_path / f"{number:02}.png")
    sheet = dataset(tmp_path)
    greens = sum(count for count, colour in sheet.getcolors(1 << 12) if colour == (0, 200, 0))
    assert greens == ACROSS * 96 * 96
    save(sheet, tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as saved:
        assert saved.size == sheet.size


def test_checkpoints_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name, step in (("m", 40), ("m-000020", 20), ("m-000005", 5)):
        save_file({"x": torch.ones(1)}, tmp_path / "checkpoints" / f"{name}.safetensors", {"ss_steps": str(step)})
    assert [(step, path.name) for step, path in checkpoints(tmp_path)] == [
        (5, "m-000005.safetensors"),
        (20, "m-000020.safetensors"),
        (40, "m.safetensors"),
    ]
