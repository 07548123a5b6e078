"""The numbers of a base model, tensor by tensor, read from its files and never mapped: memory holds what is in hand."""

from __future__ import annotations

import os
from types import TracebackType
from typing import BinaryIO, Self

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families.parts import FACTORS
from lora_tui.files import open_file
from lora_tui.text import _, plain
from lora_tui.weights.base import BaseFile, BaseModel, Rows
from lora_tui.weights.places import Place

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64,
    "F8_E8M0": torch.float8_e8m0fnu, "C64": torch.complex64,
}  # fmt: skip
"""Types of tensors in files that torch has; those of 4 and 6 bits it has not."""


class BaseReader:
    """Reads the tensors of one base model."""

    def __init__(self, base: BaseModel) -> None:
        self.base = base
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def raw(self, file: BaseFile, name: str) -> Tensor:
        """A tensor as it is stored.

        Raises:
            UserError: it is of a type that is not read here, or the file became shorter than it was.
            OSError: it cannot be read.
        """
        info = file.tensors[name]
        if info.dtype not in DTYPES:
            raise UserError(
                _("its tensor {name} is of type {type}, which is not read here.").format(
                    name=plain(name, limit=120), type=plain(info.dtype, limit=20)
                ),
                place=plain(str(file.path)),
                remedy=_("Use the model in bf16 or fp8."),
                code="model.packed",
            )
        if str(file.path) not in self._open:
            self._open[str(file.path)] = open_file(file.path)
        data = bytearray(info.bytes)
        view, at = memoryview(data), 0
        while at < len(data):
            found = os.preadv(self._open[str(file.path)].fileno(), [view[at:]], info.start + at)
            if not found:
                raise UserError(
                    _("the file became shorter while it was read."),
                    place=plain(str(file.path)),
                    remedy=_("Fetch or copy it again."),
                    code="weights.torn",
                )
            at += found
        dtype = DTYPES[info.dtype]
        if not data:
            return torch.zeros(info.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(info.shape)

    def factor(self, file: BaseFile, name: str) -> str:
        """The name of the tensor whose numbers multiply those of the weight ``name``; empty where there is none."""
        layer = name.removesuffix(".weight")
        if layer == name:
            return ""
        return next((layer + ending for ending in FACTORS if layer + ending in file.tensors), "")

    def numbers(self, file: BaseFile, name: str) -> Tensor:
        """A tensor as float32, multiplied by its factor where it has one.

        Raises:
            UserError, OSError: as :meth:`raw`.
        """
        found = self.raw(file, name).float()
        factor = self.factor(file, name)
        if factor:
            numbers = self.raw(file, factor).float()
            found *= numbers.reshape(-1, *[1] * (found.dim() - 1)) if numbers.numel() > 1 else numbers.reshape(())
        return found

    def layer(self, place: Place, kind: str = "weight") -> Tensor:
        """The ``weight`` or ``bias`` of the layer at ``place`` as diffusers has it, float32.

        Raises:
            KeyError: the model has none.
            UserError, OSError: as :meth:`raw`.
        """
        where = self.base.layers[place, kind]
        return taken(self.numbers(where.file, where.name), where.rows)


def taken(tensor: Tensor, rows: Rows) -> Tensor:
    """The rows of a file's ``tensor`` that are a layer's, in diffusers' order; a view where nothing is turned."""
    own = tensor[rows.start : rows.stop]
    return torch.cat(own.chunk(2)[::-1]) if rows.turned else own


def put_back(tensor: Tensor, rows: Rows, own: Tensor) -> None:
    """Write a layer's rows back into the file's ``tensor``; the inverse of :func:`taken`."""
    whole = torch.cat(own.chunk(2)[::-1]) if rows.turned else own
    tensor[rows.start : rows.stop] = whole.view(tensor[rows.start : rows.stop].shape)
