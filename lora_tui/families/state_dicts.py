"""Tensors between files and modules: reading them, loading them so that none is missing unseen, naming them all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lora_tui.caches.contents import remembered
from lora_tui.errors import UserError
from lora_tui.families.parts import FACTORS, incomplete, is_weight
from lora_tui.text import _, plain


def read_tensors(path: Path, *, prefix: str = "", pickled: bool = False) -> dict[str, Tensor]:
    """The tensors of a file whose names begin with ``prefix``, on the CPU.

    Raises:
        UserError: the file is torn, no safetensors, or (``pickled``) holds more than tensors.
    """
    if pickled:
        return {name: tensor for name, tensor in _read_pickle(path).items() if name.startswith(prefix)}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise torn(path, error) from None


def torn(path: Path, error: Exception) -> UserError:
    """That a file of a model cannot be read, and why."""
    return UserError(
        _("it cannot be read: {reason}.").format(reason=plain(str(error))),
        place=plain(str(path)),
        remedy=_("The file may be incomplete; fetch it again."),
        code="model.torn",
    )


def scaled(tensors: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> Tensor:
    """The weight called ``name`` in ``dtype``, multiplied by its factor where the file has one for it."""
    tensor, layer = tensors[name], name.removesuffix(".weight")
    factor = next((tensors[layer + ending] for ending in FACTORS if layer + ending in tensors), None)
    if factor is None or not name.endswith(".weight"):
        return tensor.to(dtype)
    factor = factor.float()
    return (tensor.float() * (factor.reshape(-1, *[1] * (tensor.dim() - 1)) if factor.numel() > 1 else factor)).to(
        dtype
    )


def unscaled(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights among ``tensors``: those with a factor multiplied by it, in ``dtype``, all others as they are."""
    layers = {name.removesuffix(ending) for name in tensors for ending in FACTORS if name.endswith(ending)}
    return {
        name: scaled(tensors, name, dtype) if name.removesuffix(".weight") in layers else tensor
        for name, tensor in tensors.items()
        if is_weight(name)
    }


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"  # since torch 1.6; what is older cannot be mapped into memory
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except MemoryError:
        raise
    except Exception as error:  # a torn pickle raises nearly everything
        raise UserError(
            _("it was not read: {reason}").format(reason=plain(str(error).splitlines()[0] if str(error) else "")),
            place=str(path),
            remedy=_("It holds more than tensors or is torn; use a .safetensors version of it."),
            code="model.pickle",
        ) from None
    data = data.get("state_dict", data) if isinstance(data, dict) else {}
    return {str(name): value for name, value in data.items() if isinstance(value, Tensor)}


def require_whole(module: nn.Module, place: str, missing: Collection[str] = ()) -> None:
    """Refuse a module that a library loaded with gaps: tensors it reports ``missing``, or ones still on ``meta``.

    Raises:
        UserError: there is such a tensor.
    """
    bare = {name for name, tensor in module.state_dict().items() if tensor.is_meta}
    gaps = sorted({name for name in missing if not name.endswith("position_ids")} | bare)
    if gaps:
        raise incomplete(len(gaps), gaps[0], place)


def load_exactly(
    module: nn.Module, tensors: Mapping[str, Tensor], *, optional_prefix: str, place: str, assign: bool = False
) -> None:
    """Load ``tensors`` into ``module``: every parameter must be there, of the right shape.

    Tensors that the module has no place for are left out: field files carry a projection or a logit scale along.

    ``optional_prefix`` is one that some versions of a library put before each name and others do not. With ``assign``
    the tensors become those of ``module``, which may have none yet, in place of being copied.

    Raises:
        UserError: a tensor is missing, or one is of another shape.
    """
    own = module.state_dict()
    prefixed = any(name.startswith(optional_prefix) for name in own)
    renamed = {(optional_prefix + name if prefixed else name): tensor for name, tensor in tensors.items()}
    missing = [name for name in own if name not in renamed and not name.endswith("position_ids")]
    wrong = [name for name in own if name in renamed and own[name].shape != renamed[name].shape]
    if missing:
        raise incomplete(len(missing), missing[0], place)
    if wrong:
        raise UserError(
            _("{count} tensors have another shape, {name} for one.").format(count=len(wrong), name=plain(wrong[0])),
            place=place,
            remedy=_("The file is incomplete or of another family."),
            code="model.incomplete",
        )
    module.load_state_dict({name: renamed[name] for name in own if name in renamed}, strict=False, assign=assign)


def identity(name: str, files: Iterable[Path], parts: Iterable[str], compute: Callable[[], str]) -> str:
    """What ``compute`` says of the part ``name`` once it is loaded; remembered, so that it need not be loaded for that.

    ``files`` decide what it is, with the libraries that read them and ``parts``, such as the precision.
    """
    libraries = [f"{one} {version(one)}" for one in ("torch", "diffusers", "transformers")]
    return remembered(name, files, [*parts, *libraries], compute)


@torch.no_grad()
def weights_id(module: nn.Module) -> str:
    """A digest of a module's parameters and buffers: the identity of a model in cache keys (32 hex digits)."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
