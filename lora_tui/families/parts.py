"""The files that hold the parts of a model folder, found as its libraries find them. Knows no torch.

A folder in diffusers' layout has a folder a part. Its weights are one file, or shards that an index lists; each also
exists in a half-precision variant. Everything is judged by names and headers, so that what is missing or torn is
named before anything large is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.places import exists, is_file
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, read_header

DIFFUSERS_STEM, TRANSFORMERS_STEM = "diffusion_pytorch_model", "model"
"""What the weights of a part are called, by the library that loads it."""
FACTORS = (".scale_weight", ".weight_scale")
"""What files with scaled weights call the factor of a layer's weight: ComfyUI's two ways."""
REMARKS = ("scaled_fp8", "comfy_quant", "scale_input", "input_scale")
"""Tensors that say how weights are stored or what activations are scaled by; no weights themselves."""
WHOLE_NUMBERS = ("BOOL", "I8", "I16", "U16", "I32", "U32", "I64", "U64")
"""Types of which no network's weights are."""


@dataclass(frozen=True)
class Weights:
    """The files of a part's weights, and the index that lists them; none when there is one file alone."""

    files: tuple[Path, ...]
    index: Path | None = None


def missing(name: str, model: Path) -> UserError:
    """The error for a ``model`` folder that lacks the file ``name``."""
    return UserError(
        _("the model {model} is incomplete: {file} is missing.").format(
            model=plain(model.name), file=plain(name, limit=200)
        ),
        place=plain(str(model)),
        remedy=_("Fetch or copy the model again, with all its files, or choose another."),
        code="model.incomplete",
    )


def incomplete(count: int, name: str, place: str) -> UserError:
    """The error for a model that lacks ``count`` tensors, ``name`` among them."""
    return UserError(
        _("{count} tensors are missing, {name} for one.").format(count=count, name=plain(name)),
        place=place,
        remedy=_("The file is incomplete or of another family."),
        code="model.incomplete",
    )


def need(model: Path, *names: str) -> None:
    """Refuse a ``model`` folder in which one of the files ``names`` is missing.

    Raises:
        UserError: ``model.incomplete``.
    """
    for name in names:
        if not is_file(model / name):
            raise missing(name, model)


def weights_of(model: Path, part: str, stem: str, *, pickles: bool = False) -> Weights:
    """The ``.safetensors`` files that hold ``part``, a folder of ``model``.

    Those in half precision count where there are no others, as for the loader. With ``pickles``, weights that are
    only pickled are no files at all: nothing can be told of them beforehand.

    Raises:
        UserError: there are none, only pickled ones (``model.pickle``), or a shard is missing.
    """
    folder = model / part
    names = [path.name for path in folder.glob("*.safetensors")]
    half = names and all(".fp16." in name or ".fp16-" in name for name in names)
    single = folder / (f"{stem}.fp16.safetensors" if half else f"{stem}.safetensors")
    index = folder / (f"{stem}.safetensors.index.fp16.json" if half else f"{stem}.safetensors.index.json")
    if is_file(index):
        return Weights(_shards(index, model), index)
    if is_file(single):
        return Weights((single,))
    if not any(folder.glob("*.bin")):
        raise missing(_relative(single, model), model)
    if pickles:
        return Weights(())
    raise UserError(
        _("{part} has no .safetensors weights.").format(part=plain(folder.name)),
        place=plain(str(folder)),
        remedy=_("Convert the folder with diffusers, or use a single .safetensors file."),
        code="model.pickle",
    )


def deciding_files(model: Path, part: str, stem: str, *, pickles: bool = False) -> tuple[Path, ...]:
    """All files that decide what ``part`` of a folder is: its weights and its configuration; none for pickled weights.

    Raises:
        UserError: as :func:`weights_of`.
    """
    weights = weights_of(model, part, stem, pickles=pickles).files
    return (*weights, model / part / "config.json") if weights else ()


def tensors_of(weights: Weights, model: Path) -> dict[str, TensorInfo]:
    """All tensors of the ``weights`` by name, from the headers of their files.

    Raises:
        UserError: a file cannot be read, is torn or damaged; the message begins with its place in ``model``. Or its
            weights are packed (``model.packed``).
    """
    found: dict[str, TensorInfo] = {}
    for file in weights.files:
        try:
            tensors = read_header(file).tensors
            refuse_packed(tensors, str(file))
        except UserError as error:
            message = f"{plain(_relative(file, model))}: {error.message}"
            raise UserError(message, place=plain(str(model)), remedy=error.remedy, code=error.code) from error
        found |= tensors
    return found


def need_tensors(wanted: Iterable[str], there: Iterable[str], place: str) -> None:
    """Refuse weights that lack one of the ``wanted`` tensors; a prefix ``text_model.`` is no difference.

    Raises:
        UserError: ``model.incomplete``.
    """
    known = {name.removeprefix("text_model.") for name in there}
    gaps = [name for name in wanted if name.removeprefix("text_model.") not in known]
    if gaps:
        raise incomplete(len(gaps), gaps[0], place)


def is_weight(name: str) -> bool:
    """Whether the tensor called ``name`` is one of the network's, rather than a remark on how they are stored."""
    return not name.endswith((*FACTORS, *REMARKS))


def refuse_packed(tensors: Mapping[str, TensorInfo], place: str) -> None:
    """Refuse a file whose weights are packed in another way than numbers with a factor for a layer or a row.

    Raises:
        UserError: ``model.packed``.
    """
    by_bitsandbytes = any(name.endswith((".absmax", ".quant_map")) for name in tensors)
    odd = next((name for name, info in tensors.items() if _oddly_packed(name, info, tensors)), "")
    if not by_bitsandbytes and not odd:
        return
    raise UserError(
        _("its weights are packed into 4 bits by bitsandbytes, which is not read here.")
        if by_bitsandbytes
        else _("its weights are packed in a way that is not read here ({name}).").format(name=plain(odd)),
        place=place,
        remedy=_("Use the model in bf16 or fp8; memory.base_weights packs it here."),
        code="model.packed",
    )


def _oddly_packed(name: str, info: TensorInfo, tensors: Mapping[str, TensorInfo]) -> bool:
    """Bytes that hold several numbers, whole numbers without a factor that makes weights of them, or a factor that is
    one neither for the whole layer nor for each of its rows."""
    if name.endswith(".weight"):
        scaled = any(name.removesuffix(".weight") + factor in tensors for factor in FACTORS)
        return info.dtype == "U8" or (info.dtype in WHOLE_NUMBERS and not scaled)
    ending = next((ending for ending in FACTORS if name.endswith(ending)), None)
    weight = tensors.get(name.removesuffix(ending) + ".weight") if ending else None
    return weight is not None and math.prod(info.shape) not in (1, weight.shape[0] if weight.shape else 1)


def stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a model's files: another when one of them changed. Of a folder two levels count."""
    try:
        if not path.is_dir():
            files = [path]
        else:
            inside = list(path.iterdir())
            files = inside + [file for folder in inside if folder.is_dir() for file in folder.iterdir()]
        facts = ((str(file), file.stat()) for file in files if exists(file))
        return tuple(sorted((name, fact.st_size, fact.st_mtime_ns) for name, fact in facts))
    except OSError:
        return ()


def _shards(index: Path, model: Path) -> tuple[Path, ...]:
    """The files that an index names, in the order of their names."""
    try:
        content: Any = json.loads(index.read_bytes())
        names = sorted({str(name) for name in content["weight_map"].values()})
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise UserError(
            _("{file} is no list of weights.").format(file=plain(_relative(index, model))),
            place=plain(str(model)),
            remedy=_("The model folder is damaged; fetch it again."),
            code="model.folder",
        ) from None
    for name in names:
        if not is_file(index.parent / name):
            raise missing(_relative(index.parent, model) + f"/{name}", model)
    return tuple(index.parent / name for name in names)


def _relative(file: Path, model: Path) -> str:
    return file.relative_to(model).as_posix()
