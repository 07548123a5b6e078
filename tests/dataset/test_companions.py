"""Which files belong to an image."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.dataset.companions import companions


def test_captions_masks_and_caches_belong_to_their_image() -> None:
    names = {
        *("a.png", "a.txt", "a.caption", "a.wd14.txt", "a.json", "a-masklabel.png", "a.npz"),
        *("a_0512x0768_sd.npz", "a_te_outputs.npz", "ab.png", "ab.txt", "notes.txt", "a_other.txt"),
    }
    assert companions("a.png", names) == sorted(
        [
            "a.txt",
            "a.caption",
            "a.wd14.txt",
            "a.json",
            "a-masklabel.png",
            "a.npz",
            "a_0512x0768_sd.npz",
            "a_te_outputs.npz",
        ]
    )


def test_a_longer_name_keeps_its_own() -> None:
    names = {"a.png", "a.txt", "a.b.png", "a.b.txt"}
    assert companions("a.png", names) == ["a.txt"]
    assert companions("a.b.png", names) == ["a.b.txt"]


def test_what_two_images_share_belongs_to_neither() -> None:
    names = {"a.png", "a.jpg", "a.txt"}
    assert companions("a.png", names) == companions("a.jpg", names) == []


@given(st.sets(st.from_regex(r"[ab.]{1,4}\.(png|txt|caption)", fullmatch=True), max_size=12))
def test_no_file_belongs_to_two_images_and_no_image_to_another(names: set[str]) -> None:
    images = [name for name in names if name.endswith(".png")]
    owners: dict[str, str] = {}
    for image in images:
        for name in companions(image, names):
            assert not name.endswith(".png")
            assert name not in owners
            owners[name] = image
