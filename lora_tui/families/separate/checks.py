"""What a base model with separate parts must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from lora_tui.errors import UserError
from lora_tui.families.parts import DIFFUSERS_STEM, is_weight, need_tensors, refuse_packed, tensors_of, weights_of
from lora_tui.families.separate import places, whole
from lora_tui.families.separate.facts import S, SeparateFacts
from lora_tui.families.separate.places import Layout
from lora_tui.families.separate.tensors import makers_shapes, need_shapes
from lora_tui.families.source import Source
from lora_tui.families.told import read_config, unusual
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.header.format import read_header

SAID = (
    *("patch_size", "all_patch_size", "all_f_patch_size", "axes_dims", "axes_dims_rope", "guidance_embeds", "qk_norm"),
    *("caption_projection_dim", "n_kv_heads", "mlp_ratio"),
)
"""What a transformer's configuration must say as the others of its widths do, where it says it."""


HEADS = ("attention_head_dim", "n_heads")
"""What tells how wide a transformer's heads are."""


@dataclass(frozen=True)
class Checks(Generic[S]):
    """The checks of one family: what :mod:`lora_tui.families` asks its module ``checks`` for.

    Attributes:
        layout: the parts beside the transformer, by the settings that name them.
        names: the names of all tensors of a transformer in its makers' layout.
        channels: what the transformer takes of a latent, and what it should take.
        remedy: what to choose in place of a model that takes more, marked for translation.
        widths: how wide the features of each text encoder must be, where the transformer says so.
        tensors: names and shapes of all tensors of a transformer in diffusers' layout.
        pieces: the names of those that one in the makers' layout holds, in the order of its rows.
        named_alike: whether single files have diffusers' names, too.
    """

    facts: SeparateFacts[S]
    layout: Layout
    names: Callable[[S], Iterable[str]]
    channels: Callable[[S], tuple[int, int]]
    remedy: str
    widths: Callable[[S], Mapping[str, int]] = lambda _shape: {}
    tensors: Callable[[S], Mapping[str, tuple[int, ...]]] = lambda _shape: {}
    pieces: Callable[[str], Iterable[str]] = lambda name: (name,)
    named_alike: bool = False

    def check_model(self, source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
        """Refuse a base model whose transformer could not be trained, and a folder with gaps.

        The encoders and the VAE of a single file are looked at by
        :func:`lora_tui.families.separate.whole.check_part`.

        Raises:
            UserError: it is of another family, an inpainting or control model, packed in a way that is not read here,
                incomplete or damaged.
        """
        whole.check_kind(source, self.facts.name, self.facts.title)
        if source.kind == "folder":
            whole.check_folder(self.layout, source.path, own_vae=own_vae)
            shape = places.told_by_configs(source.path, lambda: self.facts.shape_of_folder(source.path))
            there = tensors_of(weights_of(source.path, "transformer", DIFFUSERS_STEM), source.path)
            own = {name: info.shape for name, info in there.items()}
            self._check_network(shape, own, source.path / "transformer")
        else:
            shape = self._shape_of_file(source.path)
            for part, prefix in places.parts_inside(self.layout, source.path).items():
                if own_vae or part != "vae":
                    whole.check_file_part(self.layout[part], places.Place(source.path, prefix))
        channels, wanted = self.channels(shape)
        if channels != wanted:
            raise UserError(
                _("it takes {channels} channels, not {wanted}: an inpainting or control model.").format(
                    channels=channels, wanted=wanted
                ),
                place=str(source.path),
                remedy=_(self.remedy),
                code="model.inpainting",
            )

    def check_vae(self, path: Path, *, allow_pickle: bool = False) -> None:
        """Refuse a separate VAE that is none of the family's.

        Raises:
            UserError: what is missing or wrong.
        """
        whole.check_part(self.layout, "vae", path)

    def part_flaws(self, base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
        """See :func:`lora_tui.families.part_flaws`."""
        found = whole.part_flaws(self.layout, base, named)
        wrong = {part for part, _flaw in found}
        for part, width in self.widths(self.facts.shape_of(base)).items():
            if named.get(part) and part not in wrong:
                flaw = whole.width_flaw(self.layout, part, expand(named[part]), width)
                found += [(part, flaw)] if flaw else []
        return found

    def _check_network(self, shape: Any, there: Mapping[str, tuple[int, ...]], folder: Path) -> None:
        """Refuse a transformer in ``folder`` that is built otherwise, or whose weights are not those it tells of."""
        path = folder / "config.json"
        said = places.told_by_configs(folder, lambda: read_config(path))
        try:
            usual: Mapping[str, Any] = shape.transformer_config()
        except ValueError:  # heads of a width that no rotation turns
            name = next((name for name in HEADS if name in said), HEADS[0])
            raise unusual(path, name, said.get(name)) from None
        for name in SAID:
            if name in usual and said.get(name) is not None and said[name] != usual[name]:
                raise unusual(path, name, said[name])
        wanted = self.tensors(shape)
        need_shapes(wanted, there, str(folder))
        further = [name for name in there if wanted and name not in wanted and is_weight(name)]
        if further:
            raise UserError(
                _("its weights hold {name}, which a model with its configuration does not have.").format(
                    name=plain(further[0], limit=120)
                ),
                place=str(folder),
                remedy=_("The weights and the configuration are of two models; fetch the model again."),
                code="model.folder",
            )

    def _shape_of_file(self, path: Path) -> S:
        tensors = read_header(path).tensors
        if self.named_alike:
            refuse_packed(tensors, str(path))
        else:
            places.refuse_other_layouts(tensors, path)
        shapes = {places.bare(name): info.shape for name, info in tensors.items()}
        try:
            shape: Any = self.facts.shape_of_tensors(shapes)
            shape.transformer_config()
        except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
            raise places.part_missing(self.facts.title, places.stumbled(error, shapes), path) from None
        names = tuple(self.names(shape))
        need_tensors(names, shapes, str(path))
        known = self.tensors(shape)
        need_shapes(makers_shapes(names, self.pieces, known) if known else {}, shapes, str(path))
        found: S = shape
        return found
