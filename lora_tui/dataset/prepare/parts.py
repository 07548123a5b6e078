"""The optional parts of a preparation, as far as can be said of them without loading anything heavy: are they there?"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from lora_tui.dataset.prepare.options import Options
from lora_tui.doctor.software import install_command
from lora_tui.errors import UserError
from lora_tui.text import _, plain

REMOVER_EXTRA, DETECTOR_EXTRA = "background", "tag"
"""What to install, as ``lora-tui[...]``."""


def check_parts(options: Options) -> None:
    """Refuse options whose parts are not there.

    Raises:
        UserError: ``prepare.extra``, ``prepare.model``.
    """
    if options.remove_background:
        check_remover(options.remove_background)
    if options.faces:
        check_detector(options.faces)


def check_remover(model: str) -> None:
    """Refuse a model that cannot be opened, as far as that can be known without loading anything.

    Raises:
        UserError: the extra is not installed (``prepare.extra``), or the model is not there (``prepare.model``).
    """
    if find_spec("rembg") is None or find_spec("onnxruntime") is None:
        raise UserError(
            _("Removing backgrounds needs rembg, which is not installed."),
            place="remove_background",
            remedy=_("Install it with: {command}").format(command=install_command(REMOVER_EXTRA)),
            code="prepare.extra",
        )
    if is_file_name(model) and not path_of(model).is_file():
        raise no_remover(model, _("There is no such file."))


def check_detector(model: str) -> None:
    """Refuse a detector that cannot be opened, as far as that can be known without loading anything.

    Raises:
        UserError: onnxruntime is not installed (``prepare.extra``), or there is no such file (``prepare.model``).
    """
    if find_spec("onnxruntime") is None or find_spec("numpy") is None:
        raise UserError(
            _("Finding faces needs onnxruntime, which is not installed."),
            place="faces",
            remedy=_("Install it with: {command}").format(command=install_command(DETECTOR_EXTRA)),
            code="prepare.extra",
        )
    if not path_of(model).is_file():
        raise no_detector(model, _("There is no such file."))


def is_file_name(model: str) -> bool:
    """Whether a model is named by its file."""
    return "/" in model or model.endswith(".onnx")


def path_of(model: str) -> Path:
    """The file of a model."""
    return Path(model).expanduser().absolute()


def no_remover(model: str, reason: str) -> UserError:
    """The error of a model that removes backgrounds."""
    return UserError(
        _("The model that removes backgrounds cannot be used: {reason}").format(reason=reason),
        place=plain(model, limit=200),
        remedy=_("Name an ONNX file of U2-Net or IS-Net, or a model that rembg has fetched."),
        code="prepare.model",
    )


def no_detector(model: str, reason: str) -> UserError:
    """The error of a face detector."""
    return UserError(
        _("The face detector cannot be used: {reason}").format(reason=reason),
        place=plain(model, limit=200),
        remedy=_("Name the file of OpenCV's YuNet, face_detection_yunet_2023mar.onnx."),
        code="prepare.model",
    )
