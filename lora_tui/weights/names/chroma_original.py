"""What a Chroma transformer's tensors are called by its makers and by diffusers. Needs no torch.

The blocks are FLUX.1's without modulations: one small network, which the makers call a distilled guidance layer, gives
all of them from the timestep. Source: the module definitions of github.com/lodestone-rock/flow (``chroma``) and of
diffusers (``transformer_chroma.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.weights.names.flux_original import DOUBLE, SINGLE
from lora_tui.weights.names.original import Original

APPROXIMATOR = "distilled_guidance_layer"
_MODULATIONS = ("img_mod.lin", "txt_mod.lin", "modulation.lin")
_INNER = {"in_layer": "linear_1", "out_layer": "linear_2"}

ORIGINAL = Original(
    whole={"img_in": "x_embedder", "txt_in": "context_embedder", "final_layer.linear": "proj_out"},
    blocks={
        kind: (block, {name: layers for name, layers in own.items() if name not in _MODULATIONS})
        for kind, block, own in (
            ("double_blocks", "transformer_blocks", DOUBLE),
            ("single_blocks", "single_transformer_blocks", SINGLE),
        )
    },
)


def approximator_path(path: str) -> str:
    """What diffusers calls the makers' layer at ``path`` of the network that gives the modulations.

    Raises:
        KeyError: it is none.
    """
    inner = path.removeprefix(f"{APPROXIMATOR}.").split(".")
    if not path.startswith(f"{APPROXIMATOR}."):
        raise KeyError(path)
    if len(inner) == 1 and inner[0] in ("in_proj", "out_proj"):
        return path
    if len(inner) == 2 and inner[0] == "norms" and inner[1].isdecimal():
        return path
    if len(inner) == 3 and inner[0] == "layers" and inner[1].isdecimal():
        return f"{APPROXIMATOR}.layers.{inner[1]}.{_INNER[inner[2]]}"
    raise KeyError(path)


def original_names(double: int, single: int, *, approximator: int) -> Iterator[str]:
    """The names of all tensors of a transformer of ``double`` and ``single`` blocks in the makers' layout.

    ``approximator`` layers give the modulations.
    """
    for path in ORIGINAL.paths({"double_blocks": double, "single_blocks": single}):
        yield from (f"{path}.scale",) if path.endswith("_norm") else (f"{path}.weight", f"{path}.bias")
    for end in ("in_proj", "out_proj"):
        yield from (f"{APPROXIMATOR}.{end}.weight", f"{APPROXIMATOR}.{end}.bias")
    for number in range(approximator):
        for name in _INNER:
            yield from (f"{APPROXIMATOR}.layers.{number}.{name}.{kind}" for kind in ("weight", "bias"))
        yield f"{APPROXIMATOR}.norms.{number}.scale"
