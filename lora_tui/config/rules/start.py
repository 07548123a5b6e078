"""The LoRA file that a run goes on from: there, of the type that is trained, its matrices of the same shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lora_tui.config.family import title_of
from lora_tui.config.findings import Finding, error
from lora_tui.config.layers import layer_size, trained
from lora_tui.config.schema import Config, NetworkSection
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.families.parts import stamp
from lora_tui.families.protocol import TargetModule
from lora_tui.places import expand, is_file
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, read_header
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.header.models import UNKNOWN
from lora_tui.weights.header.others import OtherShapes, other_layers, trained_kind
from lora_tui.weights.header.whole import check_layers
from lora_tui.weights.kinds import LYCORIS, OFT, RANKED, SCALAR, SIZES, Form, Shapes, factors, rank_of, tensor_shapes
from lora_tui.weights.names.known import known_names
from lora_tui.weights.names.parts import kind_and_layer

PLAIN = ("lora", "locon", "dora")


@dataclass(frozen=True)
class _Found:
    """A file: its ranks, the most frequent first, its kind, its layers that are none of LoRA, the family that it is
    for, inputs and outputs of its layers of LoRA, or why it is no use."""

    ranks: tuple[int, ...] = ()
    kind: str = ""
    others: Mapping[str, OtherShapes] | None = None
    family: str = UNKNOWN
    sides: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    problem: str = ""


def start(config: Config) -> Iterator[Finding]:
    """The file to go on from: there, of the type that is trained, of the same ranks and splits."""
    text = config.network.start_from
    if not text:
        return
    path = expand(text)
    if not is_file(path):
        yield error(
            "network.start_from",
            _("There is no file {path}.").format(path=plain(text)),
            _("Check the path; relative ones count from the file's folder, those of --set from the current one."),
            "network.start_missing",
        )
        return
    found, name, own = _look(str(path), stamp(path)), plain(path.name), config.network.type
    theirs = found.kind if found.kind in PLAIN else trained_kind(found.others or {})
    if found.problem or not theirs or (theirs in PLAIN and not found.ranks):
        yield error(
            "network.start_from",
            found.problem or _("{name} holds nothing that a run can go on from.").format(name=name),
            _("Choose a LoRA file, or leave the setting empty."),
            "network.start_unreadable",
        )
    elif found.family not in (config.model.family, UNKNOWN) and not _fits_anyway(config, found):
        yield error(
            "network.start_from",
            _("{name} is a LoRA of {found}, but the base model is {wanted}.").format(
                name=name, found=title_of(found.family), wanted=title_of(config.model.family)
            ),
            _("Choose a LoRA file of this family, or leave the setting empty."),
            "network.start_family",
        )
    elif (theirs in LYCORIS or own in LYCORIS) and theirs != own:
        kind = "lora" if theirs in PLAIN else theirs
        yield error(
            "network.start_from",
            _("{name} is of the type {theirs}, and network.type is {own}.").format(name=name, theirs=kind, own=own),
            _("Set network.type to {kind}, or choose a file of the other type.").format(kind=kind),
            "network.start_kind",
        )
    elif own in LYCORIS:
        yield from _other(config, name, found.others or {})
    else:
        yield from _plain(config.network, name, found)


def _fits_anyway(config: Config, found: _Found) -> bool:
    """Whether a layer that is trained is in the file with its own sizes: few layers may leave a UNet's family open."""
    targets = facts_for(config.model.family).targets(
        config.model.base, text_encoder=config.trains_text, convolutions=config.network.convolutions
    )
    return any(
        found.sides.get(name) == (target.inputs, target.outputs)
        for target in trained(config.network, targets)
        for name in known_names(config.model.family, target.part, target.path)
    ) or any(True for _pair in _pairs(config, found.others or {}))


def _sides(tensors: Mapping[str, TensorInfo]) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each layer of LoRA, by its name in the file."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in tensors.items():
        kind, stem = kind_and_layer(name)
        shapes.setdefault(stem, {})[kind] = tensor.shape
    both = ((stem, parts["down"], parts["up"]) for stem, parts in shapes.items() if parts.keys() >= {"down", "up"})
    return {stem: (down[1], up[0]) for stem, down, up in both if len(down) > 1 and up}


def _plain(network: NetworkSection, name: str, found: _Found) -> Iterator[Finding]:
    own = {network.rank, network.conv_rank} if network.convolutions else {network.rank}
    if found.kind == "dora" and not network.dora:
        yield _dora(name)
    if not network.layers and not own & set(found.ranks):
        yield error(
            "network.rank",
            _("{name} has rank {theirs}, and network.rank is {own}.").format(
                name=name, theirs=", ".join(map(str, found.ranks)), own=network.rank
            ),
            _("Set network.rank to {rank}.").format(rank=found.ranks[0]),
            "network.start_rank",
        )


def _other(config: Config, name: str, layers: Mapping[str, OtherShapes]) -> Iterator[Finding]:
    """A file of the type that is trained: its tensors are those that would be trained."""
    network = config.network
    pairs = list(_pairs(config, layers))
    if not pairs:
        yield error(
            "network.start_from",
            _("{name} has none of the layers that are trained here.").format(name=name),
            _("Choose a LoRA file of this family, or leave the setting empty."),
            "network.start_unmatched",
        )
        return
    if not network.decomposed and any(SIZES in layer.shapes for _target, layer in pairs):
        yield _dora(name)
    settings: dict[str, Any] = {}
    for target, layer in pairs:
        needed = _settings(network, target, layer.shapes)
        if needed is None:
            yield error(
                "network.start_from",
                _("{name} has matrices for {layer} that cannot be trained here.").format(
                    name=name, layer=f"{target.part}.{target.path}"
                ),
                _("Choose another file, or leave the setting empty."),
                "network.start_shapes",
            )
            return
        settings |= {key: value for key, value in needed.items() if key not in settings}
    if settings and not network.layers:
        yield error(
            f"network.{next(iter(settings))}",
            _("The matrices of {name} have other shapes than those that would be trained.").format(name=name),
            _("Set {settings}.").format(
                settings=", ".join(f"network.{key} = {_written(value)}" for key, value in settings.items())
            ),
            "network.start_shapes",
        )


def _dora(name: str) -> Finding:
    return error(
        "network.dora",
        _("{name} is a DoRA: without its sizes it would be another one.").format(name=name),
        _("Set network.dora to true, or choose another file."),
        "network.start_dora",
    )


def _pairs(config: Config, layers: Mapping[str, OtherShapes]) -> Iterator[tuple[TargetModule, OtherShapes]]:
    """The layers that are trained with what the file has for them."""
    network = config.network
    targets = facts_for(config.model.family).targets(
        config.model.base, text_encoder=config.trains_text, convolutions=network.convolutions
    )
    for target in trained(network, targets):
        names = known_names(config.model.family, target.part, target.path)
        layer = next((layers[name] for name in names if name in layers), None)
        if layer is not None and layer.kind == network.type:
            yield target, layer


def _settings(network: NetworkSection, target: TargetModule, theirs: Shapes) -> dict[str, Any] | None:
    """The settings with which a layer has these shapes, those that are as they are left out; none if there are none."""
    theirs = {name: shape for name, shape in theirs.items() if name not in (SCALAR, "diff_b")}
    if len(theirs.get(SIZES, ())) and theirs[SIZES][0] != 1:
        return None  # sizes of rows
    own = replace(network.form, sizes=SIZES in theirs)
    rank = layer_size(network, target).rank
    try:
        if _shapes(own, target, rank) == theirs:
            return {}
    except ValueError:
        return None
    form, theirs_rank = _form(own, target, theirs, rank)
    if _shapes(form, target, theirs_rank) != theirs:
        return None
    changes: dict[str, Any] = {}
    if theirs_rank != rank:
        changes["conv_rank" if target.kernel > 1 else "rank"] = theirs_rank
    named = {"factor": "factor", "both": "decompose_both", "whole": "full_matrix", "tucker": "tucker",
             "unbalanced": "unbalanced", "rescaled": "rescaled"}  # fmt: skip
    return changes | {
        setting: getattr(form, name) for name, setting in named.items() if getattr(form, name) != getattr(own, name)
    }


def _shapes(form: Form, target: TargetModule, rank: int) -> Shapes:
    kernel = target.kernel if target.convolution else None
    return tensor_shapes(form, target.path, target.inputs, target.outputs, rank, kernel=kernel)


def _form(own: Form, target: TargetModule, theirs: Shapes, rank: int) -> tuple[Form, int]:
    """How an adapter is built whose layer has these shapes, and its rank, as far as they tell."""
    if own.kind in ("oft", "boft"):
        return replace(own, rescaled="rescale" in theirs), theirs[OFT][-1]
    if own.kind in RANKED and not {"lokr_w1", "lokr_w2"} <= theirs.keys():
        rank = rank_of(own.kind, theirs)
    if own.kind == "loha":
        return replace(own, tucker=own.tucker if target.kernel == 1 else "hada_t1" in theirs), rank
    if own.kind != "lokr":
        return own, rank
    whole = "lokr_w2" in theirs and not {"lokr_w2_a", "lokr_w1_a"} & theirs.keys()
    out_small = theirs.get("lokr_w1", theirs.get("lokr_w1_a", (0,)))[0]
    in_small = theirs.get("lokr_w1", theirs.get("lokr_w1_b", (0, 0)))[1]
    splits = (
        (factor, unbalanced)
        for unbalanced in (own.unbalanced, not own.unbalanced)
        for factor in (own.factor, -1, in_small, out_small)
        if (factors(target.inputs, factor)[0], factors(target.outputs, factor)[unbalanced]) == (in_small, out_small)
    )
    factor, unbalanced = next(splits, (own.factor, own.unbalanced))
    return replace(
        own,
        factor=factor,
        unbalanced=unbalanced,
        both="lokr_w1_a" in theirs or (own.both and whole),
        whole=whole and (own.whole or "lokr_w2" not in _shapes(own, target, rank)),
        tucker=own.tucker if target.kernel == 1 or whole else "lokr_t2" in theirs,
    ), rank


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@lru_cache(maxsize=16)
def _look(path: str, _stamp: object) -> _Found:
    try:
        info, header = lora_info(Path(path)), read_header(Path(path))
        check_layers(Path(path), header.tensors)
    except UserError as problem:
        return _Found(problem=f"{plain(Path(path).name)}: {problem.message}")
    ranks = tuple(sorted(info.ranks, key=lambda rank: -info.ranks[rank]))
    return _Found(ranks, info.kind, other_layers(header.tensors), info.family, _sides(header.tensors))


RULES = (start,)
