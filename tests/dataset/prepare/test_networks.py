"""Background removal through rembg and face detection, with small models that know red from other colours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from lora_tui.dataset.prepare.faces import open_detector
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.parts import check_parts
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.prepare.preview import preview
from lora_tui.errors import UserError

from .conftest import prepare
from .networks import face_model, subject_model


def scene(at: int, colour: tuple[int, int, int] = (240, 20, 20)) -> Image.Image:
    """A disc of 80 px at ``at`` before stripes that stand out more than it."""
    picture = Image.new("RGB", (512, 256), (30, 60, 30))
    draw = ImageDraw.Draw(picture)
    for x in range(0, 512, 16):
        draw.rectangle((x, 0, x + 7, 255), fill=(40, 200, 220))
    draw.ellipse((at - 40, 88, at + 40, 168), fill=colour)
    return picture


def test_backgrounds_are_removed_and_crops_follow_the_subject(tmp_path: Path) -> None:
    """One process with rembg for all of it: its import takes seconds."""
    model = str(subject_model(tmp_path / "u2net.onnx"))
    (tmp_path / "src").mkdir()
    for name, at in (("left", 90), ("right", 420)):
        scene(at).save(tmp_path / "src" / f"{name}.png")
    options = {"size": 256, "shape": "square", "at": "subject", "background": "#204060", "remove_background": model}
    outcome = prepare(tmp_path / "src", tmp_path / "dst", **options)
    assert outcome.failed == ()
    for name in ("left", "right"):
        with Image.open(tmp_path / "dst" / f"{name}.png") as picture:
            colours = {colour: many for many, colour in picture.getcolors(1 << 16) or ()}
            ground = colours[(0x20, 0x40, 0x60)]
            red = sum(many for (red, green, _blue), many in colours.items() if red > 200 > 80 > green)
            assert ground > 0.85 * (256 * 256 - 5027), "the stripes are gone"
            assert red > 0.9 * 5027, "the disc is whole: 5027 px"


def test_nothing_is_compiled_before_the_first_background_is_removed(tmp_path: Path) -> None:
    """What rembg compiles when it is used for the first time, for a minute, is not loaded."""
    model = subject_model(tmp_path / "u2net.onnx")
    program = (
        "import sys; from PIL import Image; from lora_tui.dataset.prepare.background import open_remover\n"
        f"mask = open_remover({str(model)!r})(Image.new('RGB', (64, 32), (240, 20, 20)))\n"
        "print(mask.size, [name for name in ('numba', 'pymatting', 'skimage') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "(64, 32) []\n"


def test_a_detector_finds_faces_where_they_are(tmp_path: Path) -> None:
    detect = open_detector(str(face_model(tmp_path / "yunet.onnx")))
    (face,) = [one for one in detect(scene(400)) if one.score > 0.6]
    assert face.left < 400 < face.right
    assert face.top < 128 < face.bottom
    assert detect(scene(400, (20, 20, 240))) == []


def test_crops_keep_the_faces_that_were_found(tmp_path: Path) -> None:
    model = str(face_model(tmp_path / "yunet.onnx"))
    (tmp_path / "src").mkdir()
    for at in (60, 450):
        scene(at).save(tmp_path / "src" / f"{at}.png")
    options = Options(size=256, shape="square", at="subject", faces=model)
    prepare(tmp_path / "src", tmp_path / "dst", **options.as_dict())
    for at in (60, 450):
        with Image.open(tmp_path / "dst" / f"{at}.png") as picture:
            red = sum(many for many, (red, green, _blue) in picture.getcolors(1 << 16) or () if red > 200 > 80 > green)
            assert red > 0.9 * 5027
    plan = make_plan(tmp_path / "src", options)
    shown = preview(plan.items[0], options)
    with Image.open(tmp_path / "dst" / plan.items[0].pieces[0].name) as written:
        assert shown.after[0].tobytes() == written.tobytes()
    assert shown.boxes[0][2] - shown.boxes[0][0] == pytest.approx(256)


def test_a_file_that_is_no_such_model_is_named_before_any_image(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    scene(60).save(tmp_path / "src" / "a.png")
    wrong = subject_model(tmp_path / "other.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    for model in (wrong, tmp_path / "broken.onnx"):
        with pytest.raises(UserError) as raised:
            prepare(tmp_path / "src", tmp_path / f"dst-{model.stem}", size=128, faces=str(model))
        assert (raised.value.code, raised.value.place) == ("prepare.model", str(model))
        assert raised.value.remedy


@pytest.mark.parametrize(
    ("options", "library"), [({"remove_background": "u2net"}, "rembg"), ({"faces": __file__}, "onnxruntime")]
)
def test_a_missing_extra_is_named_with_what_to_install(options: dict[str, str], library: str) -> None:
    """As on a machine that does not have the library."""
    program = (
        "import sys, importlib.util as u; from lora_tui.dataset.prepare import parts; "
        "from lora_tui.dataset.prepare.options import Options; from lora_tui.errors import UserError\n"
        f"found = u.find_spec\nparts.find_spec = lambda name: None if name == {library!r} else found(name)\n"
        f"try: parts.check_parts(Options(**{options!r}))\n"
        "except UserError as error: print(error.code, error.remedy)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.startswith("prepare.extra ")
    assert "'lora-tui[" in told


def test_a_model_by_name_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rembg would download it; here the person is told how to."""
    monkeypatch.setenv("REMBG_HOME", str(tmp_path / "rembg"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "u2net"))
    check_parts(Options(remove_background="u2net"))
    (tmp_path / "src").mkdir()
    scene(60).save(tmp_path / "src" / "a.png")
    for name, said in (("u2net", "rembg d u2net"), ("no-such-model", "u2netp")):
        with pytest.raises(UserError, match=said) as raised:
            prepare(tmp_path / "src", tmp_path / f"dst-{name}", size=128, remove_background=name)
        assert raised.value.code == "prepare.model"
    assert not (tmp_path / "rembg").exists()
    assert not (tmp_path / "u2net").exists()
