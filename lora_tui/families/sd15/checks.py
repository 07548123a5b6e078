"""What a base model must be to be trained here, from configuration files and headers alone. Knows no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families.parts import (
    DIFFUSERS_STEM,
    TRANSFORMERS_STEM,
    incomplete,
    need,
    need_tensors,
    tensors_of,
    weights_of,
)
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.layout import ldm_name
from lora_tui.families.sd15.shape import UNET_PREFIX, VAE_PREFIX, Shape, shape_of_tensors, tensor_shapes, vae_channels
from lora_tui.families.source import Source
from lora_tui.places import is_file, is_folder
from lora_tui.text import _, plain
from lora_tui.weights.header import ModelKind, identify_model, read_header

TIMESTEPS = 1000
MOST_LAYERS = 100
BETA_SCHEDULES = ("scaled_linear", "linear")
#: Names that ComfyUI and its trainers give to empty tensors in files of models that predict velocity.
VELOCITY_MARKS = ("v_pred", "ztsnr")


def check_model(source: Source, *, own_vae: bool = True) -> None:
    """Refuse what cannot be trained, as :func:`check_source` does, and a single file with gaps.

    What loads the tensors of a file finds its gaps itself; this is for those who want to know without loading.

    Raises:
        UserError: see :func:`check_source`; ``model.incomplete`` names a missing tensor.
    """
    check_source(source, own_vae=own_vae)
    if source.kind == "file":
        shapes = tensor_shapes(source.path)
        layers = shape_of_file(shapes, source.path).clip_layers
        if not any(name.startswith("down_blocks.") for name in shapes):
            unet = [ldm_name("unet", name) for name in _unet_names()]
            text = [ldm_name("text_encoder", name) for name in _text_names(layers)]
            there = (name.replace(".text_model.", ".") for name in shapes)
            need_tensors((name.replace(".text_model.", ".") for name in (*unet, *text)), there, str(source.path))


def check_source(source: Source, *, own_vae: bool = True) -> None:
    """Refuse what :class:`~lora_tui.families.sd15.model.Sd15Model` could not load or would train wrongly.

    A pickle is looked at with :func:`check_shapes` when its tensors are read. Of a folder all parts are looked at,
    the VAE only when it is the model's ``own_vae`` that is used.

    Raises:
        UserError: another family, a part of a model, an inpainting model, one that predicts no noise, or one of
            which a file is missing, torn or damaged.
    """
    if source.kind == "pickle":
        return
    _check_kind(identify_model(source.path), source.path)
    if source.kind == "folder":
        _check_folder(source.path, own_vae)
        return
    header = read_header(source.path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    check_shapes(shapes, source.path)
    shape_of_file(shapes, source.path)
    if header.metadata.get("modelspec.prediction_type", "epsilon") not in ("epsilon", ""):
        raise _prediction(header.metadata["modelspec.prediction_type"], source.path)


def check_vae(path: Path, *, allow_pickle: bool = False) -> None:
    """Refuse a separate VAE that cannot be loaded: a file, a folder of its own, or the folder of a whole model.

    Raises:
        UserError: a file is missing, torn or damaged, or a tensor is missing.
    """
    if is_folder(path):
        _check_vae(path, "vae" if is_folder(path / "vae") else ".", pickles=allow_pickle)
        return
    shapes = tensor_shapes(path)
    _vae_widths(shapes, VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in shapes) else "", str(path))


def shape_of_file(shapes: Mapping[str, tuple[int, ...]], path: Path) -> Shape:
    """The shape of the single file ``path`` with tensors of these ``shapes``.

    Raises:
        UserError: a tensor that tells a width or a depth is missing (``model.incomplete``).
    """
    try:
        return shape_of_tensors(shapes)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            _("a part of Stable Diffusion 1.x is missing in it: {name}.").format(name=plain(str(error.args[0]))),
            place=str(path),
            remedy=_("Use a complete checkpoint (UNet, text encoder and VAE in one file)."),
            code="model.incomplete",
        ) from None


def check_shapes(shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Refuse a checkpoint in the original layout by the names and shapes of its tensors.

    Raises:
        UserError: it takes other channels than latents, or predicts velocity.
    """
    mark = next((name for name in VELOCITY_MARKS if name in shapes), "")
    if mark:
        raise _prediction(mark, path)
    taken, given = (shapes.get(f"{UNET_PREFIX}{name}.weight") for name in ("input_blocks.0.0", "out.2"))
    _check_channels(taken[1] if taken and len(taken) == 4 else None, given[0] if given else None, path)


def check_schedule(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a scheduler configuration that training does not follow.

    Raises:
        UserError: the model predicts no noise (``model.prediction``) or its table of noise is another
            (``model.schedule``).
    """
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction != "epsilon" or str(config.get("_class_name", "")).startswith("FlowMatch"):
        raise _prediction(prediction if prediction != "epsilon" else "flow", path)
    schedule = str(config.get("beta_schedule", BETA_SCHEDULES[0]))
    count = config.get("num_train_timesteps", TIMESTEPS)
    if schedule not in BETA_SCHEDULES:
        odd = f"beta_schedule = {schedule}"
    elif config.get("rescale_betas_zero_snr"):
        odd = "rescale_betas_zero_snr = true"
    elif config.get("trained_betas") is not None:
        odd = "trained_betas"
    elif count != TIMESTEPS:
        odd = f"num_train_timesteps = {count}"
    else:
        return
    raise UserError(
        _("its noise schedule is one that is not trained here: {setting}.").format(setting=plain(odd, limit=80)),
        place=str(path),
        remedy=_("Choose a base model with the noise schedule of Stable Diffusion 1.5."),
        code="model.schedule",
    )


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file of a model folder.

    Raises:
        UserError: it is missing or no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise UserError(
        _("it is no readable JSON object."),
        place=str(path),
        remedy=_("The model folder is damaged; fetch it again."),
        code="model.folder",
    )


def _check_kind(kind: ModelKind, path: Path) -> None:
    if kind.family != "sd15" or kind.kind not in ("checkpoint", "diffusers"):
        raise UserError(
            _("it is no Stable Diffusion 1.5 checkpoint but {found}.").format(found=kind.detail or kind.kind),
            place=str(path),
            remedy=_("Choose a base model of the family that model.family names."),
            code="model.family",
        )
    if kind.detail:
        raise _special(kind.detail, path)


def _check_folder(folder: Path, own_vae: bool) -> None:
    need(folder, "unet/config.json", "text_encoder/config.json")
    unet = read_json(folder / "unet" / "config.json")
    _check_channels(unet.get("in_channels", 4), unet.get("out_channels", 4), folder)
    there = tensors_of(weights_of(folder, "unet", DIFFUSERS_STEM), folder)
    need_tensors(_unet_names(), there, str(folder / "unet"))
    there = tensors_of(weights_of(folder, "text_encoder", TRANSFORMERS_STEM), folder)
    need_tensors(_text_names(_layers_of(folder)), there, str(folder / "text_encoder"))
    if own_vae:
        _check_vae(folder, "vae")
    if not is_file(folder / "tokenizer" / "tokenizer.json"):
        need(folder, "tokenizer/vocab.json", "tokenizer/merges.txt")
    path = folder / "scheduler" / "scheduler_config.json"
    if is_file(path):
        check_schedule(read_json(path), path)


def _check_vae(folder: Path, part: str, *, pickles: bool = False) -> None:
    need(folder, (Path(part) / "config.json").as_posix())
    read_json(folder / part / "config.json")
    weights = weights_of(folder, part, DIFFUSERS_STEM, pickles=pickles)
    if weights.files:
        shapes = {name: info.shape for name, info in tensors_of(weights, folder).items()}
        _vae_widths(shapes, "", str(folder / part))


def _vae_widths(shapes: Mapping[str, tuple[int, ...]], prefix: str, place: str) -> None:
    try:
        vae_channels(shapes, prefix)
    except (KeyError, IndexError) as error:
        raise incomplete(1, str(error.args[0]), place) from None


def _unet_names() -> list[str]:
    """Tensors of the layers that an adapter attaches to, which every UNet of the family has."""
    return [f"{target.path}.weight" for target in FACTS.targets(text_encoder=False)]


def _text_names(layers: int) -> list[str]:
    """The same of a text encoder with so many ``layers``."""
    first = [target.path for target in FACTS.targets() if ".layers.0." in f".{target.path}"]
    return [f"{path.replace('layers.0', f'layers.{layer}', 1)}.weight" for layer in range(layers) for path in first]


def _layers_of(folder: Path) -> int:
    path = folder / "text_encoder" / "config.json"
    layers = read_json(path).get("num_hidden_layers")
    if isinstance(layers, int) and 0 < layers <= MOST_LAYERS:
        return layers
    raise UserError(
        _("num_hidden_layers is no usual number of layers."),
        place=str(path),
        remedy=_("The model folder is damaged; fetch it again."),
        code="model.folder",
    )


def _check_channels(taken: int | None, given: int | None, path: Path) -> None:
    latent = FACTS.latent_channels
    for channels in (taken, given):
        if channels is not None and channels != latent:
            what = _("a model with {channels} channels where {latent} are usual")
            raise _special(what.format(channels=channels, latent=latent), path)


def _special(what: str, path: Path) -> UserError:
    return UserError(
        _("it is {what}, which is not trained here.").format(what=what),
        place=str(path),
        remedy=_("Choose the plain {family} checkpoint.").format(family=FACTS.title),
        code="model.special",
    )


def _prediction(found: str, path: Path) -> UserError:
    return UserError(
        _("it does not predict noise ({found}), and only models that do are trained here.").format(
            found=plain(found, limit=80)
        ),
        place=str(path),
        remedy=_("Choose a base model that predicts noise (epsilon)."),
        code="model.prediction",
    )
