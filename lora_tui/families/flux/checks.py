"""Where the parts of a FLUX.1 model lie and what they must be, from configuration files and headers. Knows no torch.

A folder in diffusers' layout has all parts. A single file has the transformer alone, or, as files for ComfyUI, the
encoders and the VAE, too; what it lacks is named by settings of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.shape import PATCH, Shape, T5Shape, bare, shape_of_folder, shape_of_tensors
from lora_tui.families.parts import DIFFUSERS_STEM, TRANSFORMERS_STEM, need, need_tensors, tensors_of, weights_of
from lora_tui.families.source import Source
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.shape import vae_channels
from lora_tui.places import expand, is_file, is_folder
from lora_tui.text import _, plain
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.names.flux_original import PREFIXES, original_names

#: part -> its folder in diffusers' layout
FOLDERS = {"transformer": "transformer", "clip_l": "text_encoder", "t5xxl": "text_encoder_2", "vae": "vae"}
#: part -> what its tensors begin with where it lies in one file with others
INSIDE = {"clip_l": "text_encoders.clip_l.transformer.", "t5xxl": "text_encoders.t5xxl.transformer.", "vae": "vae."}
#: part -> a tensor that tells that it is there, after that beginning
SIGNS = {
    "clip_l": ("text_model.embeddings.token_embedding.weight", "embeddings.token_embedding.weight"),
    "t5xxl": ("encoder.block.0.layer.0.SelfAttention.q.weight",),
    "vae": ("decoder.conv_in.weight",),
}
#: What each part is called on the screen.
TITLES = {"clip_l": "CLIP-L", "t5xxl": "T5-XXL", "vae": "VAE"}
SINGLE = tuple(SIGNS)
"""The parts that settings can name."""


@dataclass(frozen=True)
class Place:
    """Where a part lies: a folder with its configuration, or a file in which its tensors begin with ``prefix``."""

    path: Path
    prefix: str = ""

    @property
    def is_folder(self) -> bool:
        return is_folder(self.path)


def find_places(source: Source, named: Mapping[str, str]) -> dict[str, Place]:
    """Where each part of the model at ``source`` lies; ``named`` are the settings for parts of their own.

    Raises:
        UserError: a part is nowhere (``model.part``), or what a setting names is not that part.
    """
    found = {}
    if source.kind == "folder":
        found = {part: Place(source.path / folder) for part, folder in FOLDERS.items()}
    else:
        names = read_header(source.path).tensors
        prefix = next((one for one in PREFIXES if any(name.startswith(one) for name in names)), "")
        found["transformer"] = Place(source.path, prefix)
        found |= {part: Place(source.path, INSIDE[part]) for part in _parts_inside(source.path)}
    for part in SINGLE:
        if named.get(part):
            found[part] = named_place(part, expand(named[part]))
        elif part not in found:
            raise _lacking(part)
    return found


def _parts_inside(path: Path) -> tuple[str, ...]:
    """The parts that lie in a single file beside the transformer; all of them where it cannot be read."""
    try:
        names = read_header(path).tensors
    except UserError:
        return SINGLE
    return tuple(part for part in SINGLE if any(INSIDE[part] + sign in names for sign in SIGNS[part]))


def _lacking(part: str) -> UserError:
    return UserError(
        _("the base model is the transformer alone: {part} is not in it.").format(part=TITLES[part]),
        place=f"model.{part}",
        remedy=_("Name a file or folder with {part}, or choose a folder in diffusers' layout.").format(
            part=TITLES[part]
        ),
        code="model.part",
    )


def named_place(part: str, path: Path) -> Place:
    """Where ``part`` lies at ``path``: a file, a folder of its own, or the folder of a whole model.

    Raises:
        UserError: nothing is there, or it is something else.
    """
    if is_folder(path):
        inside = path / FOLDERS[part]
        folder = inside if is_folder(inside) else path
        need(folder, "config.json")
        return Place(folder)
    if not is_file(path):
        raise UserError(
            _("there is no file or folder {path}.").format(path=plain(str(path))),
            place=f"model.{part}",
            remedy=_("Check the path."),
            code="model.missing",
        )
    names = read_header(path).tensors
    for prefix in ("", INSIDE[part], *(("first_stage_model.",) if part == "vae" else ())):
        if any(prefix + sign in names for sign in SIGNS[part]):
            return Place(path, prefix)
    raise UserError(
        _("{name} holds no {part}.").format(name=plain(path.name), part=TITLES[part]),
        place=f"model.{part}",
        remedy=_("Choose the file that the model was published with."),
        code="model.part",
    )


def check_model(source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """Refuse a base model whose transformer could not be trained, and a folder with gaps.

    The encoders and the VAE of a single file are looked at by :func:`check_part`.

    Raises:
        UserError: it is of another family, an inpainting or control model, quantised in a way that is not read here,
            incomplete or damaged.
    """
    if source.kind == "pickle":
        raise UserError(
            _("FLUX.1 is not read from pickled files."),
            place=str(source.path),
            remedy=_("Use the .safetensors file, or a folder in diffusers' layout."),
            code="model.pickle",
        )
    kind = identify_model(source.path)
    if kind.family != FACTS.name or kind.kind not in ("checkpoint", "unet", "diffusers"):
        found = kind.detail or (kind.kind if kind.family == "unknown" else f"{kind.family} {kind.kind}")
        raise UserError(
            _("it is no {family} checkpoint but {found}.").format(family=FACTS.title, found=found),
            place=str(source.path),
            remedy=_("Choose a base model of the family that model.family names."),
            code="model.family",
        )
    shape = _shape_of_folder(source.path, own_vae) if source.kind == "folder" else _shape_of_file(source.path)
    if shape.channels != shape.latent_channels * PATCH**2:
        raise UserError(
            _("it takes {channels} channels, not {wanted}: an inpainting or control model.").format(
                channels=shape.channels, wanted=shape.latent_channels * PATCH**2
            ),
            place=str(source.path),
            remedy=_("Choose FLUX.1 dev or schnell, or a model made from them."),
            code="model.inpainting",
        )


def check_vae(path: Path, *, allow_pickle: bool = False) -> None:
    """Refuse a separate VAE that is none of FLUX.1.

    Raises:
        UserError: see :func:`check_part`.
    """
    check_part("vae", path)


def check_part(part: str, path: Path) -> None:
    """Refuse what the setting ``model.PART`` names when it is not that part of a FLUX.1 model, or damaged.

    Raises:
        UserError: what is missing or wrong.
    """
    place = named_place(part, path)
    if place.is_folder:
        stem = DIFFUSERS_STEM if part == "vae" else TRANSFORMERS_STEM
        tensors_of(weights_of(place.path.parent, place.path.name, stem), place.path.parent)
        return
    shapes = {name: info.shape for name, info in read_header(place.path).tensors.items()}
    try:
        if part == "clip_l":
            clip_encoder(place).shape_of(shapes)
        elif part == "t5xxl":
            t5_shape(shapes, place.prefix)
        else:
            vae_channels(shapes, place.prefix)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            _("a part of {family} is missing in it: {name}.").format(
                family=TITLES[part], name=plain(str(error.args[0]))
            ),
            place=str(path),
            remedy=_("Fetch or copy the model again, with all its files, or choose another."),
            code="model.incomplete",
        ) from None


def part_flaws(base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
    """See :func:`lora_tui.families.part_flaws`; a base model that cannot be read is no matter of its parts."""
    inside = _parts_inside(base) if is_file(base) else SINGLE
    found = []
    for part in SINGLE:
        try:
            if named.get(part):
                check_part(part, expand(named[part]))
            elif part not in inside:
                raise _lacking(part)
        except UserError as flaw:
            found.append((part, flaw))
    return found


def clip_encoder(place: Place) -> Encoder:
    """CLIP-L as a single file holds it at ``place``."""
    return Encoder(prefix=place.prefix)


def t5_shape(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> T5Shape:
    """The shape of the T5 encoder whose tensors' names begin with ``prefix``.

    Raises:
        KeyError: a tensor that every such encoder has is missing.
    """
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    vocabulary, width = own["shared.weight"] if "shared.weight" in own else own["encoder.embed_tokens.weight"]
    block = "encoder.block.0.layer."
    heads = own[f"{block}0.SelfAttention.relative_attention_bias.weight"][1]
    layers = 0
    while f"encoder.block.{layers}.layer.0.SelfAttention.q.weight" in own:
        layers += 1
    return T5Shape(
        width=width,
        layers=layers,
        inner=own[f"{block}1.DenseReluDense.wi_0.weight"][0],
        heads=heads,
        head_width=own[f"{block}0.SelfAttention.q.weight"][0] // heads,
        vocabulary=vocabulary,
    )


def _shape_of_folder(folder: Path, own_vae: bool) -> Shape:
    parts = [part for part in FOLDERS.values() if own_vae or part != "vae"]
    need(folder, *(f"{part}/config.json" for part in FOLDERS.values()))
    for part in parts:
        stem = TRANSFORMERS_STEM if part.startswith("text_encoder") else DIFFUSERS_STEM
        tensors_of(weights_of(folder, part, stem), folder)
    try:
        return shape_of_folder(folder, FACTS.full)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            _("it is no readable JSON object."),
            place=str(folder),
            remedy=_("The model folder is damaged; fetch it again."),
            code="model.folder",
        ) from None


def _shape_of_file(path: Path) -> Shape:
    tensors = read_header(path).tensors
    if any(name.endswith((".absmax", ".quant_map")) for name in tensors):
        raise UserError(
            _("its weights are packed into 4 bits by bitsandbytes, which is not read here."),
            place=str(path),
            remedy=_("Use the model in bf16 or fp8; memory.base_weights packs it here."),
            code="model.packed",
        )
    shapes = {bare(name): info.shape for name, info in tensors.items()}
    try:
        shape = shape_of_tensors(shapes, FACTS.full)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            _("a part of {family} is missing in it: {name}.").format(
                family=FACTS.title, name=plain(str(error.args[0]))
            ),
            place=str(path),
            remedy=_("Fetch or copy the model again, with all its files, or choose another."),
            code="model.incomplete",
        ) from None
    need_tensors(original_names(shape.double, shape.single, guidance=shape.guidance), shapes, str(path))
    return shape
