"""Telling the subject from its background, with rembg (the extra ``background``) and one of its models, or a file.

Nothing is downloaded here: a model by name must lie where rembg keeps its own. Imported by the worker alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.dataset.prepare.parts import check_remover, is_file_name, no_remover, path_of
from lora_tui.errors import UserError
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image

_U2NET_SIDE = 320
"""The input of U2-Net's models; those of other sizes are of the DIS kind (IS-Net), which are scaled otherwise."""


def open_remover(model: str) -> Callable[[Image], Image]:
    """What gives, for an RGB picture, how much of the subject each pixel is (L, the same size).

    Args:
        model: an ONNX file, or the name of a model that rembg has on this machine.

    Raises:
        UserError: as :func:`check_remover`, or the model cannot be read (``prepare.model``).
    """
    check_remover(model)
    session = _session(model)

    def subject(picture: Image) -> Image:
        with contextlib.redirect_stdout(io.StringIO()):
            masks = session.predict(picture)
        mask: Image = masks[0].convert("L")
        return mask if mask.size == picture.size else mask.resize(picture.size)

    return subject


def _without_matting() -> None:
    """Have rembg's sessions imported without what refines the borders of a mask, which nothing here asks for.

    rembg loads it whenever any part of it is imported, and the first time on a machine that means compiling it with
    numba: one minute and more.
    """
    spec = find_spec("rembg")
    if spec is not None:
        sys.modules.setdefault("rembg", module_from_spec(spec))


def _session(model: str) -> Any:
    try:
        _without_matting()
        if is_file_name(model):
            return _session_of_file(path_of(model))
        from rembg.sessions import sessions

        known = sessions.get(model)
        if known is None:
            names = ", ".join(sorted(name for name in sessions if not name.endswith("custom")))
            raise no_remover(model, _("rembg has no such model. There are: {names}.").format(names=names))
        if not known.is_local() or known.resolve_existing(f"{model}.onnx") is None:
            message = _("The model is not on this machine. Fetch it with: {command}")
            raise no_remover(model, message.format(command=f"rembg d {model}"))
        from rembg.session_factory import new_session

        return new_session(model, providers=_providers())
    except UserError:
        raise
    except ImportError as error:
        raise no_remover(model, _("A library is missing: {name}.").format(name=plain(str(error), limit=100))) from error
    except Exception as error:  # onnxruntime's errors have no common base
        raise no_remover(model, plain(str(error), limit=200)) from error


def _session_of_file(path: Path) -> Any:
    """A session of rembg's for a model that lies anywhere, and takes pictures of the size that the model says."""
    import onnxruntime
    from rembg.sessions.dis_custom import DisCustomSession
    from rembg.sessions.u2net_custom import U2netCustomSession

    options = onnxruntime.SessionOptions()
    threads = int(os.environ.get("OMP_NUM_THREADS", "0") or 0)
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    shape = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    kind = U2netCustomSession if not isinstance(shape[-1], int) or shape[-1] == _U2NET_SIDE else DisCustomSession

    class FileSession(kind):  # type: ignore[misc, valid-type]
        """rembg takes files from its own folder only."""

        @classmethod
        def download_models(cls, *_args: Any, **_options: Any) -> str:
            return str(path)

        def normalize(self, img: Image, mean: Any, std: Any, size: Any, *args: Any, **options: Any) -> Any:
            wanted = (shape[-1], shape[-2]) if isinstance(shape[-1], int) and isinstance(shape[-2], int) else size
            return super().normalize(img, mean, std, wanted, *args, **options)

    return FileSession("custom", options, model_path=str(path), providers=_providers())


def _providers() -> list[str]:
    import onnxruntime

    usable = [name for name in ("CUDAExecutionProvider",) if name in onnxruntime.get_available_providers()]
    return [*usable, "CPUExecutionProvider"]
