"""What a transformer's tensors are called in the files of its makers and by diffusers. Needs no torch.

Makers keep query, key and value of an attention (and sometimes more) in one matrix, which diffusers splits along its
rows. A family says which layers its blocks have; :class:`Original` answers both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

KOHYA = "lora_unet_"
"""What kohya's names of layers begin with; dots are bars in them."""
DOTTED = ("base_model.model.", "model.", "diffusion_model.", "transformer.")
"""What programs put before dotted names of original layers."""


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
        turned: endings of the maker's paths of modulations that have shift before scale, and scale before shift in
            diffusers; in blocks those that have these two alone.
        outputs: how many times as wide as what goes into it is what comes out of a layer of a block, where another
            family has a layer of the same name and another width.
    """

    whole: Mapping[str, str]
    blocks: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]]
    turned: tuple[str, ...] = ()
    outputs: Mapping[str, Fraction] = field(default_factory=dict)

    def fits(self, path: str, rows: int, columns: int) -> bool:
        """Whether the original layer at ``path`` can have so many ``rows`` and ``columns``."""
        inner = path.split(".", 2)[-1]
        return inner not in self.outputs or rows == self.outputs[inner] * columns

    def is_turned(self, path: str, rows: int, width: int) -> bool:
        """Whether the halves of the original layer at ``path``, with so many ``rows``, change about in diffusers."""
        return path.endswith(self.turned) and (path in self.whole or rows == 2 * width)

    def named(self, name: str) -> str | None:
        """The original layer that a file calls ``name``, in kohya's way or with dots; none for any other name."""
        if name.startswith(KOHYA):
            flat = name.removeprefix(KOHYA)
            for path in self.whole:
                if path.replace(".", "_") == flat:
                    return path
            for kind, (_block, layers) in self.blocks.items():
                if flat.startswith(f"{kind}_"):
                    number, _bar, inner = flat.removeprefix(f"{kind}_").partition("_")
                    found = next((layer for layer in layers if layer.replace(".", "_") == inner), None)
                    return f"{kind}.{number}.{found}" if found and number.isdecimal() else None
            return None
        for prefix in DOTTED:
            name = name.removeprefix(prefix)
        kind, _dot, rest = name.partition(".")
        return name if name in self.whole or (kind in self.blocks and rest[:1].isdecimal()) else None

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
