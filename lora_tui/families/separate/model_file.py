"""Reading parts from single files, a transformer in its makers' layout, whatever their weights are stored as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lora_tui.errors import UserError
from lora_tui.families.loading import network_without_weights
from lora_tui.families.parts import incomplete, is_weight
from lora_tui.families.separate.places import Place, bare
from lora_tui.families.state_dicts import read_tensors, scaled, torn
from lora_tui.text import _, plain
from lora_tui.weights.names.original import Original

#: Gives the tensors of diffusers that an original one holds, by its name; a KeyError where the network has none such.
Converter = Callable[[str, Tensor], Iterable[tuple[str, Tensor]]]


def transformer_of_file(
    kind: Any, config: Mapping[str, Any], convert: Converter, path: Path, dtype: torch.dtype, *, prefix: str = ""
) -> Any:
    """The transformer in ``path``, whose tensors' names begin with ``prefix``, on the CPU in ``dtype``.

    Weights in 8 bits become numbers of ``dtype``, those with a factor multiplied by it. One tensor is read at a time.

    Args:
        kind: the class of diffusers, ``config`` what it is made with.

    Raises:
        UserError: a tensor is missing, or one is of another shape, or the file is torn.
    """
    module: nn.Module = network_without_weights(kind, config)
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    found = {name: tensor for name, tensor in _converted(path, convert, dtype, prefix) if name in wanted}
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


def in_dtype(place: Place, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights at ``place`` under their names in the file, in ``dtype``; numbers with a factor multiplied by it."""
    tensors = read_tensors(place.path, prefix=place.prefix)
    return {name: scaled(tensors, name, dtype) for name in tensors if is_weight(name)}


def pieces(original: Original, path: str, kind: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers in ``tensor``: the ``weight`` or ``bias`` of the ``original`` layer at ``path``.

    ``width`` is that of the hidden states.

    Raises:
        KeyError: such a transformer has no such layer.
    """
    for piece in original.layer_of(path):
        stop = None if piece.stop is None else piece.stop * width
        whole = piece.start == 0 and stop is None
        yield f"{piece.path}.{kind}", tensor if whole else tensor[piece.start * width : stop]


def _converted(path: Path, convert: Converter, dtype: torch.dtype, prefix: str) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            lazy = _Lazy(file, prefix)
            for name in filter(is_weight, lazy.names):
                try:
                    pieces = list(convert(name, scaled(lazy, name, dtype)))
                except KeyError:
                    continue  # what another network reads
                yield from pieces
    except (SafetensorError, OSError) as error:
        raise torn(path, error) from None


class _Lazy(Mapping[str, Tensor]):
    """A file's tensors by their bare names, each read when it is asked for."""

    def __init__(self, file: Any, prefix: str) -> None:
        self._file = file
        self.names = {bare(name.removeprefix(prefix)): name for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(self.names[name])
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
