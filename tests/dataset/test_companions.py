"""Which files belong to an image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.dataset.companions import belongings, companions, owner_of, place_for


def test_captions_masks_and_caches_belong_to_their_image() -> None:
    names = {
        *("a.png", "a.txt", "a.caption", "a.wd14.txt", "a.json", "a-masklabel.png", "a.npz"),
        *("a_0512x0768_sd.npz", "a_te_outputs.npz", "ab.png", "ab.txt", "notes.txt", "a_other.txt"),
    }
    assert companions(["a.png"], names)["a.png"] == sorted(
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


def test_other_work_that_is_called_like_an_image_is_not_the_images() -> None:
    names = {"lora-tui.png", "lora-tui.toml", "lora-tui.safetensors", "photo.png", "photo.KRA", "photo.2024.zip"}
    names |= {"photo.desc", "photo.npz"}
    found = companions(["lora-tui.png", "photo.png"], names)
    assert found == {"lora-tui.png": [], "photo.png": ["photo.desc", "photo.npz"]}


def test_a_longer_name_keeps_its_own() -> None:
    names = {"a.png", "a.txt", "a.b.png", "a.b.txt"}
    assert companions(["a.png"], names) == {"a.png": ["a.txt"]}
    assert companions(["a.b.png"], names) == {"a.b.png": ["a.b.txt"]}
    assert owner_of("a.b.txt", {"a"}) == "a"


def test_what_two_images_share_belongs_to_neither() -> None:
    names = {"a.png", "a.jpg", "a.txt"}
    assert companions(["a.png"], names) == {"a.png": []}
    assert companions(["a.png", "a.jpg"], names) == {"a.png": ["a.txt"], "a.jpg": []}


def test_masks_in_folders_of_their_own_belong_to_their_image(tmp_path: Path) -> None:
    names = (
        "5_cat/a.png",
        "5_cat/a.txt",
        "5_cat/masks/a.png",
        "masks/5_cat/a.webp",
        "masks/a.png",
        "5_cat/masks/b.png",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    own = ["5_cat/a.txt", "5_cat/masks/a.png", "masks/5_cat/a.webp"]
    assert belongings(tmp_path, ["5_cat/a.png"]) == {"5_cat/a.png": own}
    places = [place_for(PurePosixPath("new"), "5_cat/a.png", name).as_posix() for name in own]
    assert places == ["new/a.txt", "new/masks/a.png", "new/masks/a.webp"]
    (tmp_path / "5_cat" / "a.jpg").touch()
    assert belongings(tmp_path, ["5_cat/a.png"]) == {"5_cat/a.png": []}


@given(st.sets(st.from_regex(r"[ab.]{1,4}\.(png|txt|caption)", fullmatch=True), max_size=12))
def test_no_file_belongs_to_two_images_and_no_image_to_another(names: set[str]) -> None:
    images = [name for name in names if name.endswith(".png")]
    owners: dict[str, str] = {}
    for image in images:
        for name in companions([image], names)[image]:
            assert not name.endswith(".png")
            assert name not in owners
            owners[name] = image
