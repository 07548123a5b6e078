"""Facts that families with separate parts tell alike; what is a family's own it says in methods. Knows no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from lora_tui.errors import UserError
from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.places import bare_shapes
from lora_tui.families.unet.shape import TextShape
from lora_tui.families.unet.targets import text_targets
from lora_tui.places import exists, expand


class Shaped(Protocol):
    """What a family calls the widths and depths of a whole model: a frozen dataclass."""

    @property
    def text_width(self) -> int:
        """Of what the transformer reads of one token of a caption."""


S = TypeVar("S", bound=Shaped)
Told = TypeVar("Told", bound=Shaped, contravariant=True)


class Kept(Protocol[Told]):
    """What the transformer keeps of one image of ``pixels`` (width, height) and its text, in bytes."""

    def __call__(
        self, shape: Told, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool
    ) -> int: ...


ENCODER_VALUES = 26
"""Values that a layer of CLIP keeps for each position and unit of width."""
FULL_BYTES = 4
LEAN = {False: 0.87, True: 0.77}
"""The share that blocks keep in half precision where adapters need no float32 copies of what goes into their layers, by
whether blocks are computed again: the mean of what the tests of planned memory measured for six families."""


@dataclass(frozen=True, eq=False)
class SeparateFacts(ABC, Generic[S]):
    """The part of :class:`lora_tui.families.protocol.Facts` that such families share; a family derives from it.

    Attributes:
        full: the shape of the published model, which holds where nothing can be read.
        of_folder: reads a diffusers folder's configuration files; see :meth:`shape_of_folder`.
        of_tensors: reads a transformer in its makers' layout, by bare names; see :meth:`shape_of_tensors`.
        layers: those of the transformer that adapters attach to, in the order of the forward pass.
        kept: see :class:`Kept`.
        published: see :meth:`lora_tui.families.protocol.Facts.versions`.
    """

    name: str
    title: str
    full: S
    of_folder: Callable[[Path, S], S]
    of_tensors: Callable[[Mapping[str, tuple[int, ...]], S], S]
    layers: Callable[[S], Iterable[TargetModule]]
    kept: Kept[S]
    separate: tuple[str, ...]
    implementation: str
    published: tuple[str, str]
    text_layer: int = 0
    resolution: int = 1024
    size_multiple: int = 16
    latent_factor: int = 8
    latent_channels: int = 16
    denoiser: str = "transformer"

    # -- the family's own ----------------------------------------------------------------------------------------

    @abstractmethod
    def sizes(self, shape: S) -> dict[str, int]:
        """Parameters by part, the transformer first, then the text encoders and the VAE."""

    def learners(self, shape: S) -> Mapping[str, TextShape]:
        """The text encoders that can be trained, by part."""
        return {}

    def values(self, shape: S, tokens: int, *, text_encoder: bool) -> int:
        """Numbers in the embeddings of a caption of ``tokens``; see :meth:`text_values`."""
        return tokens * shape.text_width

    def text_positions(self, shape: S, tokens: int) -> int:
        """What the transformer reads of a caption of ``tokens``."""
        return tokens

    # -- what follows --------------------------------------------------------------------------------------------

    def shape_of_folder(self, folder: Path) -> S:
        """The shape of a diffusers folder, from its configuration files.

        Raises:
            OSError, ValueError, KeyError, TypeError: a file is missing or says something else.
        """
        return self.of_folder(folder, self.full)

    def shape_of_tensors(self, shapes: Mapping[str, tuple[int, ...]]) -> S:
        """The shape of a transformer in its makers' layout, by bare names; of the other parts ``full`` holds.

        Raises:
            KeyError, IndexError, ValueError: of the tensor that every such transformer has and that is missing.
        """
        return self.of_tensors(shapes, self.full)

    def versions(self, prediction: str) -> tuple[str, str]:
        """See :class:`lora_tui.families.protocol.Facts`, as all that follow."""
        return self.published

    def shape_of(self, base: str | Path) -> S:
        """The shape of the model at ``base``; the full one where nothing can be read (a hub name, say)."""
        path = expand(base) if str(base) else None
        if path is None or not exists(path):
            return self.full
        found: S = _shape_of(self, str(path), path.stat().st_mtime_ns)
        return found

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        shape = self.shape_of(base)
        found = list(self.layers(shape))
        for part, clip in self.learners(shape).items() if text_encoder else ():
            found += text_targets(part, clip)
        return tuple(found)

    def block_rest(self, base: str | Path = "") -> Mapping[str, int]:
        return {}

    def text_values(self, base: str | Path = "", *, t5_tokens: int = 512, text_encoder: bool = False) -> int:
        return self.values(self.shape_of(base), t5_tokens, text_encoder=text_encoder)

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        return self.sizes(self.shape_of(base))

    def activation_bytes(
        self,
        width: int,
        height: int,
        batch: int,
        *,
        bytes_per_value: int,
        checkpointing: bool,
        text_encoder: bool = False,
        convolutions: bool = False,
        lean: bool = False,
        t5_tokens: int = 512,
        base: str | Path = "",
    ) -> int:
        shape = self.shape_of(base)
        positions = self.text_positions(shape, t5_tokens)
        kept: float = self.kept(shape, (width, height), positions, bytes_per_value, checkpointing=checkpointing)
        if lean and bytes_per_value < FULL_BYTES:
            kept *= LEAN[checkpointing]
        for clip in self.learners(shape).values() if text_encoder else ():
            kept += clip.layers * clip.positions * clip.width * ENCODER_VALUES * bytes_per_value
        return int(kept * batch)


@lru_cache(maxsize=64)
def _shape_of(facts: SeparateFacts[Any], path: str, _stamp: int) -> Any:
    place = Path(path)
    try:
        return facts.shape_of_folder(place) if place.is_dir() else facts.shape_of_tensors(bare_shapes(place))
    except (UserError, OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return facts.full
