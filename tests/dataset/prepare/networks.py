"""Small ONNX models in place of the real ones: what is red is the subject, or a face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def _save(
    path: Path, nodes: list[Any], constants: dict[str, Any], entry: list[int], outputs: dict[str, list[Any]]
) -> Path:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, entry)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def subject_model(path: Path, side: int = 320) -> Path:
    """Shaped as U2-Net: red minus green of the normalised picture."""
    weights = np.array([1.0, -1.0, 0.0], np.float32).reshape(1, 3, 1, 1)
    nodes = [helper.make_node("Conv", ["input", "weights"], ["red"]), helper.make_node("Relu", ["red"], ["output"])]
    return _save(path, nodes, {"weights": weights}, [1, 3, side, side], {"output": [1, 1, side, side]})


def face_model(path: Path, side: int = 320) -> Path:
    """Shaped as YuNet: a face of four cells across wherever a cell of 16 px is red throughout."""
    redness = np.array([0.0, -1 / 255, 1 / 255], np.float32).reshape(1, 3, 1, 1)  # of BGR, 0 to 255
    nodes = [helper.make_node("Conv", ["input", "redness"], ["red"])]
    constants: dict[str, Any] = {"redness": redness, "none": np.zeros(1, np.float32)}
    outputs: dict[str, list[Any]] = {}
    for stride in (8, 16, 32):
        cells = (side // stride) ** 2
        pooled, kernel = f"pooled_{stride}", [stride, stride]
        nodes.append(helper.make_node("AveragePool", ["red"], [pooled], kernel_shape=kernel, strides=kernel))
        constants[f"shape_{stride}"] = np.array([1, cells, 1], np.int64)
        constants[f"weight_{stride}"] = np.array([1.0 if stride == 16 else 0.0], np.float32)
        nodes.append(helper.make_node("Reshape", [pooled, f"shape_{stride}"], [f"flat_{stride}"]))
        for kind in ("cls", "obj"):
            nodes.append(helper.make_node("Mul", [f"flat_{stride}", f"weight_{stride}"], [f"{kind}_{stride}"]))
            outputs[f"{kind}_{stride}"] = [1, cells, 1]
        box = np.tile(np.array([0.5, 0.5, np.log(4), np.log(4)], np.float32), (1, cells, 1))
        constants[f"boxes_{stride}"] = box.astype(np.float32)
        nodes.append(helper.make_node("Add", [f"boxes_{stride}", "none"], [f"bbox_{stride}"]))
        outputs[f"bbox_{stride}"] = [1, cells, 4]
    return _save(path, nodes, constants, [1, 3, side, side], outputs)
