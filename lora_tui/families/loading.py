"""Modules of diffusers and transformers from files: whole or not at all, with plain words for what fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lora_tui.errors import UserError
from lora_tui.families.state_dicts import incomplete, require_whole
from lora_tui.text import _, plain


def network_without_weights(kind: Any, config: Mapping[str, Any]) -> Any:
    """``kind`` (of diffusers) made with ``config``, its weights on ``meta``; what it computes for itself is there."""
    with torch.device("meta"):
        network = kind.from_config(dict(config))
    if _lost(network):
        with _WeightsOnMeta():
            network = kind.from_config(dict(config))
    return network


def _lost(network: nn.Module) -> bool:
    """Whether tensors that no file holds were left on ``meta``: tables of positions and the like."""
    stored = set(network.state_dict())
    if any(tensor.is_meta for name, tensor in network.named_buffers() if name not in stored):
        return True
    own = (value for module in network.modules() for value in vars(module).values())
    return any(isinstance(value, Tensor) and value.is_meta for value in own)


class _WeightsOnMeta(TorchFunctionMode):
    """Makes what layers ask for as room for their weights on ``meta``, and all else where it is asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func is torch.empty and given.get("device") is None:
            given = {**given, "device": "meta"}
        return func(*args, **given)


def module_of_folder(kind: Any, folder: Path, *, pickles: bool, **options: Any) -> Any:
    """``kind`` from a folder of its configuration and weights.

    Safetensors are preferred, and plain weights to those in half precision; a pickle only where ``pickles`` allows.

    Raises:
        UserError: there are no such weights, or a tensor is missing in them.
    """
    safe = sorted(path.name for path in folder.glob("*.safetensors"))
    names = safe or (sorted(path.name for path in folder.glob("*.bin")) if pickles else [])
    if not names:
        raise UserError(
            _("{part} has no .safetensors weights.").format(part=plain(folder.name)),
            place=str(folder),
            remedy=_("Convert the folder with diffusers, or use a single .safetensors file."),
            code="model.pickle",
        )
    if all(".fp16." in name or ".fp16-" in name for name in names):
        options["variant"] = "fp16"
    try:
        module, report = kind.from_pretrained(
            folder, use_safetensors=bool(safe), local_files_only=True, output_loading_info=True, **options
        )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        if is_memory(error):
            raise
        raise unloadable(error, str(folder)) from error
    require_whole(module, str(folder), report["missing_keys"])
    return module


def module_of_file(
    kind: Any, single: Any, configs: Path, part: str, place: str, gaps: Callable[[], list[str]], **options: Any
) -> Any:
    """``kind`` from a single file (or its tensors) with the configuration in the folder ``part`` of ``configs``.

    ``gaps`` tells which tensors of the part are missing, as the file would name them; it is asked when one is.

    Raises:
        UserError: a tensor is missing, or one has another shape.
    """
    try:
        module = kind.from_single_file(single, config=str(configs), subfolder=part, local_files_only=True, **options)
    except KeyError as error:  # the converters of diffusers take some tensors for granted
        raise incomplete(1, str(error.args[0]), place) from None
    except NotImplementedError:  # a module with a gap cannot be put on a device, and diffusers does not say which
        missing = gaps() or [part]
        raise incomplete(len(missing), missing[0], place) from None
    except (SafetensorError, OSError, ValueError, RuntimeError, AttributeError) as error:
        if is_memory(error):
            raise
        raise unloadable(error, place) from error
    require_whole(module, place)
    return module


def is_memory(error: Exception) -> bool:
    """Whether torch ran out of memory, which is no fault of the model."""
    return isinstance(error, RuntimeError) and "memory" in str(error)


def unloadable(error: Exception, place: str) -> UserError:
    """The error for a model at ``place`` that a library could not load."""
    return UserError(
        _("it cannot be loaded: {reason}").format(reason=plain(str(error), limit=200)),
        place=place,
        remedy=_("The model is damaged or of another family; fetch it again."),
        code="model.torn",
    )


def write_configs(folder: Path, **configs: dict[str, Any]) -> None:
    """Write each part's configuration into its folder of ``folder``, as the libraries look for it."""
    for part, config in configs.items():
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(config), "utf-8")
