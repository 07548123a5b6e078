"""Loading the parts of a model, from a diffusers folder, a single file or a pickle, each by itself."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from lora_tui.config.schema import ModelSection
from lora_tui.errors import UserError
from lora_tui.families.loading import module_of_file, module_of_folder, write_configs
from lora_tui.families.packed import Original
from lora_tui.families.parts import DIFFUSERS_STEM, TRANSFORMERS_STEM, deciding_files, is_weight, weights_of
from lora_tui.families.source import Source, resolve
from lora_tui.families.state_dicts import incomplete, read_tensors, unscaled
from lora_tui.families.unet.checks import check_shapes, check_source, check_vae, read_json, shape_of_file
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.model_text import encoder_class, encoder_of_file
from lora_tui.families.unet.particulars import TOKENIZER, Particulars, read_particulars
from lora_tui.families.unet.prediction import Told, decided, told_by_file, told_by_schedule
from lora_tui.families.unet.shape import VAE_PREFIX, Shape, shape_of, tensor_shapes, vae_channels
from lora_tui.places import expand
from lora_tui.text import _
from lora_tui.weights.header.format import read_header


class Parts:
    """Where the parts come from; each method loads its part anew, on the CPU."""

    def __init__(self, facts: UnetFacts, section: ModelSection) -> None:
        """Resolve the source and look at its headers; nothing large is read yet (of old pickles all is).

        Raises:
            UserError: the base model is missing, pickled, of another family, or one that would be trained wrongly.
        """
        self.facts = facts
        self.section = section
        self._names = ("unet", *(encoder.part for encoder in facts.encoders), "vae")
        self.source = resolve(section.base, parts=self._names, allow_pickle=section.allow_pickle)
        check_source(facts, self.source, own_vae=not section.vae, prediction=section.prediction)
        if self.source.kind == "pickle":
            check_shapes(facts, _shapes(self.source), self.source.path)
        self._particulars = Particulars()
        if self.source.kind == "file":
            self._particulars = read_particulars(read_header(self.source.path).metadata)
        self._told = self._tell()
        self.prediction = decided(self._told, section.prediction, facts, str(self.source.path))
        self._holder: tempfile.TemporaryDirectory[str] | None = None

    def unet(self, dtype: torch.dtype) -> UNet2DConditionModel:
        if self.source.kind == "folder":
            return self._part_of_folder(UNet2DConditionModel, "unet", torch_dtype=dtype)
        return self._part_of_file(UNet2DConditionModel, "unet", torch_dtype=dtype)

    def original(self, dtype: torch.dtype) -> Original:
        """The UNet, with all that decides what it is."""
        return Original(lambda: self.unet(dtype), UNet2DConditionModel, self.files_of("unet"), (str(dtype),))

    def text_encoder(self, encoder: Encoder, dtype: torch.dtype) -> nn.Module:
        if self.source.kind == "folder":
            found: nn.Module = self._part_of_folder(encoder_class(encoder), encoder.part, dtype=dtype)
            return found
        shape = self.shape.text[self.facts.encoders.index(encoder)]
        own = self._particulars.settings.get(encoder.part, {})
        tensors = self._tensors(encoder.prefix)
        return encoder_of_file(encoder, shape, own, tensors, str(self.source.path)).to(dtype)

    def vae(self) -> AutoencoderKL:
        """The VAE in float32: half precisions overflow in it, XL's at once."""
        if self.section.vae:
            return _separate_vae(self.facts, self.section)
        if self.source.kind == "folder":
            return self._part_of_folder(AutoencoderKL, "vae", torch_dtype=torch.float32)
        return self._part_of_file(AutoencoderKL, "vae", torch_dtype=torch.float32)

    def tokenizer(self, encoder: Encoder) -> CLIPTokenizer:
        folder, options = self._tokenizer_home(encoder)
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True, **options)
        words, known = len(tokenizer), self.shape.text[self.facts.encoders.index(encoder)].vocabulary
        if words > known:
            raise UserError(
                _("the tokenizer has {words} entries, the text encoder only {known}.").format(words=words, known=known),
                place=str(folder),
                remedy=_("Use the tokenizer that belongs to this model."),
                code="model.tokenizer",
            )
        return tokenizer

    def scheduler_config(self) -> dict[str, Any]:
        """The noise schedule in diffusers' words, with what the model predicts."""
        config = {**self.facts.scheduler, **self._schedule_of_folder(), "prediction_type": self.prediction}
        return {**config, "rescale_betas_zero_snr": True} if self._told.zero_snr else config

    def files_of(self, part: str) -> tuple[Path, ...]:
        """The files that decide one part; none where its weights are pickled in a folder, of which nothing is known."""
        if part == "vae" and self.section.vae:
            vae, pickles = expand(self.section.vae), self.section.allow_pickle
            if not vae.is_dir():
                return (vae,) if vae.is_file() else ()
            return deciding_files(vae, "vae" if (vae / "vae").is_dir() else ".", _stem("vae"), pickles=pickles)
        if self.source.kind == "folder":
            return deciding_files(self.source.path, part, _stem(part))
        return (self.source.path,)

    def files(self) -> tuple[Path, ...]:
        """The files with the weights of every part, a separate VAE among them."""
        if self.source.kind == "folder":
            own = [part for part in self._names if part != "vae" or not self.section.vae]
            found = [file for part in own for file in weights_of(self.source.path, part, _stem(part)).files]
        else:
            found = [self.source.path]
        vae = expand(self.section.vae)
        if self.section.vae and vae.is_dir():
            part = "vae" if (vae / "vae").is_dir() else "."
            found += weights_of(vae, part, _stem("vae"), pickles=self.section.allow_pickle).files
        elif self.section.vae and vae.is_file():
            found.append(vae)
        return tuple(found)

    # -- what it predicts ----------------------------------------------------------------------------------------

    def _tell(self) -> Told:
        if self.source.kind == "file":
            header = read_header(self.source.path)
            return told_by_file(header.tensors, header.metadata)
        if self.source.kind == "pickle":
            return told_by_file(_shapes(self.source), {})
        schedule = self._schedule_of_folder()
        return told_by_schedule(schedule) if schedule else Told()

    def _schedule_of_folder(self) -> dict[str, Any]:
        path = self.source.path / "scheduler" / "scheduler_config.json"
        return read_json(path) if self.source.kind == "folder" and path.is_file() else {}

    # -- parts ---------------------------------------------------------------------------------------------------

    def _part_of_folder(self, kind: Any, part: str, **options: Any) -> Any:
        """A part of a diffusers folder, loaded by its class."""
        return module_of_folder(kind, self.source.path / part, pickles=False, **options)

    def _part_of_file(self, kind: Any, part: str, **options: Any) -> Any:
        """A part of a single file, loaded by diffusers' class with the configuration that the shapes tell."""
        place = str(self.source.path)
        return _from_file(self.facts, kind, self._single(), self._config_folder, part, place, **options)

    def _single(self) -> Any:
        """What diffusers' single-file loader takes: the path, or tensors that it could not read rightly itself."""
        plainly = self.source.kind == "file" and all(map(is_weight, read_header(self.source.path).tensors))
        return str(self.source.path) if plainly else self._tensors()

    def _tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Those of the file, read without running a pickle; weights with a factor multiplied by it."""
        tensors = read_tensors(self.source.path, prefix=prefix, pickled=self.source.kind == "pickle")
        return unscaled(tensors, torch.float32)

    # -- shapes --------------------------------------------------------------------------------------------------

    @cached_property
    def _config_folder(self) -> Path:
        """A folder of configuration files for a single file, written from the shapes of its tensors."""
        self._holder = tempfile.TemporaryDirectory(prefix="lora-tui-")
        folder, own = Path(self._holder.name), self._particulars
        configs = {"unet": self.shape.unet_config(), "vae": self.shape.vae_config()}
        write_configs(folder, **{part: {**c, **own.settings.get(part, {})} for part, c in configs.items()})
        (folder / "tokenizer").mkdir()
        for name, text in own.tokenizer.items():
            (folder / "tokenizer" / name).write_text(text, "utf-8")
        return folder

    def _tokenizer_home(self, encoder: Encoder) -> tuple[Path, dict[str, str]]:
        """The tokenizer's folder, the model's, a single file's own, or CLIP's; and how that is to be filled up."""
        if self.source.kind == "folder":
            return self.source.path / encoder.tokenizer, {}
        own = self._config_folder / "tokenizer" if self._particulars.tokenizer else TOKENIZER
        return own, {"pad_token": encoder.pad}

    @cached_property
    def shape(self) -> Shape:
        if self.source.kind == "folder":
            return shape_of(self.facts, self.source.path)
        return shape_of_file(self.facts, _shapes(self.source), self.source.path)


def _stem(part: str) -> str:
    """What the files of a part's weights are called."""
    return TRANSFORMERS_STEM if part.startswith("text_encoder") else DIFFUSERS_STEM


def _separate_vae(facts: UnetFacts, section: ModelSection) -> AutoencoderKL:
    """The VAE that ``model.vae`` names: a folder of its own or of a whole model, or a file of any layout."""
    path = expand(section.vae)
    if not path.is_dir():
        source = resolve(section.vae, parts=("vae",), place="model.vae", allow_pickle=section.allow_pickle)
        if source.kind != "folder":
            if source.kind == "file":
                check_vae(facts, source.path)
            return _vae_of_file(facts, source)
        path = source.path
    check_vae(facts, path, allow_pickle=section.allow_pickle)
    folder = path / "vae" if (path / "vae").is_dir() else path
    return module_of_folder(AutoencoderKL, folder, pickles=section.allow_pickle, torch_dtype=torch.float32)


def _vae_of_file(facts: UnetFacts, source: Source) -> AutoencoderKL:
    """A VAE in a file of its own, or the one of a whole checkpoint; its widths are read from its tensors."""
    place = str(source.path)
    shapes = _shapes(source)
    prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in shapes) else ""
    try:
        config = replace(facts.full, vae_channels=vae_channels(shapes, prefix)).vae_config()
    except (KeyError, IndexError) as error:
        raise incomplete(1, str(error.args[0]), place) from None
    single: Any = read_tensors(source.path, prefix=prefix, pickled=True) if source.kind == "pickle" else place
    with tempfile.TemporaryDirectory(prefix="lora-tui-") as holder:
        write_configs(Path(holder), vae=config)
        return _from_file(facts, AutoencoderKL, single, Path(holder), "vae", place, torch_dtype=torch.float32)


def _from_file(facts: UnetFacts, kind: Any, single: Any, configs: Path, part: str, place: str, **options: Any) -> Any:
    """As :func:`module_of_file`, of a file in the original layout or in diffusers'."""
    return module_of_file(
        kind, single, configs, part, place, lambda: _gaps(facts, kind, single, configs / part, part), **options
    )


def _gaps(facts: UnetFacts, kind: Any, single: Any, configs: Path, part: str) -> list[str]:
    """Tensors of ``part`` that a single file (or its tensors) lacks, as the file would name them."""
    there = set(single if isinstance(single, dict) else tensor_shapes(Path(single)))
    with torch.device("meta"):
        wanted = list(kind.from_config(read_json(configs / "config.json")).state_dict())
    if not any(".down_blocks." in name for name in there):
        wanted = [file_name(facts, part, name) for name in wanted]
    return [name for name in wanted if name not in there and name.removeprefix(VAE_PREFIX) not in there]


def _shapes(source: Source) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a single file."""
    if source.kind == "pickle":
        return {name: tuple(tensor.shape) for name, tensor in read_tensors(source.path, pickled=True).items()}
    return tensor_shapes(source.path)
