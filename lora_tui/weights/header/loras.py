"""What a LoRA file holds: family, kind of adapter, naming, ranks, alphas and metadata, without its tensors.

Reads the names that sd-scripts, lycoris-lora, diffusers, peft, OneTrainer and ComfyUI write. Only the alpha
scalars (a few bytes each) are read from the body, so that a file of any size takes milliseconds.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, read_header, read_scalars
from lora_tui.weights.header.models import CROSS_WIDTHS, UNKNOWN, identify_tensors, is_lora

Tensors = Mapping[str, TensorInfo]

_ENDING = re.compile(
    r"\.(?P<ending>"
    r"lora_(?:down|up|mid)\.weight|lora_[AB](?:\.\w+)?\.weight|lora_magnitude_vector(?:\.\w+)?(?:\.weight)?"
    r"|lora\.(?:down|up)\.weight|lora_linear_layer\.(?:down|up)\.weight|alpha|dora_scale"
    r"|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)"
    r"|oft_(?:blocks|diag|R(?:\.\w+)?(?:\.weight)?)|[ab][12]\.weight|on_input|diff(?:_b)?|[wb]_norm"
    r")\Z"
)
_PROCESSOR = re.compile(r"\.processor\.(?P<layer>to_\w+?)_lora\.(?P<side>down|up)\.weight\Z")
_PREFIXES = (
    ("lora_unet_", "kohya"),
    ("lora_te", "kohya"),
    ("lora_transformer_", "onetrainer"),
    ("lycoris_", "lycoris"),
    ("base_model.model.", "peft"),
    ("diffusion_model.", "comfyui"),
    ("text_encoders.", "comfyui"),
    ("unet.", "diffusers"),
    ("transformer.", "diffusers"),
    ("text_encoder", "diffusers"),
)
_VERSIONS = (
    ("sdxl", "sdxl"),
    ("stable-diffusion-xl", "sdxl"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v1", "sd15"),
    ("sd_1.5", "sd15"),
    ("sd15", "sd15"),
    ("stable-diffusion-v1", "sd15"),
    ("sd3", "sd3"),
    ("stable-diffusion-3", "sd3"),
    ("flux2", "flux2"),
    ("flux-2", "flux2"),
    ("flux.2", "flux2"),
    ("flux", "flux"),
    ("chroma", "chroma"),
    ("qwen", "qwen"),
    ("zimage", "zimage"),
    ("z-image", "zimage"),
)
"""Beginnings of ``ss_base_model_version`` and ``modelspec.architecture``."""
HASH_KEYS = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "ss_new_sd_model_hash", "ss_sd_model_hash")


PARTS = (
    ("text_encoder_3", re.compile(r"lora_te3_|(?:base_model\.model\.)?text_encoder_3\.|t5xxl\.|text_encoders\.t5")),
    (
        "text_encoder_2",
        re.compile(r"lora_te2_|(?:base_model\.model\.)?text_encoder_2\.|clip_g\.|te2_|text_encoders\.clip_g"),
    ),
    (
        "text_encoder",
        re.compile(r"lora_te|(?:base_model\.model\.)?text_(?:encoder|model)|clip_l\.|te1?_|text_encoders\."),
    ),
)
"""How names of layers of text encoders begin; all others belong to the part that draws."""
DENOISER = "denoiser"
_GROUPS = (
    ("attention", re.compile(r"attn|attention|to_[qkv]|[qkv]_proj|qkv")),
    ("feed-forward", re.compile(r"(?:^|[._])(?:ff|mlp|feed_forward|fc[12]|linear[12]|proj_mlp)")),
    ("convolution", re.compile(r"resnets|conv|(?:in|out)_layers|samplers|skip_connection|_op$")),
)


@dataclass(frozen=True)
class Group:
    """Layers of one part that do the same: ``attention``, ``feed-forward``, ``convolution`` or ``other``.

    ``ranks`` and ``alphas`` as in :class:`LoraInfo`; of the alphas only those that stand beside the layers.
    """

    part: str
    what: str
    modules: int
    ranks: dict[int, int]
    alphas: dict[float, int]


@dataclass(frozen=True)
class LoraInfo:
    """A LoRA file in figures.

    Attributes:
        family: see :class:`~lora_tui.weights.header.models.ModelKind`.
        layout: whose names the file uses: ``kohya``, ``diffusers``, ``peft``, ``comfyui``, ``onetrainer``,
            ``lycoris`` or ``unknown``.
        kind: ``lora``, ``locon`` (with convolutions wider than 1x1), ``dora``, ``loha``, ``lokr``, ``oft``,
            ``glora``, ``ia3``, ``full`` or ``unknown``.
        ranks: modules by rank; modules without one (full matrices) are not counted.
        alphas: modules by alpha; empty when the file states none, which every program reads as alpha = rank.
        modules, unet_modules, text_encoder_modules: adapted layers; transformers count as UNet.
        dtype: type of most values (``F16``); alphas, of which each layer has one, are often of another.
        size: bytes.
        metadata: as written.
        hashes: those that the metadata state; none is computed.
        groups: the layers by part (``denoiser``, ``text_encoder``, ``text_encoder_2``, ``text_encoder_3``) and by what
            they do.
    """

    family: str
    layout: str
    kind: str
    ranks: dict[int, int]
    alphas: dict[float, int]
    modules: int
    unet_modules: int
    text_encoder_modules: int
    dtype: str
    size: int
    metadata: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``rank`` and ``alpha`` are the commonest."""
        data = asdict(self)
        data["rank"], data["alpha"] = self.rank, self.alpha
        for table in (data, *data["groups"]):
            table["ranks"] = {str(rank): number for rank, number in table["ranks"].items()}
            table["alphas"] = {f"{alpha:g}": number for alpha, number in table["alphas"].items()}
        data["parts"] = self.parts
        return data

    @property
    def parts(self) -> dict[str, int]:
        """Adapted layers by part."""
        found: Counter[str] = Counter()
        for group in self.groups:
            found[group.part] += group.modules
        return dict(found)

    @property
    def rank(self) -> int | None:
        """The rank of most modules; none when no module has one."""
        return next(iter(self.ranks), None)

    @property
    def alpha(self) -> float | None:
        """The alpha of most modules; none when the file states none."""
        return next(iter(self.alphas), None)


def lora_info(path: Path) -> LoraInfo:
    """The figures of the LoRA file at ``path``.

    Raises:
        UserError: it cannot be read or is damaged (see ``read_header``), it is no LoRA (``lora.not_a_lora``), or an
            alpha is no finite number (``lora.damaged``).
    """
    header = read_header(path)
    modules = _modules(header.tensors)
    if not is_lora(header.tensors) or not modules:
        what = identify_tensors(header.tensors)
        known = what.kind if what.family == UNKNOWN else f"{what.family} {what.kind}"
        raise UserError(
            _("it holds no LoRA."),
            place=plain(str(path)),
            remedy=_("It looks like this: {what}.").format(what=known) if known != UNKNOWN else "",
            code="lora.not_a_lora",
        )
    text = sum(1 for module in modules if part_of(module) != DENOISER)
    metadata = header.metadata
    alphas = _alphas(path, modules, metadata)
    return LoraInfo(
        family=lora_family(header.tensors, metadata),
        layout=_layout(modules),
        kind=_kind(modules),
        ranks=_by_frequency(filter(None, (_rank(parts) for parts in modules.values()))),
        alphas=_by_frequency(alphas.values()),
        modules=len(modules),
        unet_modules=len(modules) - text,
        text_encoder_modules=text,
        dtype=_dtype(header.tensors),
        size=header.size,
        metadata=metadata,
        hashes={key: metadata[key] for key in HASH_KEYS if metadata.get(key)},
        groups=tuple(_groups(modules, alphas)),
    )


def part_of(module: str) -> str:
    """The part that a layer belongs to, by its name in the file."""
    return next((part for part, pattern in PARTS if pattern.match(module)), DENOISER)


def _groups(modules: Mapping[str, Mapping[str, TensorInfo]], alphas: Mapping[str, float]) -> Iterator[Group]:
    found: dict[tuple[str, str], list[str]] = {}
    for module in modules:
        what = next((name for name, pattern in _GROUPS if pattern.search(module)), "other")
        found.setdefault((part_of(module), what), []).append(module)
    for (part, what), names in sorted(found.items()):
        ranks = _by_frequency(filter(None, (_rank(modules[name]) for name in names)))
        yield Group(part, what, len(names), ranks, _by_frequency(alphas[name] for name in names if name in alphas))


def lora_family(tensors: Tensors, metadata: Mapping[str, str]) -> str:
    """The family a LoRA belongs to: by the names and widths of its layers, then by what its metadata claim."""
    tensors = {name.replace("_", "."): tensor for name, tensor in tensors.items()}
    structure = _family_by_names(tensors)
    claims = [metadata.get(key, "").lower() for key in ("ss_base_model_version", "modelspec.architecture")]
    claimed = (family for claim in claims for start, family in _VERSIONS if claim.startswith(start))
    claim = next(claimed, UNKNOWN)
    if structure == UNKNOWN or (structure, claim) in _SHARED:
        return claim
    if {structure, claim} == {"sd15", "sd2"} and _text_width(tensors) not in CROSS_WIDTHS:
        return claim
    return structure


#: What the names of layers say, and what the metadata may say in its place: their layers share names.
_SHARED = (("flux", "flux2"), ("flux", "chroma"))


def _modules(tensors: Tensors) -> dict[str, dict[str, TensorInfo]]:
    """The adapter's tensors by the layer they belong to; tensors of no known kind are left out."""
    found: dict[str, dict[str, TensorInfo]] = {}
    for name, tensor in tensors.items():
        if match := _ENDING.search(name):
            found.setdefault(name[: match.start()], {})[_short(match["ending"])] = tensor
        elif match := _PROCESSOR.search(name):
            module = f"{name[: match.start()]}.{match['layer']}"
            found.setdefault(module, {})[f"lora_{match['side']}"] = tensor
    return {module: parts for module, parts in found.items() if set(parts) != {"alpha"}}


def _short(ending: str) -> str:
    """One name for what several programs call differently."""
    for beginning, short in (
        ("lora_A", "lora_down"),
        ("lora_B", "lora_up"),
        ("lora.down", "lora_down"),
        ("lora.up", "lora_up"),
        ("lora_linear_layer.down", "lora_down"),
        ("lora_linear_layer.up", "lora_up"),
        ("lora_magnitude_vector", "dora_scale"),
        ("oft_R", "oft_blocks"),
    ):
        if ending.startswith(beginning):
            return short
    return ending.removesuffix(".weight")


def _layout(modules: Mapping[str, object]) -> str:
    return Counter(map(layout_of, modules)).most_common(1)[0][0]


def layout_of(module: str) -> str:
    """Whose name a layer has, see :attr:`LoraInfo.layout`."""
    return next((layout for start, layout in _PREFIXES if module.startswith(start)), UNKNOWN)


def _kind(modules: Mapping[str, Mapping[str, TensorInfo]]) -> str:
    votes = Counter(_module_kind(parts) for parts in modules.values())
    if votes["dora"]:
        return "dora"
    commonest = votes.most_common(1)[0][0]
    return "locon" if commonest == "lora" and votes["locon"] else commonest


def _module_kind(parts: Mapping[str, TensorInfo]) -> str:
    if "lora_down" in parts:
        if "dora_scale" in parts:
            return "dora"
        kernel = parts["lora_down"].shape[2:]
        return "locon" if any(side > 1 for side in kernel) else "lora"
    for beginning, kind in (
        ("hada_", "loha"),
        ("lokr_", "lokr"),
        ("oft_", "oft"),
        ("on_input", "ia3"),
        ("a1", "glora"),
    ):
        if any(part.startswith(beginning) for part in parts):
            return kind
    return "full" if any(part.startswith(("diff", "w_norm", "b_norm")) for part in parts) else UNKNOWN


def _rank(parts: Mapping[str, TensorInfo]) -> int:
    """The rank of one module; 0 when it has none."""
    for part, axis in (("lora_down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("lokr_w1_b", 0), ("a1", 0)):
        tensor = parts.get(part)
        if tensor is not None and len(tensor.shape) > axis:
            return tensor.shape[axis]
    return 0


def _alphas(
    path: Path, modules: Mapping[str, Mapping[str, TensorInfo]], metadata: Mapping[str, str]
) -> dict[str, float]:
    stated = {module: parts["alpha"] for module, parts in modules.items() if "alpha" in parts}
    alphas = read_scalars(path, stated) if stated else _adapter_alphas(modules, metadata)
    for module, alpha in alphas.items():
        if not math.isfinite(alpha):
            raise alpha_error(path, module)
    return alphas


def _adapter_alphas(modules: Mapping[str, object], metadata: Mapping[str, str]) -> dict[str, float]:
    """Alphas from diffusers' JSON text ``lora_adapter_metadata``: ``unet.lora_alpha`` for all modules of ``unet``."""
    try:
        settings = json.loads(metadata.get("lora_adapter_metadata", ""))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(settings, dict):
        return {}
    found = {}
    for module in modules:
        alpha = stated_number(settings.get(f"{module.split('.', 1)[0]}.lora_alpha"))
        if alpha is not None:
            found[module] = alpha
    return found


def stated_number(value: object) -> float | None:
    """A number of JSON; infinite where it is beyond float64, none for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def alpha_error(path: Path, module: str) -> UserError:
    """The error for a layer of ``path`` whose alpha is infinite or no number."""
    return UserError(
        _("the alpha of its layer {name} is no finite number.").format(name=plain(module, limit=120)),
        place=plain(str(path)),
        remedy=_("The file is damaged; fetch it again."),
        code="lora.damaged",
    )


def _family_by_names(tensors: Tensors) -> str:
    """``tensors`` by name with every underscore replaced by a dot, so that all layouts look alike."""
    names = "\n".join(tensors)
    for family, pattern in _STRUCTURES:
        if pattern.search(names):
            return family
    if _UNET_BLOCK.search(names):
        return _unet_lora_family(tensors)
    if _FLUX_STREAMS.search(names):
        return _stream_family(tensors)
    if re.search(r"^lora\.te\.text\.model", names, re.MULTILINE):
        return "sd15"
    return UNKNOWN


_STRUCTURES = (
    ("chroma", re.compile(r"distilled\.guidance\.layer")),
    ("qwen", re.compile(r"transformer\.blocks\.\d+\.(?:img|txt)\.(?:mod|mlp)")),
    ("sd3", re.compile(r"joint\.blocks\.\d+")),
    (
        "zimage",
        re.compile(r"(?:noise|context)\.refiner\.\d+|(?<!encoder\.)layers\.\d+\.(?:attention\.|feed\.forward\.|adaLN)"),
    ),
    ("sdxl", re.compile(r"(?:input\.blocks|output\.blocks|middle\.block)\.\d+|^lora\.te2\.", re.MULTILINE)),
)
_UNET_BLOCK = re.compile(r"(?:down|up)\.blocks\.\d+\.(?:attentions|resnets|downsamplers|upsamplers)|mid\.block")
_FLUX_STREAMS = re.compile(
    r"(?:double|single)\.blocks\.\d+|(?:single\.)?transformer\.blocks\.\d+\.(?:attn|proj|norm|ff)"
)


_CROSS_DOWN = re.compile(r"attn2\.(?:processor\.)?to\.k\.(?:\S*(?:down|A)|hada\.w1\.b$|a2\.weight$|diff$)")


def _unet_lora_family(tensors: Tensors) -> str:
    """SD1.5, SD2 or SDXL by the depth of the transformers and the width of the text features."""
    if any(re.search(r"attentions\.\d+\.transformer\.blocks\.[1-9]", name) for name in tensors):
        return "sdxl"
    if family := CROSS_WIDTHS.get(_text_width(tensors) or 0):
        return family
    linear = any(re.search(r"proj\.in\.lora\.(?:down|A)", name) and len(t.shape) == 2 for name, t in tensors.items())
    return "sd2" if linear else "sd15"


def _text_width(tensors: Tensors) -> int | None:
    """The width of the text features that a UNet's layers read, where some layer tells it (LoKr's do not)."""
    widths = (t.shape[1] for name, t in tensors.items() if _CROSS_DOWN.search(name) and len(t.shape) > 1)
    return next(widths, None)


def _stream_family(tensors: Tensors) -> str:
    """FLUX, its successors, and SD3 in diffusers' names, told apart by single-stream blocks and widths."""
    single = any(re.search(r"single\.(?:transformer\.)?blocks", name) for name in tensors)
    if _FLUX2.search("\n".join(tensors)) or _wide_gates(tensors):
        return "flux2"
    if single or any(name.startswith(("lora.unet.double", "diffusion.model.double")) for name in tensors):
        return "flux"
    widths = {
        tensor.shape[1]
        for name, tensor in tensors.items()
        if re.search(r"to\.q\.\S*(?:down|A)", name) and len(tensor.shape) > 1
    }
    if widths & {1536, 2432}:
        return "sd3"
    numbers = (re.match(r"\S*?transformer\.blocks\.(\d+)\.attn", name) for name in tensors)
    return "qwen" if 3072 in widths and any(found and int(found[1]) >= FLUX_BLOCKS for found in numbers) else UNKNOWN


FLUX_BLOCKS = 19
"""Blocks of FLUX.1 with two streams, which are as wide as Qwen-Image's 60 and have attentions of the same names."""
_FLUX2 = re.compile(r"(?:single|double)\.stream\.modulation|to\.qkv\.mlp\.proj|ff(?:\.context)?\.linear\.(?:in|out)")
_GATES = re.compile(r"(?P<layer>\S*(?:(?:img|txt)\.mlp\.0|\.linear1))\.lora\.(?P<side>up|B)\.weight\Z")
"""Layers that FLUX.1 and FLUX.2 call alike, and of which FLUX.2's are the wider."""


def _wide_gates(tensors: Tensors) -> bool:
    """Whether such layers give as much as FLUX.2's: 6 times the hidden states in double blocks, 9 in single ones."""
    for name, up in tensors.items():
        if found := _GATES.match(name):
            layer, side = found["layer"], "down" if found["side"] == "up" else "A"
            down = tensors.get(f"{layer}.lora.{side}.weight")
            if down is not None and len(down.shape) == len(up.shape) == 2:
                return up.shape[0] == (9 if layer.endswith("linear1") else 6) * down.shape[1]
    return False


def _dtype(tensors: Tensors) -> str:
    """The type of most values, so that a scalar counts as one and a matrix as many."""
    values: Counter[str] = Counter()
    for tensor in tensors.values():
        values[tensor.dtype] += math.prod(tensor.shape)
    return values.most_common(1)[0][0]


def _by_frequency(values: Any) -> dict[Any, int]:
    """Values and how often they occur, the commonest first."""
    return dict(Counter(values).most_common())
