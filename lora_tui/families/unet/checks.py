"""What a base model must be to be trained here, from configuration files and headers alone. Knows no torch.

Each function takes the facts of the family that the model should be of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families.blocks import check_blocks, further, numbers_of
from lora_tui.families.parts import (
    DIFFUSERS_STEM,
    TRANSFORMERS_STEM,
    incomplete,
    need,
    need_tensors,
    refuse_packed,
    tensors_of,
    weights_of,
)
from lora_tui.families.separate.kinds import vae_name, vae_told
from lora_tui.families.separate.reading import clip_of_config
from lora_tui.families.separate.tensors import clip_tensors, need_shapes
from lora_tui.families.source import Source
from lora_tui.families.tokenizers import check_tokenizer
from lora_tui.families.told import read_config, unusual
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.prediction import decided, told_by_file, told_by_schedule
from lora_tui.families.unet.shape import (
    UNET_PREFIX,
    VAE_PREFIX,
    Shape,
    depths_of,
    holds_vae,
    shape_of_folder,
    shape_of_tensors,
    tensor_shapes,
    vae_channels,
)
from lora_tui.families.unet.targets import text_targets, transformers
from lora_tui.families.unet.tensors import own_vae_tensors, plain_shape, unet_tensors
from lora_tui.places import is_file, is_folder
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, read_header
from lora_tui.weights.header.models import ModelKind, identify_model

TIMESTEPS = 1000
#: What UNets that are trained here say of how they are built, where they say it.
BUILT = {
    **dict.fromkeys(("class_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "num_class_embeds"), None),
    "only_cross_attention": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "time_embedding_type": "positional",
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "resnet_time_scale_shift": "default",
}
MOST_LAYERS = 100
BETA_SCHEDULES = ("scaled_linear", "linear")
#: What latents are multiplied by, by family: SD1.x and 2.x share a VAE, XL has its own.
SCALES = {"sd15": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}


def check_model(facts: UnetFacts, source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """Refuse what cannot be trained, as :func:`check_source` does, and a single file with gaps.

    What loads the tensors of a file finds its gaps itself; this is for those who want to know without loading.

    Raises:
        UserError: see :func:`check_source`; ``model.incomplete`` names a missing tensor.
    """
    check_source(facts, source, own_vae=own_vae, prediction=prediction)
    if source.kind == "file":
        shapes = tensor_shapes(source.path)
        shape = shape_of_file(facts, shapes, source.path)
        if not any(name.startswith("down_blocks.") for name in shapes):
            _check_tensors(facts, shape, shapes, source.path, own_vae=own_vae)


def _check_tensors(
    facts: UnetFacts, shape: Shape, shapes: Mapping[str, tuple[int, ...]], path: Path, *, own_vae: bool
) -> None:
    """Refuse a single file without one of the tensors of its parts, or with one of other widths."""
    own = {"unet": unet_tensors(shape), **({"vae": own_vae_tensors(shape)} if own_vae else {})}
    wanted = {file_name(facts, part, name): at for part, named in own.items() for name, at in named.items()}
    _need_shapes(wanted, shapes, path)
    texts = zip(facts.encoders, shape.text, strict=True)
    names = [encoder.file_name(name) for encoder, text in texts for name in clip_tensors(text)]
    there = (name.replace(".text_model.", ".") for name in shapes)
    need_tensors((name.replace(".text_model.", ".") for name in names), there, str(path))


def _need_shapes(wanted: Mapping[str, tuple[int, ...]], there: Mapping[str, tuple[int, ...]], place: Path) -> None:
    """As :func:`need_shapes`, where a matrix may be a 1x1 convolution."""
    found = {name: plain_shape(there[name]) for name in wanted if name in there}
    need_shapes({name: plain_shape(shape) for name, shape in wanted.items()}, found, str(place))


def check_source(facts: UnetFacts, source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """Refuse what :class:`~lora_tui.families.unet.model.UnetModel` could not load or would train wrongly.

    A pickle is looked at with :func:`check_shapes` when its tensors are read. Of a folder all parts are looked at,
    the VAE only when it is the model's ``own_vae`` that is used. ``prediction`` is the setting of that name.

    Raises:
        UserError: another family, a part of a model, an inpainting model, one that predicts neither noise nor
            velocity, or one of which a file is missing, torn or damaged.
    """
    if source.kind == "pickle":
        return
    _check_kind(facts, identify_model(source.path), source.path)
    if source.kind == "folder":
        _check_folder(facts, source.path, own_vae, prediction)
        return
    header = read_header(source.path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    check_shapes(facts, shapes, source.path)
    refuse_packed(header.tensors, str(source.path))
    shape_of_file(facts, shapes, source.path)
    if own_vae and not holds_vae(shapes):
        raise UserError(
            _("a part of {family} is missing in it: {name}.").format(family=facts.title, name="VAE"),
            place=str(source.path),
            remedy=_("Name a VAE in model.vae, or use a complete checkpoint (UNet, text encoder and VAE in one file)."),
            code="model.incomplete",
        )
    decided(told_by_file(shapes, header.metadata), prediction, facts, str(source.path))


def told_prediction(path: Path) -> str:
    """What the files of the model at ``path`` say that it predicts; empty where they say nothing.

    Raises:
        UserError: they cannot be read.
    """
    if not is_folder(path):
        header = read_header(path)
        return told_by_file(header.tensors, header.metadata).prediction
    schedule = path / "scheduler" / "scheduler_config.json"
    return told_by_schedule(read_json(schedule)).prediction if is_file(schedule) else ""


def check_vae(facts: UnetFacts, path: Path, *, allow_pickle: bool = False) -> None:
    """Refuse a separate VAE that cannot be loaded: a file, a folder of its own, or the folder of a whole model.

    Raises:
        UserError: a file is missing, torn or damaged, a tensor is missing, or its latents are of another scale.
    """
    if is_folder(path):
        part = "vae" if is_folder(path / "vae") else "."
        _check_vae(path, part, pickles=allow_pickle)
        scale = read_json(path / part / "config.json").get("scaling_factor", facts.full.vae_scale)
        if scale in SCALES.values() and scale != facts.full.vae_scale:
            raise _foreign_vae(facts, path)
        return
    kind = identify_model(path)
    if kind.kind == "checkpoint" and kind.family in SCALES and SCALES[kind.family] != facts.full.vae_scale:
        raise _foreign_vae(facts, path)
    shapes = tensor_shapes(path)
    _vae_widths(shapes, VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in shapes) else "", str(path))


def shape_of_file(facts: UnetFacts, shapes: Mapping[str, tuple[int, ...]], path: Path) -> Shape:
    """The shape of the single file ``path`` with tensors of these ``shapes``.

    Raises:
        UserError: a tensor that tells a width or a depth is missing (``model.incomplete``).
    """
    try:
        return shape_of_tensors(facts, shapes)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            _("a part of {family} is missing in it: {name}.").format(
                family=facts.title, name=plain(str(error.args[0]))
            ),
            place=str(path),
            remedy=_("Use a complete checkpoint (UNet, text encoder and VAE in one file)."),
            code="model.incomplete",
        ) from None


def check_shapes(facts: UnetFacts, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Refuse a checkpoint in the original layout by the names and shapes of its tensors.

    Raises:
        UserError: it takes other channels than latents.
    """
    taken, given = (shapes.get(f"{UNET_PREFIX}{name}.weight") for name in ("input_blocks.0.0", "out.2"))
    _check_channels(facts, taken[1] if taken and len(taken) == 4 else None, given[0] if given else None, path)


def check_schedule(facts: UnetFacts, config: Mapping[str, Any], path: Path, prediction: str = "auto") -> None:
    """Refuse a scheduler configuration that training does not follow.

    Raises:
        UserError: the model predicts neither noise nor velocity (``model.prediction``) or its table of noise is another
            (``model.schedule``).
    """
    told = told_by_schedule(config)
    kind = decided(told, prediction, facts, str(path))
    schedule = str(config.get("beta_schedule", BETA_SCHEDULES[0]))
    count = config.get("num_train_timesteps", TIMESTEPS)
    if schedule not in BETA_SCHEDULES:
        odd = f"beta_schedule = {schedule}"
    elif told.zero_snr and kind == "epsilon":
        odd = "rescale_betas_zero_snr = true, prediction_type = epsilon"
    elif config.get("trained_betas") is not None:
        odd = "trained_betas"
    elif count != TIMESTEPS:
        odd = f"num_train_timesteps = {count}"
    else:
        return
    raise UserError(
        _("its noise schedule is one that is not trained here: {setting}.").format(setting=plain(odd, limit=80)),
        place=str(path),
        remedy=_("Choose a base model with the noise schedule of {family}.").format(family=facts.title),
        code="model.schedule",
    )


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file of a model folder.

    Raises:
        UserError: it is missing, no JSON object, or a number in it cannot be.
    """
    try:
        return read_config(path)
    except (OSError, ValueError):
        raise UserError(
            _("it is no readable JSON object."),
            place=str(path),
            remedy=_("The model folder is damaged; fetch it again."),
            code="model.folder",
        ) from None


def _check_kind(facts: UnetFacts, kind: ModelKind, path: Path) -> None:
    if kind.family != facts.name or kind.kind not in ("checkpoint", "diffusers"):
        found = kind.detail or (kind.kind if kind.family == "unknown" else f"{kind.family} {kind.kind}")
        raise UserError(
            _("it is no {family} checkpoint but {found}.").format(family=facts.title, found=found),
            place=str(path),
            remedy=_("Choose a base model of the family that model.family names."),
            code="model.family",
        )
    if kind.detail:
        raise _special(facts, kind.detail, path)


def _check_folder(facts: UnetFacts, folder: Path, own_vae: bool, prediction: str) -> None:
    need(folder, "unet/config.json", *(f"{encoder.part}/config.json" for encoder in facts.encoders))
    unet = read_json(folder / "unet" / "config.json")
    _check_channels(facts, unet.get("in_channels", 4), unet.get("out_channels", 4), folder)
    shape = _check_topology(facts, unet, folder)
    there = tensors_of(weights_of(folder, "unet", DIFFUSERS_STEM), folder)
    need_tensors(unet_tensors(shape), there, str(folder / "unet"))
    _check_widths(facts, there, folder)
    for at, _width, depth, _level in transformers(shape):
        start = f"{at}.transformer_blocks."
        if max(numbers_of(there, start), default=0) >= depth:
            raise further("transformer_layers_per_block", depth, f"{start}{depth}", folder / "unet")
    for encoder in facts.encoders:
        there = tensors_of(weights_of(folder, encoder.part, TRANSFORMERS_STEM), folder)
        need_tensors(_text_names(facts, encoder, _layers_of(folder, encoder)), there, str(folder / encoder.part))
        check_blocks(read_json(folder / encoder.part / "config.json"), there, folder / encoder.part)
        _check_text(encoder, there, folder)
    if own_vae:
        _check_vae(folder, "vae")
    path = folder / "scheduler" / "scheduler_config.json"
    if is_file(path):
        check_schedule(facts, read_json(path), path, prediction)
    else:
        decided(told_by_file((), {}), prediction, facts, str(folder))


def _check_topology(facts: UnetFacts, unet: Mapping[str, Any], folder: Path) -> Shape:
    """The family's shape with this UNet's depths; one that is built otherwise is refused."""
    usual = facts.full.unet_config()
    if unet.get("time_cond_proj_dim") is not None:
        raise _special(facts, _("a latent consistency model (LCM), whose UNet is told the guidance"), folder)
    for name in ("down_block_types", "up_block_types", "layers_per_block"):
        if name in unet and unet[name] != usual[name]:
            raise _special(facts, _("a model whose UNet is built otherwise ({name})").format(name=name), folder)
    for name, value in BUILT.items():
        if unet.get(name) not in (None, value):
            raise _special(facts, _("a model whose UNet is built otherwise ({name})").format(name=name), folder)
    channels = unet.get("block_out_channels", usual["block_out_channels"])
    if len(channels) != len(usual["block_out_channels"]) or not all(isinstance(one, int) for one in channels):
        raise unusual(folder / "unet" / "config.json", "block_out_channels", channels)
    heads = unet.get("attention_head_dim") or 1
    for width, count in zip(channels, heads if isinstance(heads, list) else [heads] * len(channels), strict=False):
        if not count or width % count or (isinstance(heads, list) and len(heads) != len(channels)):
            raise unusual(folder / "unet" / "config.json", "attention_head_dim", heads)
    try:
        depths, middle = depths_of(unet, facts.full)
    except (ValueError, TypeError):
        what = _("a model whose UNet is built otherwise ({name})").format(name="transformer_layers_per_block")
        raise _special(facts, what, folder) from None
    return replace(facts.full, unet_channels=tuple(channels), depths=depths, middle=middle)


def _check_widths(facts: UnetFacts, there: Mapping[str, TensorInfo], folder: Path) -> None:
    """Refuse a UNet whose weights have other widths than its configuration tells, where that tells all of them."""
    try:
        shape = shape_of_folder(facts, folder)
    except (OSError, ValueError, KeyError, TypeError):
        return
    _need_shapes(unet_tensors(shape), {name: info.shape for name, info in there.items()}, folder / "unet")


def _check_text(encoder: Encoder, there: Mapping[str, TensorInfo], folder: Path) -> None:
    """Refuse a text encoder whose weights have gaps, or other widths than it tells, and a tokenizer that is not its."""
    config, known = read_json(folder / encoder.part / "config.json"), None
    try:
        wanted = clip_tensors(clip_of_config(config, projected=encoder.pooled))
    except (KeyError, TypeError):  # it does not tell all
        wanted = {}
    if wanted:
        own = {name.removeprefix("text_model."): info.shape for name, info in there.items()}
        need_shapes(wanted, own, str(folder / encoder.part))
        known = config["vocab_size"]
        if config["hidden_size"] % config.get("num_attention_heads", 1):
            raise unusual(folder / encoder.part / "config.json", "num_attention_heads", config["num_attention_heads"])
    if not is_file(folder / encoder.tokenizer / "tokenizer.json"):
        need(folder, f"{encoder.tokenizer}/vocab.json", f"{encoder.tokenizer}/merges.txt")
    check_tokenizer(folder / encoder.tokenizer, known)


def _check_vae(folder: Path, part: str, *, pickles: bool = False) -> None:
    need(folder, (Path(part) / "config.json").as_posix())
    config = read_json(folder / part / "config.json")
    if "scaling_factor" in config and config["scaling_factor"] is None:
        raise unusual(folder / part / "config.json", "scaling_factor", None)
    weights = weights_of(folder, part, DIFFUSERS_STEM, pickles=pickles)
    if weights.files:
        shapes = {name: info.shape for name, info in tensors_of(weights, folder).items()}
        _vae_widths(shapes, "", str(folder / part))
        if {"block_out_channels", "latent_channels"} <= config.keys():
            need_shapes(vae_told(config), {vae_name(name): at for name, at in shapes.items()}, str(folder / part))


def _vae_widths(shapes: Mapping[str, tuple[int, ...]], prefix: str, place: str) -> None:
    try:
        vae_channels(shapes, prefix)
    except (KeyError, IndexError) as error:
        raise incomplete(1, str(error.args[0]), place) from None


def _text_names(facts: UnetFacts, encoder: Encoder, layers: int) -> list[str]:
    """The same of a text encoder with so many ``layers``."""
    shape = replace(facts.full.text[facts.encoders.index(encoder)], layers=layers)
    projection = ["text_projection.weight"] if encoder.pooled else []
    return [*(f"{target.path}.weight" for target in text_targets(encoder.part, shape)), *projection]


def _layers_of(folder: Path, encoder: Encoder) -> int:
    path = folder / encoder.part / "config.json"
    layers = read_json(path).get("num_hidden_layers")
    if isinstance(layers, int) and 0 < layers <= MOST_LAYERS:
        return layers
    raise UserError(
        _("num_hidden_layers is no usual number of layers."),
        place=str(path),
        remedy=_("The model folder is damaged; fetch it again."),
        code="model.folder",
    )


def _check_channels(facts: UnetFacts, taken: int | None, given: int | None, path: Path) -> None:
    latent = facts.latent_channels
    for channels in (taken, given):
        if channels is not None and channels != latent:
            what = _("a model with {channels} channels where {latent} are usual")
            raise _special(facts, what.format(channels=channels, latent=latent), path)


def _special(facts: UnetFacts, what: str, path: Path) -> UserError:
    return UserError(
        _("it is {what}, which is not trained here.").format(what=what),
        place=str(path),
        remedy=_("Choose the plain {family} checkpoint.").format(family=facts.title),
        code="model.special",
    )


def _foreign_vae(facts: UnetFacts, path: Path) -> UserError:
    return UserError(
        _("it is the VAE of another family: its latents are not those that {family} learned.").format(
            family=facts.title
        ),
        place=str(path),
        remedy=_("Choose a VAE made for {family}, or leave the setting empty.").format(family=facts.title),
        code="model.vae_family",
    )
