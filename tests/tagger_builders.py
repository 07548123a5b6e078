"""Small taggers for tests: real ONNX models that answer by colour, so that anybody can work out their answers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 32
TAGS: tuple[tuple[str, int, tuple[float, float, float], float], ...] = (
    # name, category, weights of red, green and blue (0 to 1 each), bias; the score is their sigmoid
    ("general", 9, (0, 0, 0), 2.0),
    ("explicit", 9, (0, 0, 0), -2.0),
    ("1girl", 0, (0, 0, 0), 3.0),
    ("red_theme", 0, (8, -8, -8), 0.0),
    ("blue_theme", 0, (-8, -8, 8), 0.0),
    ("long_hair", 0, (2, 0, 0), -1.5),
    ("^_^", 0, (0, 3, 0), -1.0),
    ("saber_(fate)", 4, (4, -4, -4), 0.0),
    ("never_seen", 0, (0, 0, 0), -9.0),
)


def expected(red: float, green: float, blue: float) -> dict[str, float]:
    """What the tagger must say of a picture of one colour, each 0 to 1."""
    return {
        name: float(1 / (1 + np.exp(-(np.dot(weights, (red, green, blue)) + bias))))
        for name, _kind, weights, bias in TAGS
    }


def make_wd14(folder: Path, *, side: int | str = SIDE, batch: int | str = "batch", tags: Sequence[Any] = TAGS) -> Path:
    """A folder with ``model.onnx`` and ``selected_tags.csv`` as the WD taggers have them: NHWC, BGR, 0 to 255."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.array([row[2][::-1] for row in tags], np.float32).T / 255  # the model sees blue first
    save_model(folder / "model.onnx", weights, [row[3] for row in tags], [batch, side, side, 3])
    with (folder / "selected_tags.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["tag_id", "name", "category", "count"])
        rows.writerows([number, row[0], row[1], 1000 - number] for number, row in enumerate(tags))
    return folder


def save_model(
    path: Path,
    weights: np.ndarray,
    bias: Sequence[float],
    shape: Sequence[int | str],
    *,
    sigmoid: bool = True,
    inputs: int = 1,
) -> None:
    """A model that takes the mean colour of a picture, ``shape`` NHWC or NCHW, and gives a value for each column of
    ``weights`` (3, tags)."""
    from onnx import TensorProto, helper, numpy_helper, save

    axes = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["input_1:0", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
    ]
    output = "logits"
    if sigmoid:
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["predictions"]))
        output = "predictions"
    given = [helper.make_tensor_value_info("input_1:0", TensorProto.FLOAT, list(shape))]
    given += [helper.make_tensor_value_info(f"more_{n}", TensorProto.FLOAT, [1]) for n in range(1, inputs)]
    tags = weights.shape[1]
    graph = helper.make_graph(
        nodes,
        "colours",
        given,
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], tags])],
        [
            numpy_helper.from_array(np.array(axes, np.int64), "axes"),
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(np.array(bias, np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    save(model, str(path))


def make_images(folder: Path, colours: dict[str, Any], size: tuple[int, int] = (40, 40)) -> Path:
    """Pictures of one colour each; a name without an ending is a PNG."""
    for name, colour in colours.items():
        path = folder / (name if "." in name else f"{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA" if isinstance(colour, tuple) and len(colour) == 4 else "RGB", size, colour).save(path)
    return folder
