"""In which precision the tensors of a model are written, and what rounding to it makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families.parts import FACTORS, is_weight
from lora_tui.text import _, plain
from lora_tui.weights.base import BaseFile, BaseModel
from lora_tui.weights.base_reader import DTYPES, BaseReader
from lora_tui.weights.blocks import IN, OUT, slot_of

Precision = Literal["keep", "fp32", "fp16", "bf16", "fp8"]
PRECISIONS: tuple[Precision, ...] = ("keep", "fp32", "fp16", "bf16", "fp8")
_OF = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
EIGHT = torch.float8_e4m3fn
MARK = "scaled_fp8"
"""What ComfyUI looks for in a file whose weights have a factor each."""
FACTOR = ".scale_weight"
_VAES = ("first_stage_model.", "vae.")
"""Beginnings of tensors of a VAE in one file with others: no LoRA changes it, and halves overflow in some."""
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


@dataclass(frozen=True)
class Stored:
    """How one tensor is written.

    Attributes:
        dtype: its type.
        factor: the name of the tensor with the factor of its numbers; empty where it has none.
        factor_shape: of that tensor; one number for each row, or one for all.
        same: whether nothing but a LoRA changes it.
    """

    dtype: torch.dtype
    factor: str = ""
    factor_shape: tuple[int, ...] = ()
    same: bool = True


def storage(base: BaseModel, file: BaseFile, precision: Precision) -> dict[str, Stored]:
    """How each tensor of ``file`` is written; factors stand with the weights they belong to, and are no tensors here.

    Raises:
        UserError: a tensor has a type that is not read here, or 8 bits are asked for in a folder (``lora.precision``).
    """
    if precision == "fp8" and base.is_folder:
        raise UserError(
            _("a folder in diffusers' layout cannot hold weights of 8 bits with their factors."),
            place="--precision fp8",
            remedy=_("Choose bf16 or fp16, or bake into a single file."),
            code="lora.precision",
        )
    reader = BaseReader(base)
    found: dict[str, Stored] = {}
    for name, info in file.tensors.items():
        if name.endswith(FACTORS) or (not is_weight(name) and precision != "keep"):
            continue
        if info.dtype not in DTYPES:
            reader.raw(file, name)  # says so
        own, factor = DTYPES[info.dtype], reader.factor(file, name)
        shape = file.tensors[factor].shape if factor else ()
        if precision == "keep" or (info.dtype not in FLOATS and not factor) or name.startswith(_VAES):
            found[name] = Stored(own, factor, shape)
        elif precision != "fp8":
            found[name] = Stored(_OF[precision], same=own == _OF[precision])
        elif _in_block(base, file, name):
            found[name] = Stored(EIGHT, name.removesuffix(".weight") + FACTOR, (), same=False)
        else:
            wide = own.itemsize != 2
            found[name] = Stored(torch.bfloat16 if wide else own, same=not wide)
    return found


def _in_block(base: BaseModel, file: BaseFile, name: str) -> bool:
    """Whether it is a matrix within a block of the network that draws: those are what 8 bits suffice for."""
    held = file.holds.get(name, ())
    if not held or held[0].kind != "weight" or len(file.tensors[name].shape) != 2:
        return False
    slot = slot_of(base.family, held[0].place)
    return not held[0].place[0].startswith("text_encoder") and slot not in ("", IN, OUT)


def mark(base: BaseModel, file: BaseFile, stored: Mapping[str, Stored]) -> dict[str, Tensor]:
    """The tensor that tells ComfyUI of factors, where weights got some that had none."""
    new = next((name for name, how in stored.items() if how.factor and how.factor not in file.tensors), None)
    if new is None:
        return {}
    prefix = next((one for one in ("model.diffusion_model.", "diffusion_model.") if new.startswith(one)), "")
    return {prefix + MARK: torch.zeros(2, dtype=EIGHT)}


def rounded(numbers: Tensor, how: Stored) -> tuple[Tensor, Tensor | None]:
    """``numbers`` (float32) as they are stored, and their factor; the first times the second are the numbers.

    What is too large for the type becomes infinite, except in 8 bits, where it becomes the largest.
    """
    if not how.factor:
        if how.dtype.itemsize == 1 and how.dtype.is_floating_point:
            most = torch.finfo(how.dtype).max
            return numbers.clamp(-most, most).to(how.dtype), None
        return numbers.to(how.dtype), None
    whole = not how.dtype.is_floating_point
    most = torch.iinfo(how.dtype).max if whole else torch.finfo(how.dtype).max
    rows = len(how.factor_shape) > 0 and how.factor_shape[0] == numbers.shape[0] and numbers.shape[0] > 1
    highest = numbers.abs().flatten(1).amax(dim=1) if rows else numbers.abs().amax()
    factor = torch.where(highest > 0, highest / most, torch.ones_like(highest))
    spread = factor.reshape(-1, *[1] * (numbers.dim() - 1)) if rows else factor
    quotient = (numbers / spread).clamp(-most, most)
    return (quotient.round() if whole else quotient).to(how.dtype), factor.reshape(how.factor_shape)


def numbers(stored: Tensor, factor: Tensor | None) -> Tensor:
    """What :func:`rounded` gave as numbers again, float32."""
    found = stored.float()
    if factor is not None:
        found *= factor.reshape(-1, *[1] * (found.dim() - 1)) if factor.numel() > 1 else factor.reshape(())
    return found


def check_overflow(numbers: Tensor, stored: Tensor, file: BaseFile, name: str) -> None:
    """Refuse numbers that became infinite by being stored.

    Raises:
        UserError: ``lora.overflow``.
    """
    if (
        stored.dtype.itemsize > 1
        and stored.is_floating_point()
        and not stored.isfinite().all()
        and numbers.isfinite().all()
    ):
        raise UserError(
            _("numbers of its tensor {name} are too large for {type}.").format(
                name=plain(name, limit=120), type=str(stored.dtype).removeprefix("torch.")
            ),
            place=plain(str(file.path)),
            remedy=_("Choose bf16 or fp32."),
            code="lora.overflow",
        )
