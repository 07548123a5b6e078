"""Reading LoRA files: matrices and the true alpha of each layer, whichever program's names it goes by.

kohya's names (also with diffusers' UNet blocks, which some programs write for XL), the dotted names of diffusers and
peft, whose alpha stands in the file's metadata or in a file beside it, ComfyUI's, ai-toolkit's and OneTrainer's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.added import added
from lora_tui.weights.algebra import by_columns, size_factors
from lora_tui.weights.fused import split
from lora_tui.weights.fused_others import apart
from lora_tui.weights.header.format import TensorInfo
from lora_tui.weights.header.loras import alpha_error, stated_number
from lora_tui.weights.header.whole import check_layers
from lora_tui.weights.kinds import NORM, RANKED, SIZED, kind_of, rank_of, scale_of
from lora_tui.weights.names.known import known_names
from lora_tui.weights.names.parts import kind_and_layer, other_and_layer
from lora_tui.weights.patterns import LONGEST, ends_with

#: Where diffusers keeps the settings of its adapters, as JSON.
DIFFUSERS_KEY = "lora_adapter_metadata"
#: Where peft keeps them, beside the file.
PEFT_FILE, PEFT_PREFIX = "adapter_config.json", "base_model.model."
Place = tuple[str, str]


@dataclass(frozen=True)
class LoraLayer:
    """What a file adds to one layer: ``up`` @ ``down`` times alpha / rank.

    ``down`` is [rank, inputs(, k, k)], ``up`` [outputs, rank(, 1, 1)], both as stored. A DoRA has ``sizes``, too: those
    of the columns of the whole weight, [1, inputs(, 1, 1)], or of its rows, [outputs, 1(, 1, 1)].
    """

    down: Tensor
    up: Tensor
    alpha: float
    sizes: Tensor | None = None

    @property
    def scale(self) -> float:
        return self.alpha / int(self.down.shape[0])

    def update(self) -> Tensor:
        """What is added to the weight, before a DoRA's sizes: [outputs, inputs(, k, k)], float32."""
        down, up = self.down.float(), self.up.float()
        product = up.flatten(1) @ down.flatten(1) * self.scale
        return product.view(up.shape[0], *down.shape[1:])

    def fits(self, *, norm: bool) -> bool:
        """Whether it is for such a layer."""
        return not norm

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        """``weight`` with this layer at ``strength``, float32, as ComfyUI merges it.

        A DoRA's columns (or rows) are brought to their sizes; a strength between lies between the base and that.

        Raises:
            ValueError: it is for a weight of another size.
        """
        base = weight.float()
        if self.up.shape[0] * self.down.flatten(1).shape[1] != weight.numel():
            raise ValueError(tuple(weight.shape))
        whole = base + (1.0 if self.sizes is not None else strength) * self.update().to(base.device).view(base.shape)
        if self.sizes is None:
            return whole
        return base + strength * (whole * self.factors(base) - base)

    def factors(self, weight: Tensor) -> Tensor:
        """What a DoRA multiplies the columns (or rows) of the whole weight with; shaped to be, float32."""
        assert self.sizes is not None
        return size_factors(weight.float() + self.update().to(weight.device).view(weight.shape), self.sizes)


@dataclass(frozen=True)
class OtherLayer:
    """What a file of LoHa, LoKr, OFT and so on has for one layer, or for a norm.

    ``tensors`` by their names after the layer's, ``names`` those in the file, ``scale`` alpha / rank where it has one.
    """

    kind: str
    tensors: dict[str, Tensor]
    names: tuple[str, ...]
    scale: float = 1.0

    def fits(self, *, norm: bool) -> bool:
        """Whether it is for such a layer."""
        return (self.kind == NORM) == norm

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        """``weight`` with this layer at ``strength``, float32.

        Raises:
            ValueError: it is for a weight of another shape.
        """
        base = weight.float()
        try:
            return base + added(self.kind, self.tensors, base, self.scale, strength)
        except RuntimeError as error:
            raise ValueError(str(error)) from None

    @property
    def bias(self) -> Tensor | None:
        """What is added to the bias, times the strength."""
        return self.tensors.get("b_norm" if self.kind == NORM else "diff_b")


@dataclass(frozen=True)
class Stored:
    """What a LoRA file holds.

    Attributes:
        layers: by the name that the file gives them; those of FLUX.1's original layout, several in one, are given
            apart and by diffusers' names. Empty when it holds no LoRA.
        unread: names of tensors that are no part of a layer of LoRA or DoRA (LoHa, LoKr, norms, embeddings).
        others: layers of the kinds in :mod:`lora_tui.weights.effects` and norms, by name; their tensors are among
            ``unread``.
    """

    layers: dict[str, LoraLayer]
    unread: tuple[str, ...] = ()
    others: dict[str, OtherLayer] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, LoraLayer | OtherLayer]:
        """The layers of whatever kind, by name."""
        return {**self.layers, **self.others}

    @property
    def strange(self) -> tuple[str, ...]:
        """Names of tensors that are no part of any layer."""
        known = {name for layer in self.others.values() for name in layer.names}
        return tuple(name for name in self.unread if name not in known)


def read_lora(path: Path, *, as_stored: bool = False) -> Stored:
    """The layers of a LoRA file, and what else is in it.

    A file that states no alpha means alpha = rank, as every program reads it.

    Args:
        as_stored: give several layers in one as the file has them, by its own name, not apart.

    Raises:
        UserError: it cannot be read, a layer is not whole (see :func:`check_layers`), a number in it is not finite
            (``lora.damaged``), or it is a DoRA over several layers in one, which has no meaning for single ones
            (``lora.dora``).
    """
    tensors, metadata = _read(path)
    _check_finite(path, tensors)
    parts: dict[str, dict[str, Tensor]] = {}
    names: dict[str, list[str]] = {}  # of the tensors of a layer
    unread = []
    for name, tensor in tensors.items():
        kind, stem = kind_and_layer(name)
        if kind:
            parts.setdefault(stem, {})[kind] = tensor
            names.setdefault(stem, []).append(name)
        else:
            unread.append(name)
    settings = _adapter_settings(path, metadata)
    layers: dict[str, LoraLayer] = {}
    for stem, kinds in parts.items():
        if not kinds.keys() & {"down", "up"}:  # an alpha or sizes of something else
            unread += names[stem]
        else:
            layers |= _layers(stem, kinds, settings, path, as_stored=as_stored)
    try:
        others = _others(tensors, unread, as_stored=as_stored)
    except ValueError as error:
        raise _inseparable(str(error), path) from None
    return Stored(layers, tuple(unread), others)


def _others(tensors: Mapping[str, Tensor], unread: Iterable[str], *, as_stored: bool) -> dict[str, OtherLayer]:
    """The layers of other kinds among the tensors ``unread``; one with a DoRA's sizes is none unless it can have them.

    A ``scalar`` that older LyCORIS kept beside the matrices is part of the scale. Several layers in one are given
    apart.

    Raises:
        ValueError: sizes of columns belong to several layers together.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in unread:
        inner, stem = other_and_layer(name)
        if inner:
            groups.setdefault(stem, {})[inner] = name
    layers: dict[str, OtherLayer] = {}
    for stem, names in groups.items():
        own = {inner: tensors[name] for inner, name in names.items()}
        kind = kind_of(own, {inner: tensor.dim() for inner, tensor in own.items()})
        if not kind or ("dora_scale" in own and kind not in SIZED) or ("scalar" in own and kind not in RANKED):
            continue
        alpha, scalar = own.get("alpha"), float(own.pop("scalar", torch.ones(())))
        if kind in RANKED:
            own.pop("alpha", None)
            rank = rank_of(kind, {inner: tuple(tensor.shape) for inner, tensor in own.items()})
            scale = scale_of(own, float(rank if alpha is None else alpha), rank) * scalar
            if "dora_scale" in own and own["dora_scale"].dim() < 2:
                own["dora_scale"] = own["dora_scale"].reshape(-1, 1)
        else:
            scale = 1.0
        pieces = {} if as_stored else apart(stem, kind, own)
        found = {f"transformer.{path}": tensors for path, tensors in pieces.items()} or {stem: own}
        layers |= {name: OtherLayer(kind, tensors, tuple(names.values()), scale) for name, tensors in found.items()}
    return layers


def layers_by_name(family: str, places: Iterable[Place]) -> dict[str, Place]:
    """Every name that a file may have for the layers at ``places`` ((part, dotted path)), and whose it is."""
    found: dict[str, Place] = {}
    for place in places:
        for name in known_names(family, *place):
            found.setdefault(name, place)
    return found


def _layers(
    stem: str, kinds: Mapping[str, Tensor], settings: Mapping[str, Any], path: Path, *, as_stored: bool
) -> dict[str, LoraLayer]:
    """The layer that a file calls ``stem``, or those that it holds."""
    down, up, sizes = kinds["down"], kinds["up"], kinds.get("sizes")
    if "row_sizes" in kinds:
        sizes = kinds["row_sizes"].reshape(-1, *[1] * (down.dim() - 1))
    elif sizes is not None and sizes.dim() < 2:
        sizes = sizes.reshape(-1, 1)
    if "mid" in kinds:  # a convolution in three: the middle one has its width
        down = torch.einsum("rskl,si->rikl", kinds["mid"].float(), down.float().flatten(1))
    alpha = float(kinds["alpha"]) if "alpha" in kinds else _stated_alpha(settings, stem, down.shape[0], path)
    if not math.isfinite(alpha):
        raise alpha_error(path, stem)
    pieces = {} if as_stored else split(stem, (down, up, alpha))
    if not pieces:
        return {stem: LoraLayer(down, up, alpha, sizes)}
    if sizes is not None and (len(pieces) > 1 or not by_columns(sizes)):
        if by_columns(sizes):
            raise _inseparable(stem, path)
        rows = {inner: piece[1] for inner, piece in split(stem, (down, sizes, alpha)).items()}
    else:
        rows = dict.fromkeys(pieces, sizes)  # type: ignore[arg-type]
    return {f"transformer.{inner}": LoraLayer(*piece, rows[inner]) for inner, piece in pieces.items()}


def _inseparable(stem: str, path: Path) -> UserError:
    return UserError(
        _("it is a DoRA over several layers in one, {name} for one: their sizes cannot be told apart.").format(
            name=plain(stem, limit=120)
        ),
        place=plain(str(path)),
        remedy=_("Use it in ComfyUI or Forge, which merge it into the same layers."),
        code="lora.dora",
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            check_layers(
                path, {name: TensorInfo(one.get_dtype(), tuple(one.get_shape()), 0, 0) for name, one in slices.items()}
            )
            tensors = {name: file.get_tensor(name) for name in slices}
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(
            _("it cannot be read: {reason}.").format(reason=plain(str(error))),
            place=plain(str(path)),
            remedy=_("The file may be incomplete; fetch it again."),
            code="model.torn",
        ) from None


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One number that is none makes all that is drawn or trained with the layer none."""
    for name, tensor in tensors.items():
        if kind_and_layer(name)[0] != "alpha" and tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise UserError(
                _("its tensor {name} has numbers that are infinite or none (NaN).").format(name=plain(name, limit=120)),
                place=plain(str(path)),
                remedy=_("The training that wrote it had broken down; use an earlier file of it."),
                code="lora.damaged",
            )


def _adapter_settings(path: Path, metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """peft's settings by part: ``unet.lora_alpha``, ``unet.alpha_pattern`` and so on; alone in a folder of peft's."""
    text = metadata.get(DIFFUSERS_KEY)
    try:
        if text is None:
            beside = json.loads(path.with_name(PEFT_FILE).read_bytes())
            return {f"{PEFT_PREFIX}{name}": value for name, value in beside.items()}
        settings = json.loads(text)
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _stated_alpha(settings: Mapping[str, Any], stem: str, rank: int, file: Path) -> float:
    """The alpha that settings of peft state for the layer ``stem``; the rank where they say nothing."""
    if stem.startswith(PEFT_PREFIX):
        part, path = PEFT_PREFIX, stem.removeprefix(PEFT_PREFIX)
    else:
        part, _dot, path = stem.partition(".")
        part += "."
    alpha = stated_number(settings.get(f"{part}lora_alpha"))
    patterns = settings.get(f"{part}alpha_pattern")
    for pattern, value in (patterns if isinstance(patterns, dict) else {}).items():
        own = stated_number(value)
        if own is not None and (path == pattern or path.endswith(f".{pattern}") or _matches(pattern, path, file)):
            alpha = own
            break
    if alpha is None:
        return float(rank)
    return alpha * (math.sqrt(rank) if settings.get(f"{part}use_rslora") is True else 1.0)


def _matches(pattern: str, path: str, file: Path) -> bool:
    """peft takes a pattern as a regular expression for the end of a layer's path.

    Raises:
        UserError: it is one that cannot be told here, so that the layer's alpha could be another.
    """
    try:
        return ends_with(path, pattern)
    except ValueError:
        pass
    if len(pattern) <= LONGEST:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            return False  # nobody can read it
    raise UserError(
        _("the pattern {pattern} for the alpha of layers is not one that is read here.").format(
            pattern=plain(pattern, limit=80)
        ),
        place=plain(str(file)),
        remedy=_("Save it again with the alpha beside the matrices, or with whole names of layers as patterns."),
        code="lora.pattern",
    )
