"""Reading a FLUX transformer from a single file in the original layout, whatever its weights are stored as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families.flux.shape import Shape, bare
from lora_tui.families.separate.model import is_weight, scaled
from lora_tui.families.state_dicts import incomplete
from lora_tui.text import _, plain
from lora_tui.weights.names.flux_original import LAST_MODULATION, layer_of, split_name


def transformer_of_file(path: Path, shape: Shape, dtype: torch.dtype, *, prefix: str = "") -> FluxTransformer2DModel:
    """The transformer in ``path``, whose tensors' names begin with ``prefix``, on the CPU in ``dtype``.

    Weights in 8 bits become numbers of ``dtype``, those with a factor multiplied by it.

    Raises:
        UserError: a tensor is missing, or one is of another shape, or the file is torn.
    """
    with torch.device("meta"):
        module = FluxTransformer2DModel.from_config(shape.transformer_config())
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    found = {name: tensor for name, tensor in _diffusers_tensors(path, shape, dtype, prefix) if name in wanted}
    gaps = [name for name in wanted if name not in found]
    if gaps:
        raise incomplete(len(gaps), gaps[0], str(path))
    wrong = [name for name, tensor in found.items() if tensor.shape != wanted[name]]
    if wrong:
        raise UserError(
            _("{count} tensors have another shape, {name} for one.").format(count=len(wrong), name=plain(wrong[0])),
            place=str(path),
            remedy=_("The file is incomplete or of another family."),
            code="model.incomplete",
        )
    module.load_state_dict(found, assign=True)
    return module


def original_to_diffusers(name: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the original ``tensor`` called ``name`` holds, for hidden states of ``width``.

    Raises:
        KeyError: a FLUX transformer has no such tensor.
    """
    path, kind = split_name(name)
    if path == LAST_MODULATION:
        shift, scale = tensor.chunk(2)
        tensor = torch.cat([scale, shift])
    for piece in layer_of(path):
        stop = None if piece.stop is None else piece.stop * width
        whole = piece.start == 0 and stop is None
        yield f"{piece.path}.{kind}", tensor if whole else tensor[piece.start * width : stop]


def _diffusers_tensors(path: Path, shape: Shape, dtype: torch.dtype, prefix: str) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            lazy = _Lazy(file, prefix)
            for name in filter(is_weight, lazy.names):
                try:
                    pieces = list(original_to_diffusers(name, scaled(lazy, name, dtype), shape.width))
                except KeyError:
                    continue  # what another network reads
                yield from pieces
    except (SafetensorError, OSError) as error:
        raise UserError(
            _("it cannot be read: {reason}.").format(reason=plain(str(error))),
            place=str(path),
            remedy=_("The file may be incomplete; fetch it again."),
            code="model.torn",
        ) from None


class _Lazy(Mapping[str, Tensor]):
    """A file's tensors by their bare names, each read when it is asked for."""

    def __init__(self, file: object, prefix: str) -> None:
        self._file = file
        self.names = {bare(name.removeprefix(prefix)): name for name in file.keys() if name.startswith(prefix)}  # type: ignore[attr-defined]  # noqa: SIM118

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(self.names[name])  # type: ignore[attr-defined]
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
