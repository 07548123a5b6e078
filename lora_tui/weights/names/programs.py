"""The names that programs give to layers in LoRA files, to be written; :mod:`.known` has those that are read. No torch.

kohya is sd-scripts; its names are read by A1111, Forge and ComfyUI, too. OneTrainer's are those it calls legacy, which
every version of it reads. ai-toolkit trains UNets with kohya's names, and transformers with an alpha that is the rank
and that it does not write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lora_tui.weights.names import FUSED, dotted, folds, names_for
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.sgm import sgm_path

Program = Literal["kohya", "diffusers", "peft", "ai-toolkit", "onetrainer", "comfyui"]
PROGRAMS: tuple[Program, ...] = get_args(Program)
_UNETS = ("sd15", "sd2", "sdxl")
_CLIP = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}


@dataclass(frozen=True)
class Naming:
    """How one program names the layers of one family.

    Attributes:
        fused: whether layers of the transformer have its makers' names, several of diffusers' in one.
        alpha: whether an alpha stands beside the matrices; otherwise it counts as the rank.
    """

    program: Program
    family: str
    fused: bool
    alpha: bool

    def stem(self, part: str, path: str) -> str:
        """The layer's name; ``path`` is the makers' where they are fused.

        Raises:
            KeyError: the program has no name for such a layer.
        """
        text = part.startswith("text_encoder")
        if self.program == "peft":
            return f"base_model.model.{path}"
        if self.program == "comfyui" and text:
            return f"text_encoders.{_CLIP[part]}.transformer.text_model.{path}"
        if self.program == "onetrainer":
            return self._onetrainer(part, path)
        if self.program == "comfyui" and part == "unet":
            return f"diffusion_model.{self._original(path)}"
        if self.program in ("comfyui", "ai-toolkit") and not text and self.family not in _UNETS:
            below = "transformer" if self.program == "ai-toolkit" and self.family in ("flux", "sd3") else ""
            return f"{below or 'diffusion_model'}.{path}"
        if self.program == "ai-toolkit" and text and self.family not in _UNETS:
            return dotted.tensor_name(part, path, "").removesuffix(".")
        layout: Literal["kohya", "diffusers"] = "diffusers" if self.program == "diffusers" else "kohya"
        return names_for(self.family, layout).tensor_name(part, path, "").removesuffix(".")

    def tensor(self, stem: str, kind: str) -> str:
        """The name of one tensor of the layer ``stem``; ``kind`` as kohya calls it."""
        if stem.startswith(("lora_", "lycoris_")):
            return f"{stem}.{'dora_scale' if kind == 'lora_magnitude_vector' else kind}"
        if kind == "lora_magnitude_vector" and self.program not in ("diffusers", "peft"):
            kind = "dora_scale"
        return f"{stem}.{dotted.KINDS.get(kind, kind)}"

    def _onetrainer(self, part: str, path: str) -> str:
        flat = path.replace(".", "_")
        if part == "text_encoder" and self.family in ("sd15", "sd2"):
            return f"lora_te_text_model_{flat}"
        if part.startswith("text_encoder"):
            return f"lora_te{2 if part == 'text_encoder_2' else 1}_text_model_{flat}"
        return f"lora_{part}_{flat}"

    def _original(self, path: str) -> str:
        try:
            return sgm_path(path, top_attends=self.family == "sdxl")
        except ValueError:
            raise KeyError(path) from None


def naming(program: Program, family: str) -> Naming:
    """See :class:`Naming`.

    Raises:
        KeyError: there is no such family.
    """
    names_for(family)
    if program == "kohya":
        return Naming(program, family, family in FUSED, alpha=True)
    if program == "diffusers":
        return Naming(program, family, fused=False, alpha=not folds(family, "diffusers"))
    if program == "ai-toolkit":
        return Naming(program, family, family in ("flux2", "chroma"), alpha=family in _UNETS)
    if program == "comfyui":
        return Naming(program, family, family in ORIGINALS and family != "zimage", alpha=True)
    return Naming(program, family, fused=False, alpha=program != "peft")
