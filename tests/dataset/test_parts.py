"""The parts of images that a person chose, for those who look at images without scanning the dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.dataset.parts import Parts
from lora_tui.errors import UserError


def test_a_part_counts_while_the_image_has_the_size_it_was_chosen_in(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png", "c.png"):
        Image.new("RGB", (80, 40)).save(tmp_path / name)
    crops = {name: Crop(Box(20, 0, 60, 40), Size(80, 40)) for name in ("a.png", "sub/b.png", "gone.png")}
    change_notes(tmp_path, lambda notes: notes.with_crops({**crops, "c.png": Crop(Box(0, 0, 5, 5), Size(10, 10))}))
    parts = Parts(tmp_path)
    assert parts.of("a.png") == parts.of("sub/b.png") == Box(20, 0, 60, 40)
    assert parts.shares_of("a.png") == (0.25, 0.0, 0.75, 1.0)
    assert parts.of("c.png") is parts.of("gone.png") is parts.of("other.png") is None


def test_notes_that_cannot_be_read_are_an_error_where_it_matters(tmp_path: Path) -> None:
    (tmp_path / ".lora-tui").mkdir()
    (tmp_path / ".lora-tui" / "dataset.toml").write_text("version = 9")
    with pytest.raises(UserError):
        Parts(tmp_path)
    assert Parts(tmp_path, forgiving=True).of("a.png") is None
