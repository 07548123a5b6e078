"""What a transformer's tensors are called in the files of its makers and by diffusers. Needs no torch.

Makers keep query, key and value of an attention (and sometimes more) in one matrix, which diffusers splits along its
rows. A family says which layers its blocks have; :class:`Original` answers both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """A layer of diffusers, and which rows of the original layer it is: ``start`` and ``stop``, in hidden widths.

    ``stop`` is none where the layer takes the rest.
    """

    path: str
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Original:
    """The layers of one kind of transformer.

    Attributes:
        whole: layers outside the blocks: the maker's path -> that of diffusers.
        blocks: the maker's list of blocks -> the list of diffusers, and the layers of a block: the maker's path ->
            those of diffusers, in the order of their rows.
    """

    whole: Mapping[str, str]
    blocks: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]]

    def layer_of(self, path: str) -> tuple[Piece, ...]:
        """The layers of diffusers in the original layer at ``path`` (without ``.weight``), in the order of its rows.

        Raises:
            KeyError: such a transformer has no such layer.
        """
        if path in self.whole:
            return (Piece(self.whole[path]),)
        kind, _dot, rest = path.partition(".")
        number, _dot, inner = rest.partition(".")
        if not number.isdecimal():
            raise KeyError(path)
        block, layers = self.blocks[kind]
        names = [f"{block}.{number}.{name}" for name in layers[inner]]
        if len(names) == 1:
            return (Piece(names[0]),)
        last = len(names) - 1
        return tuple(Piece(name, at, None if at == last else at + 1) for at, name in enumerate(names))

    def original_of(self, path: str) -> tuple[str, int]:
        """The original layer with the layer of diffusers at ``path``, and its place among that layer's pieces.

        Raises:
            KeyError: such a transformer has no such layer.
        """
        for original, name in self.whole.items():
            if path == name:
                return original, 0
        for original, (block, layers) in self.blocks.items():
            if path.startswith(f"{block}."):
                number, _dot, inner = path.removeprefix(f"{block}.").partition(".")
                for layer, names in layers.items():
                    if inner in names:
                        return f"{original}.{number}.{layer}", names.index(inner)
        raise KeyError(path)

    def block_layers(self, kind: str) -> tuple[str, ...]:
        """The layers of one block of ``kind``, by the maker's names."""
        return tuple(self.blocks[kind][1])

    def paths(self, counts: Mapping[str, int]) -> Iterator[str]:
        """The maker's paths of all layers of a transformer with so many blocks of each kind."""
        yield from self.whole
        for kind, count in counts.items():
            for number in range(count):
                yield from (f"{kind}.{number}.{layer}" for layer in self.blocks[kind][1])
