"""ONNX taggers: pictures become numbers as described, scores are those of onnxruntime, other models are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image
from tagger_builders import SIDE, TAGS, expected, make_wd14, save_model

from lora_tui.errors import UserError
from lora_tui.tagging.models import resolve
from lora_tui.tagging.onnx_tagger import OnnxTagger, open_tagger
from lora_tui.tagging.pipeline import Item, Listed, answers
from lora_tui.tagging.request import ModelChoice, Request, choice
from lora_tui.tagging.rows import FLOOR, Row
from lora_tui.tagging.tagger import Device

CPU = Device("cpu", threads=1)


def opened(name: str | Path, device: Device = CPU) -> OnnxTagger:
    wanted = choice(str(name))
    return open_tagger(resolve(wanted, Request((wanted,))).settings, device)


def scores(tagger: OnnxTagger, *paths: Path) -> list[dict[str, float]]:
    rows = tagger.answer([tagger.prepare(path, "") for path in paths])
    return [{TAGS[place][0]: score for place, score in zip(row.places, row.scores, strict=True)} for row in rows]


def picture(path: Path, colour: Any, size: tuple[int, int] = (40, 40), mode: str = "RGB", **options: Any) -> Path:
    Image.new(mode, size, colour).save(path, **options)
    return path


def close(given: dict[str, float], red: float, green: float, blue: float) -> bool:
    wanted = {name: score for name, score in expected(red, green, blue).items() if score >= FLOOR}
    return given == pytest.approx(wanted, abs=0.002)


def test_colours_come_in_the_order_of_wd_taggers(tmp_path: Path) -> None:
    tagger = opened(make_wd14(tmp_path / "wd"))
    red, blue = scores(tagger, picture(tmp_path / "r.png", "red"), picture(tmp_path / "b.jpg", "blue", quality=100))
    assert close(red, 1, 0, 0)
    assert red["red_theme"] > 0.99
    assert blue["blue_theme"] > 0.99
    assert "never_seen" not in red  # too unlikely to be kept


def test_scores_are_those_of_bare_onnxruntime(tmp_path: Path) -> None:
    """A picture with structure, prepared here by hand as the makers of the WD taggers do it."""
    folder = make_wd14(tmp_path / "wd")
    noise = np.random.default_rng(1).integers(0, 256, (30, 60, 3), np.uint8)
    Image.fromarray(noise).resize((300, 150)).save(tmp_path / "noise.png")
    image = Image.open(tmp_path / "noise.png")
    whole = Image.new("RGB", (300, 300), "white")
    whole.paste(image, (0, 75))
    small = np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)[None, :, :, ::-1]
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    bare = session.run(None, {"input_1:0": small})[0][0]
    (ours,) = scores(opened(folder), tmp_path / "noise.png")
    assert ours == pytest.approx(
        {row[0]: float(score) for row, score in zip(TAGS, bare, strict=True) if score >= FLOOR}, abs=0.003
    )


@pytest.mark.parametrize(
    ("colour", "size", "mode", "seen"),
    [
        ((255, 0, 0, 0), (40, 40), "RGBA", (1, 1, 1)),  # transparent, on white
        ((255, 0, 0), (10, 40), "RGB", (1, 0.75, 0.75)),  # a quarter red, the rest white
        (0, (40, 40), "L", (0, 0, 0)),
    ],
)
def test_pictures_are_flattened_and_padded_with_white(tmp_path: Path, colour, size, mode, seen) -> None:
    (found,) = scores(opened(make_wd14(tmp_path / "wd")), picture(tmp_path / "a.png", colour, size, mode))
    assert close(found, *seen)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """A picture that lies on its side is padded at its real sides; the colour alone cannot tell, its pixels can."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "a.jpg", "red", (40, 10), exif=exif)
    tagger = opened(make_wd14(tmp_path / "wd"))
    pixels = tagger.prepare(tmp_path / "a.jpg", "")
    assert tuple(pixels[0, SIDE // 2]) == pytest.approx((0, 0, 254), abs=3)
    assert tuple(pixels[SIDE // 2, 0]) == (255, 255, 255)


@pytest.mark.parametrize("batch", [1, 3, "batch"])
def test_batches_fixed_and_free(tmp_path: Path, batch: int | str) -> None:
    tagger = opened(make_wd14(tmp_path / "wd", batch=batch), Device("cpu", 4, 1))
    assert tagger.batch == (4 if batch == "batch" else batch)
    paths = [picture(tmp_path / f"{n}.png", colour) for n, colour in enumerate(["red", "blue", "lime", "red", "white"])]
    found = scores(tagger, *paths)
    assert close(found[1], 0, 0, 1)
    assert close(found[2], 0, 1, 0)
    assert found[0] == found[3]
    assert len(found) == 5


def test_a_model_of_free_size_sees_the_usual_one(tmp_path: Path) -> None:
    tagger = opened(make_wd14(tmp_path / "wd", side="side"))
    assert tagger.prepare(picture(tmp_path / "a.png", "red"), "").shape == (448, 448, 3)


def described(folder: Path, text: str, **options: Any) -> Path:
    """A tagger with its description; weights see red, green, blue in this order."""
    folder.mkdir(exist_ok=True)
    colours = options["shape"][3] if options["shape"][3] in (1, 4) else 3
    weights = np.resize(np.array([row[2] for row in TAGS], np.float32).T, (colours, len(TAGS)))
    save_model(folder / "m.onnx", weights, [row[3] for row in TAGS], **options)
    (folder / "tags.txt").write_text("\n".join(row[0] for row in TAGS))
    (folder / "deep.toml").write_text('model = "m.onnx"\ntags = "tags.txt"\n' + text)
    return folder / "deep.toml"


@pytest.mark.parametrize(
    ("shape", "text", "sigmoid"),
    [
        (["batch", 24, 24, 3], "", True),
        (["batch", 3, 24, 24], "", True),
        (["batch", 3, 24, 24], 'layout = "NCHW"\nsize = 24', True),
        (["batch", 3, "h", "w"], "size = [16, 24]\nsigmoid = true\nfit = 'stretch'", False),
        ([1, 24, 24, 3], "mean = [0.5, 0.5, 0.5]\nstd = [1, 1, 1]", True),
    ],
)
def test_described_taggers(tmp_path: Path, shape: list[int | str], text: str, sigmoid: bool) -> None:
    tagger = opened(described(tmp_path / "t", text, shape=shape, sigmoid=sigmoid))
    red, blue = picture(tmp_path / "r.png", "red"), picture(tmp_path / "b.png", "blue")
    shift = 0.5 if "mean" in text else 0.0
    assert close(scores(tagger, red)[0], 1 - shift, -shift, -shift)
    assert close(scores(tagger, blue)[0], -shift, -shift, 1 - shift)


@pytest.mark.parametrize(("fit", "seen"), [("stretch", (1, 0, 0)), ("crop", (1, 0, 0)), ("pad", (1, 0.75, 0.75))])
def test_how_a_picture_is_fitted(tmp_path: Path, fit: str, seen: tuple[float, float, float]) -> None:
    tagger = opened(described(tmp_path / "t", f'fit = "{fit}"', shape=["batch", 24, 24, 3]))
    assert close(scores(tagger, picture(tmp_path / "a.png", "red", (40, 10)))[0], *seen)


@pytest.mark.parametrize(
    ("options", "text", "said"),
    [
        ({"shape": ["b", 24, 24, 3], "inputs": 2}, "", "2 inputs"),
        ({"shape": ["b", 24, 24, 4]}, "", "4 colours"),
        ({"shape": ["b", 24, 24, 3]}, 'output = "nothing"', "no output nothing"),
        ({"shape": ["b", 24, 24, 3]}, "size = 32", "24 x 24"),
        ({"shape": ["b", 24, 9000, 3]}, "", "larger than"),
        ({"shape": ["b", 24, 24, 3], "sigmoid": False}, "", "between 0 and 1"),
    ],
)
def test_what_is_no_such_tagger(tmp_path: Path, options: dict[str, Any], text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        scores(opened(described(tmp_path / "t", text, **options)), picture(tmp_path / "a.png", "red"))


def test_other_ranks_are_no_pictures(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", len(TAGS)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", len(TAGS)])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    folder = make_wd14(tmp_path / "wd")
    save(model, str(folder / "model.onnx"))
    with pytest.raises(UserError, match="2 dimensions"):
        opened(folder)


def test_a_list_of_another_length_is_refused_before_the_first_picture(tmp_path: Path) -> None:
    folder = make_wd14(tmp_path / "wd")
    with (folder / "selected_tags.csv").open("a") as file:
        file.write("99,one_more,0,1\n")
    with pytest.raises(UserError) as caught:
        opened(folder)
    assert caught.value.code == "tagger.mismatch"
    assert "9 values" in caught.value.message
    assert "10 tags" in caught.value.message


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12\x05hello" * 100])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    folder = make_wd14(tmp_path / "wd")
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match="no ONNX model") as caught:
        opened(folder)
    assert str(folder) in caught.value.place


def test_a_model_that_is_cut_short(tmp_path: Path) -> None:
    folder = make_wd14(tmp_path / "wd")
    raw = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match="no ONNX model"):
        opened(folder)


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        opened(make_wd14(tmp_path / "wd"), Device("cuda"))
        return
    with pytest.raises(UserError, match="--device cpu"):
        opened(make_wd14(tmp_path / "wd"), Device("cuda"))


def test_images_that_cannot_be_read_are_named_and_the_others_answered(tmp_path: Path) -> None:
    tagger = opened(make_wd14(tmp_path / "wd"))
    good = picture(tmp_path / "good.png", "red")
    cut = tmp_path / "cut.png"
    Image.effect_noise((200, 200), 80).save(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    bomb = tmp_path / "bomb.png"
    raw = bytearray(good.read_bytes())
    raw[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb.write_bytes(raw)
    failed: dict[str, str] = {}
    items = Listed(Item(n, path) for n, path in enumerate([good, cut, bomb, tmp_path / "none.png", good]))
    found = list(answers(tagger, items, lambda item, error: failed.update({item.path.name: error.code})))
    assert sorted(item.number for item, _row in found) == [0, 4]
    assert failed == {"cut.png": "image.damaged", "bomb.png": "image.too_large", "none.png": "image.unreadable"}
    assert all(isinstance(row, Row) for _item, row in found)


@pytest.mark.parametrize(
    ("lacking", "code"), [("selected_tags.csv", "tagger.incomplete"), ("model.onnx", "tagger.incomplete")]
)
@pytest.mark.parametrize("kind", ["wd14", "auto"])
def test_a_folder_that_lacks_a_file(tmp_path: Path, lacking: str, code: str, kind: Any) -> None:
    folder = make_wd14(tmp_path / "wd")
    (folder / lacking).unlink()
    with pytest.raises(UserError, match=lacking) as caught:
        resolve(ModelChoice(kind, str(folder)), Request((ModelChoice(),)))
    assert caught.value.code == code
