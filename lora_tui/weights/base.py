"""Base models layer by layer, wherever their numbers lie: which rows of which tensor of which file are a layer's.

A folder in diffusers' layout, or one file in the makers', ComfyUI's or diffusers' names. Layers are named as everywhere
here: (part, dotted path) of diffusers' model. From headers alone; knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families import FAMILIES, facts_for, layout_of
from lora_tui.families.parts import DIFFUSERS_STEM, TRANSFORMERS_STEM, is_weight, refuse_packed, weights_of
from lora_tui.families.separate.places import DIFFUSERS, PREFIXES, bare, parts_inside
from lora_tui.families.source import gguf_error
from lora_tui.families.unet.encoders import FUSED, Encoder
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.shape import UNET_PREFIX, shape_of_tensors
from lora_tui.families.unet.tensors import unet_tensors
from lora_tui.text import _, plain
from lora_tui.weights.header.format import Header, TensorInfo, read_header
from lora_tui.weights.header.models import UNKNOWN, identify_model
from lora_tui.weights.header.pickles import pickle_error
from lora_tui.weights.names.chroma_original import APPROXIMATOR, approximator_path
from lora_tui.weights.names.flux_original import split_name
from lora_tui.weights.names.original import Piece
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.zimage_original import OUTER
from lora_tui.weights.places import Place

INDEX = "model_index.json"
DIFFUSERS_UNET = "down_blocks.0."
ENCODER_LAYERS = (
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
    *("mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2"),
)


@dataclass(frozen=True)
class Rows:
    """A layer's ``weight`` or ``bias``: the rows ``start`` to ``stop`` of a tensor in a file.

    ``turned``: the file has the two halves of them the other way about.
    """

    place: Place
    kind: str
    start: int
    stop: int
    turned: bool = False


@dataclass(frozen=True)
class BaseFile:
    """One file of a base model.

    Attributes:
        part: the folder that it lies in, of a folder in diffusers' layout.
        holds: the tensors with layers that a LoRA can have, and the layers in each.
    """

    path: Path
    header: Header
    part: str = ""
    holds: Mapping[str, tuple[Rows, ...]] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, TensorInfo]:
        return self.header.tensors


@dataclass(frozen=True)
class Where:
    """Where a layer's numbers lie."""

    file: BaseFile
    name: str
    rows: Rows

    @property
    def info(self) -> TensorInfo:
        return self.file.tensors[self.name]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows.stop - self.rows.start, *self.info.shape[1:])


@dataclass(frozen=True)
class BaseModel:
    """A base model.

    Attributes:
        is_folder: whether it is a folder in diffusers' layout; else ``files`` is one file.
        layers: (place, ``weight`` or ``bias``) -> where it lies.
    """

    family: str
    path: Path
    is_folder: bool
    files: tuple[BaseFile, ...]
    layers: Mapping[tuple[Place, str], Where]

    @property
    def parts(self) -> set[str]:
        """The parts that have layers: ``unet``, ``text_encoder`` …"""
        return {place[0] for place, _kind in self.layers}


def open_base(path: Path) -> BaseModel:
    """The base model at ``path``.

    Raises:
        UserError: it is none, cannot be read, is torn, pickled or packed, or of an unknown family.
    """
    kind = identify_model(path)
    if kind.kind == "pickle":
        raise pickle_error(path, plain(str(path)), code="model.pickle")
    if kind.kind == "gguf":
        raise gguf_error(path, plain(str(path)))
    if kind.family == UNKNOWN or kind.family not in FAMILIES or kind.kind not in ("checkpoint", "unet", "diffusers"):
        raise _no_base(path, kind.detail or (kind.kind if kind.kind != UNKNOWN else ""))
    if path.is_dir():
        if kind.kind != "diffusers":
            raise _no_base(path, kind.detail)
        return _model(kind.family, path, tuple(_folder_files(kind.family, path)), is_folder=True)
    header = read_header(path)
    refuse_packed(header.tensors, plain(str(path)))
    try:
        holds = _of_unet(kind.family, header) if kind.family in _unets() else _of_transformer(kind.family, path, header)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise UserError(
            _("a part of {family} is missing in it: {name}.").format(
                family=facts_for(kind.family).title, name=plain(str(error.args[0] if error.args else error), limit=120)
            ),
            place=plain(str(path)),
            remedy=_("Fetch or copy the model again, with all its files, or choose another."),
            code="model.incomplete",
        ) from None
    return _model(kind.family, path, (BaseFile(path, header, "", holds),), is_folder=False)


def _model(family: str, path: Path, files: tuple[BaseFile, ...], *, is_folder: bool) -> BaseModel:
    layers = {
        (rows.place, rows.kind): Where(file, name, rows)
        for file in files
        for name, held in file.holds.items()
        for rows in held
    }
    return BaseModel(family, path, is_folder, files, layers)


def _no_base(path: Path, what: str) -> UserError:
    return UserError(
        _("it is no base model: {what}.").format(what=what) if what else _("it is no base model of a known family."),
        place=plain(str(path)),
        remedy=_("Give a checkpoint (.safetensors) or a folder in diffusers' layout."),
        code="model.family",
    )


def _unets() -> set[str]:
    return {name for name in FAMILIES if facts_for(name).denoiser == "unet"}


# -- folders ---------------------------------------------------------------------------------------------------------


def _folder_files(family: str, path: Path) -> Iterator[BaseFile]:
    parts = [facts_for(family).denoiser, *sorted(p.name for p in path.glob("text_encoder*") if p.is_dir())]
    for part in parts:
        if part.startswith("text_encoder") and not any((path / part).glob("*.safetensors")):
            continue
        for file in weights_of(path, part, TRANSFORMERS_STEM if part != parts[0] else DIFFUSERS_STEM).files:
            header = read_header(file)
            refuse_packed(header.tensors, plain(str(file)))
            yield BaseFile(file, header, part, dict(_direct(part, header.tensors)))


def _direct(part: str, tensors: Mapping[str, TensorInfo], prefix: str = "") -> Iterator[tuple[str, tuple[Rows, ...]]]:
    """Tensors with the names of diffusers or transformers behind ``prefix``."""
    for name, info in tensors.items():
        if name.startswith(prefix) and is_weight(name):
            path, _dot, kind = name.removeprefix(prefix).removeprefix("text_model.").rpartition(".")
            if path and kind in ("weight", "bias") and info.shape:
                yield name, (Rows((part, path), kind, 0, info.shape[0]),)


# -- single files of UNets -------------------------------------------------------------------------------------------


def _of_unet(family: str, header: Header) -> dict[str, tuple[Rows, ...]]:
    facts, tensors = facts_for(family), header.tensors
    assert isinstance(facts, UnetFacts)
    if not any(name.startswith(UNET_PREFIX) for name in tensors):
        prefix = "unet." if any(name.startswith(f"unet.{DIFFUSERS_UNET}") for name in tensors) else ""
        if any(name.startswith(prefix + DIFFUSERS_UNET) for name in tensors):
            return dict(_direct("unet", tensors, prefix))
    found: dict[str, tuple[Rows, ...]] = {}
    prefix = next((one for one in PREFIXES if any(name.startswith(one) for name in tensors)), "")
    for name in _unet_names(facts, tensors, prefix):
        own = prefix + file_name(facts, "unet", name).removeprefix(UNET_PREFIX)
        path, _dot, kind = name.rpartition(".")
        if own in tensors:
            found[own] = (Rows(("unet", path), kind, 0, tensors[own].shape[0]),)
    for encoder in facts.encoders:
        found |= _of_encoder(encoder, tensors)
    return found


def _unet_names(facts: UnetFacts, tensors: Mapping[str, TensorInfo], prefix: str) -> Iterable[str]:
    """diffusers' names of all tensors that such a UNet has; of a UNet on its own, those of the published depths."""
    shapes = {name: info.shape for name, info in tensors.items()}
    if prefix != UNET_PREFIX or not any(name.startswith(facts.encoders[0].prefix) for name in tensors):
        return unet_tensors(facts.full)
    return unet_tensors(shape_of_tensors(facts, shapes))


def _of_encoder(encoder: Encoder, tensors: Mapping[str, TensorInfo]) -> dict[str, tuple[Rows, ...]]:
    """A text encoder's layers among the ``tensors`` of a single file; none where it is not in it."""
    try:
        text = encoder.shape_of({name: info.shape for name, info in tensors.items()})
    except KeyError:
        return {}
    flat = not encoder.open_clip and f"{encoder.prefix}text_model.embeddings.token_embedding.weight" not in tensors
    found: dict[str, tuple[Rows, ...]] = {}
    layers = [f"encoder.layers.{number}.{path}" for number in range(text.layers) for path in ENCODER_LAYERS]
    for path in (*layers, "final_layer_norm"):
        for kind in ("weight", "bias"):
            name = encoder.file_name(f"{path}.{kind}")
            name = name.replace(f"{encoder.prefix}text_model.", encoder.prefix, 1) if flat else name
            if name not in tensors:
                continue
            rows, start = tensors[name].shape[0], 0
            if encoder.open_clip and path.endswith(FUSED):
                rows //= len(FUSED)
                start = rows * next(at for at, end in enumerate(FUSED) if path.endswith(end))
            found[name] = (*found.get(name, ()), Rows((encoder.part, path), kind, start, start + rows))
    return found


# -- single files of transformers ------------------------------------------------------------------------------------


def _of_transformer(family: str, path: Path, header: Header) -> dict[str, tuple[Rows, ...]]:
    tensors = header.tensors
    prefix = next((one for one in PREFIXES if any(name.startswith(one) for name in tensors)), "")
    inside = parts_inside(layout_of(family), path)
    beside = tuple(inside.values())
    own = {name: info for name, info in tensors.items() if name.startswith(prefix) and not name.startswith(beside)}
    if family not in ORIGINALS or any(bare(name).startswith(DIFFUSERS[:2]) for name in own):
        found = dict(_direct("transformer", own, prefix))
    else:
        facts: Any = facts_for(family)
        width = facts.shape_of_tensors({bare(name): info.shape for name, info in tensors.items()}).width
        found = dict(_makers(family, own, prefix, width))
    for setting, start in inside.items():
        part = layout_of(family)[setting].folder
        if part.startswith("text_encoder"):
            found |= dict(_direct(part, tensors, start))
    return found


def _makers(
    family: str, tensors: Mapping[str, TensorInfo], prefix: str, width: int
) -> Iterator[tuple[str, tuple[Rows, ...]]]:
    """Tensors with the makers' names behind ``prefix``; ``width`` is that of the hidden states."""
    for name, info in tensors.items():
        if not is_weight(name) or not info.shape:
            continue
        path, kind = split_name(bare(name.removeprefix(prefix)))
        try:
            pieces = _pieces(family, path)
        except KeyError:
            continue  # a table of positions, tokens that fill up, what another network reads
        if kind in ("weight", "bias"):
            rows = info.shape[0]
            turned = ORIGINALS[family].is_turned(path, rows, width)
            yield (
                name,
                tuple(
                    Rows(
                        ("transformer", piece.path),
                        kind,
                        piece.start * width,
                        min(rows, (piece.stop or rows) * width),
                        turned,
                    )
                    for piece in pieces
                ),
            )


def _pieces(family: str, path: str) -> tuple[Piece, ...]:
    """The layers of diffusers in the makers' layer at ``path``.

    Raises:
        KeyError: such a transformer has no such layer.
    """
    if family == "chroma" and path.startswith(f"{APPROXIMATOR}."):
        return (Piece(approximator_path(path)),)
    if family == "zimage" and path in OUTER:
        return (Piece(OUTER[path]),)
    return ORIGINALS[family].layer_of(path)
