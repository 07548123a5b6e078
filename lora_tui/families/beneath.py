"""LoRA files merged into the base model as it is loaded: what is trained or drawn then stands upon both.

The base model's files stay as they are. What is kept of the model (packed networks, embeddings of captions) is filed
under the LoRA files' content and strengths, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lora_tui.config.loras import MergedLora, read_loras
from lora_tui.errors import UserError
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.effects import is_norm
from lora_tui.weights.reading import PEFT_FILE, LoraLayer, OtherLayer, Stored, layers_by_name, read_lora

if TYPE_CHECKING:
    from lora_tui.config.schema import ModelSection
    from lora_tui.families.packed import Original


@dataclass(frozen=True)
class Beneath:
    """The LoRA files beneath a model of ``family``, in the order in which they are merged."""

    family: str = ""
    loras: tuple[MergedLora, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(expand(lora.place) for lora in self.loras)

    @property
    def words(self) -> tuple[str, ...]:
        """What decides the merged weights besides the files."""
        return tuple(f"lora * {lora.strength!r}" for lora in self.loras)

    def original(self, part: str, original: Original) -> Original:
        """``original`` with the files merged into it as it is loaded."""
        if not self.loras:
            return original
        return replace(
            original,
            load=lambda: self.into(part, original.load()),
            files=(*original.files, *self.files) if original.files else (),
            parts=(*original.parts, *self.words),
        )

    def into(self, part: str, module: Any) -> Any:
        """Merge what the files hold of ``part`` into ``module``, in float32 and rounded once, and return it.

        Raises:
            UserError: a file cannot be read, or a layer of it has another size.
        """
        if not self.loras:
            return module
        places = _places(part, module)
        known = layers_by_name(self.family, places)
        for lora, path in zip(self.loras, self.files, strict=True):
            for stem, layer in _read(path).all.items():
                target = places.get(known[stem]) if stem in known else None
                if target is None or not layer.fits(norm=is_norm(target)):
                    continue
                try:
                    _merge(layer, target, lora.strength)
                except ValueError:
                    raise _misfit(path, stem) from None
        return module

    def left_out(self, modules: Mapping[str, nn.Module], texts: Iterable[tuple[str, str]]) -> list[str]:
        """What the files hold and the model does not: names of layers, and of tensors that are no layer's.

        ``modules`` are parts in memory; ``texts`` the layers of those that are not, as (part, path).

        Raises:
            UserError: a file has nothing for this model.
        """
        if not self.loras:
            return []
        texts = tuple(texts)
        places = {
            *texts,
            *_norms(texts),
            *(place for part, module in modules.items() for place in _places(part, module)),
        }
        known = layers_by_name(self.family, places)
        found: list[str] = []
        for path in self.files:
            stored = _read(path)
            if not stored.all.keys() & known.keys():
                raise UserError(
                    _("none of its layers is one of the base model's."),
                    place=plain(str(path)),
                    remedy=_("Give LoRA files of the base model's family in model.loras."),
                    code="lora.unmatched",
                )
            found += [*(stem for stem in stored.all if stem not in known), *stored.strange]
        return found


def beneath_of(section: ModelSection) -> Beneath:
    """What ``model.loras`` asks for.

    Raises:
        UserError: one of its lines cannot be read.
    """
    return Beneath(section.family, read_loras(section.loras))


def _read(path: Path) -> Stored:
    """What ``path`` holds, read once for all parts of a model and what is said of it; its tensors are only looked at.

    Raises:
        UserError: it cannot be read.
    """
    return _read_once(path, _stamp(path), _stamp(path.with_name(PEFT_FILE)))


@lru_cache(maxsize=16)  # tensors stay in the file, which is mapped: what is kept takes hardly any memory
def _read_once(path: Path, *_stamps: tuple[int, ...]) -> Stored:
    return read_lora(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells that a file is another one, or was written again; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _norms(texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The norms of the text encoders whose layers are ``texts``, as CLIP has them."""
    for part, path in texts:
        block, found, _inner = path.partition(".self_attn.")
        if found:
            yield from ((part, f"{block}.layer_norm{number}") for number in (1, 2))
            yield part, "final_layer_norm"


def _places(part: str, module: nn.Module) -> dict[tuple[str, str], nn.Module]:
    """The linear layers, convolutions and norms of a part, as files count them."""
    root = getattr(module, "text_model", module) if part.startswith("text_encoder") else module
    return {
        (part, path): layer
        for path, layer in root.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) or is_norm(layer)
    }  # fmt: skip


@torch.no_grad()
def _merge(layer: LoraLayer | OtherLayer, target: nn.Module, strength: float) -> None:
    """Put ``layer`` at ``strength`` into the weight of ``target``, and into its bias.

    Raises:
        ValueError: it is for another size, or the target has no bias.
    """
    weight: Any = target.weight
    weight.copy_(layer.merged(weight, strength))
    if isinstance(layer, OtherLayer) and layer.bias is not None:
        bias: Any = target.bias
        if bias is None or bias.numel() != layer.bias.numel():
            raise ValueError
        bias.copy_(bias.float() + strength * layer.bias.to(bias.device, torch.float32).view(bias.shape))


def _misfit(path: Path, stem: str) -> UserError:
    return UserError(
        _("its layer {name} has another size than the base model's.").format(name=plain(stem, limit=120)),
        place=plain(str(path)),
        remedy=_("Give LoRA files of the base model's family in model.loras."),
        code="lora.unmatched",
    )
