"""The plan says what will be made of each image, from names and headers alone, and refuses what cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_tui.dataset.prepare.carry import carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import Plan, make_plan, plan_one, plan_scan
from lora_tui.dataset.scan import scan_folder
from lora_tui.errors import UserError

from .conftest import hashes

MakeImage = Callable[..., Path]


def sizes(plan: Plan) -> dict[str, str]:
    return {piece.name: str(piece.fitted.size) for item in plan.items for piece in item.pieces}


def test_a_plan_names_every_file_and_writes_nothing(tmp_path: Path, mixed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    plan = make_plan(mixed, Options(size=128, flips=True, split=2.0))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    notes = {item.key.rpartition("/")[2]: item.notes for item in plan.items}
    assert notes["alpha.png"] == ("alpha",)
    assert notes["turned.jpg"] == ("turned",)
    assert notes["moving.gif"] == ("animated",)
    assert notes["grey.bmp"] == ("split",)
    assert sizes(plan)["plain/grey_1.png"] == "128x128"
    assert {name for name in sizes(plan) if "grey" in name} == {
        f"plain/grey_{number}{flip}.png" for number in (1, 2, 3, 4) for flip in ("", "_flip")
    }
    assert plan.files == len(sizes(plan))


def test_what_is_planned_is_what_is_written(tmp_path: Path, mixed: Path) -> None:
    plan = make_plan(mixed, Options(size=128, flips=True, split=2.0, name="{number:03}_{width}x{height}_{stem}"))
    carry_out(plan, tmp_path / "dst", workers=2)
    planned = sorted(name for item in plan.items for name in item.names)
    assert planned == sorted(hashes(tmp_path / "dst"))
    for name, size in sizes(plan).items():
        with Image.open(tmp_path / "dst" / name) as picture:
            assert f"{picture.width}x{picture.height}" == size


def test_the_disk_needed_is_about_right(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    import skimage.data

    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(skimage.data, name)()).save(tmp_path / f"{name}.png")
    for form in ("png", "jpeg", "webp"):
        plan = make_plan(tmp_path, Options(size=256, format=form))
        carry_out(plan, tmp_path.parent / form, workers=1)
        written = sum((tmp_path.parent / form / name).stat().st_size for name in sizes(plan))
        assert 0.5 < plan.disk_bytes / written < 2


def test_links_that_lead_in_a_circle_give_each_image_once(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(tmp_path / "a" / "b" / "x.png")
    (tmp_path / "a" / "b" / "up").symlink_to("../..")
    (tmp_path / "self").symlink_to("self")
    assert [item.key for item in make_plan(tmp_path, Options(size=64, small="enlarge")).items] == ["a/b/x.png"]


def test_two_images_never_get_one_name(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("a.png", "a.jpg", "sub/a.png", "sub/b.png"):
        make_image(f"src/{name}", 128, 128, caption=name)
    plan = make_plan(tmp_path / "src", Options(size=128, folders="flat"))
    assert [item.key for item in plan.items] == ["a.jpg", "sub/b.png"]
    assert {problem.path.relative_to(tmp_path / "src").as_posix(): problem.code for problem in plan.refused} == {
        "a.png": "prepare.same_name", "sub/a.png": "prepare.same_name",
    }  # fmt: skip
    assert "a.jpg" in plan.refused[0].message
    assert plan.refused[0].remedy
    assert make_plan(tmp_path / "src", Options(size=128, folders="flat", name="{folder}_{number}")).refused == ()


def test_a_piece_and_an_image_do_not_share_a_name(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 400, 128)
    make_image("src/a_1.png", 128, 128)
    plan = make_plan(tmp_path / "src", Options(size=128, split=2.0))
    assert [problem.path.name for problem in plan.refused] == ["a_1.png"]


def test_a_name_that_no_file_may_have_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(f"src/{'x' * 240}.png", 128, 128)
    make_image("src/good.png", 128, 128)
    plan = make_plan(tmp_path / "src", Options(size=128, name="{stem}" + "y" * 60))
    assert [problem.code for problem in plan.refused] == ["prepare.name"]
    assert len(plan.items) == 1


def test_small_images_are_kept_enlarged_or_left_out(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 100, 200)
    make_image("src/b.png", 30, 30)
    make_image("src/c.png", 128, 200)
    kept, large, left = (
        make_plan(tmp_path / "src", Options(size=128, small=choice)) for choice in ("keep", "enlarge", "leave-out")
    )
    assert sizes(kept) == {"a.png": "64x192", "c.png": "128x192"}
    assert [(problem.path.name, problem.code) for problem in kept.refused] == [("b.png", "image.small")]
    assert [item.notes for item in kept.items] == [("small",), ()]
    assert sizes(large) == {"a.png": "128x256", "b.png": "128x128", "c.png": "128x192"}
    assert large.items[0].notes == ("enlarged",)
    assert sizes(left) == {"c.png": "128x192"}
    assert [problem.path.name for problem in left.left_out] == ["a.png", "b.png"]


def test_an_image_of_endless_length_is_refused_and_not_split(tmp_path: Path) -> None:
    Image.new("RGB", (60_000, 8)).save(tmp_path / "a.png")
    plan = make_plan(tmp_path, Options(size=64, split=2.0, small="enlarge"))
    assert [problem.code for problem in plan.refused] == ["prepare.long"]


def test_a_plan_can_be_stopped_and_tells_how_far_it_is(tmp_path: Path, mixed: Path) -> None:
    told: list[int] = []
    assert make_plan(mixed, Options(), on_progress=told.append).complete
    assert told[-1] == 10
    assert not make_plan(mixed, Options(), should_stop=lambda: True).complete


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"masks": "/nowhere"}, "prepare.masks"),
        ({"remove_background": "/nowhere/u2net.onnx"}, "prepare.model"),
        ({"faces": "/nowhere/yunet.onnx"}, "prepare.model"),
        ({"size": 3}, "prepare.option"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_read(tmp_path: Path, options: dict[str, object], code: str) -> None:
    with pytest.raises(UserError) as raised:
        make_plan(tmp_path, Options(**options))  # type: ignore[arg-type]
    assert raised.value.code == code


def test_images_that_were_read_once_are_planned_again_and_again(mixed: Path) -> None:
    scan = scan_folder(mixed)
    for options in (Options(size=128), Options(size=64, shape="square", flips=True), Options(fit="pad")):
        assert plan_scan(scan, mixed, options) == make_plan(mixed, options)
    with pytest.raises(UserError):
        plan_scan(scan, mixed, Options(size=3))


def test_one_image_is_planned_as_all_are(tmp_path: Path, mixed: Path) -> None:
    options = Options(size=128, flips=True)
    scan = scan_folder(mixed)
    whole = {item.key: item for item in make_plan(mixed, options).items}
    for image in scan.images:
        item = plan_one(image, mixed, options)
        assert (item.pieces, item.copies, item.notes) == (
            whole[item.key].pieces, whole[item.key].copies, whole[item.key].notes,
        )  # fmt: skip
    with pytest.raises(UserError) as raised:
        plan_one(scan.images[0], mixed, Options(size=4096, small="leave-out"))
    assert raised.value.code == "image.small"


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not name.startswith(".")
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(names, min_size=1, max_size=5, unique=True), st.booleans())
def test_any_name_that_a_file_can_have_is_planned_into_the_destination(
    tmp_path_factory: pytest.TempPathFactory, stems: list[str], flat: bool
) -> None:
    source = tmp_path_factory.mktemp("src")
    data = (b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR" + (128).to_bytes(4, "big") * 2
            + b"\x08\x02\0\0\0" + bytes(4) + bytes(4) + b"IDAT" + bytes(4) + bytes(4) + b"IEND\xaeB`\x82")  # fmt: skip
    for stem in stems:
        (source / f"{stem}.png").write_bytes(data)
    plan = make_plan(source, Options(size=128, folders="flat" if flat else "keep", flips=True))
    planned = [name for item in plan.items for name in item.names]
    assert len(planned) == len(set(planned))
    for name in planned:
        path = Path(os.path.normpath(tmp_path_factory.getbasetemp() / "dst" / name))
        assert path.parent == tmp_path_factory.getbasetemp() / "dst"
    assert len(plan.items) + len(plan.refused) == len(stems)
