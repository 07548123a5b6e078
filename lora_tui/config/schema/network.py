"""The network: what is trained, how large it is, and what keeps it in bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.groups import LEARNS_TEXT, UNETS
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_
from lora_tui.weights.kinds import LYCORIS, NAMES, RANKED, SIZED, TURNED, UNRANKED, Form

if TYPE_CHECKING:
    from lora_tui.config.layers import LayerSize

NetworkType = Literal["lora", "locon", "dylora", "loha", "lokr", "glora", "ia3", "oft", "boft", "full"]
_PLAIN = Rule(lambda c: c.network.type in ("lora", "locon", "dylora"), N_("LoRA, LoCon or DyLoRA is trained"))
_SIZED = Rule(lambda c: c.network.type in SIZED, N_("LoHa or LoKr is trained"))
_DECOMPOSABLE = Rule(
    lambda c: c.network.type in ("lora", "locon", "dylora", *SIZED), N_("LoRA, LoCon, DyLoRA, LoHa or LoKr is trained")
)
_TURNED = Rule(lambda c: c.network.type in TURNED, N_("OFT or BOFT is trained"))
_SCALED = Rule(
    lambda c: c.network.scaled,
    N_("LoRA, LoCon, DyLoRA, LoHa, LoKr or GLoRA is trained, without whole matrices"),
)
_WITH_RANKS = Rule(lambda c: c.network.ranked, N_("the type has ranks, or blocks of a size"))
_CONV_RANKS = Rule(
    lambda c: c.network.convolutions and c.network.ranked,
    N_("convolutions are adapted, and the type has ranks, or blocks of a size"),
)
_CONV_SCALED = Rule(
    lambda c: c.network.convolutions and c.network.scaled,
    N_("convolutions are adapted, and the type is multiplied by alpha / rank"),
)
_DYLORA = Rule(lambda c: c.network.type == "dylora", N_("DyLoRA is trained"))
_LOKR = Rule(lambda c: c.network.type == "lokr", N_("LoKr is trained"))
_LOKR_THIN = Rule(
    lambda c: c.network.type == "lokr" and not c.network.full_matrix, N_("LoKr is trained, without whole matrices")
)


class NetworkSection(Section):
    """Network"""

    type: NetworkType = option(
        "lora",
        N_("type"),
        N_(
            "LoRA adds two thin matrices to a layer; LoCon also adapts convolutions: more detail, a larger file. "
            "lora split cuts a DyLoRA to any of its ranks. LoHa and LoKr say more in a small file, OFT and BOFT only "
            "turn what is there, (IA)^3 is tiny. diffusers reads the first three."
        ),
        labels=tuple(NAMES.items()),
        peers=("network_module", "lora_type", "algo", "lycoris_algo"),
    )
    rank: int = option(
        32,
        N_("rank"),
        N_(
            "Directions each layer may learn (dim): more keep more detail in a larger file. Characters usually 32 or "
            "64, styles up to 128. Of OFT and BOFT the size of the blocks: 4 to 32."
        ),
        ge=1,
        le=320,
        when=_WITH_RANKS,
        peers=("network_dim", "linear", "lora_rank", "dim"),
    )
    alpha: float = option(
        32.0,
        N_("alpha"),
        N_("The update is multiplied by alpha / rank. Above rank it acts like a higher learning rate."),
        gt=0,
        le=1024,
        when=_SCALED,
        peers=("network_alpha", "linear_alpha", "lora_alpha"),
    )
    conv_rank: int = option(
        8,
        N_("convolution rank"),
        N_("Rank of the 3x3 convolutions. Usually a quarter of the rank or less; they are large."),
        ge=1,
        le=320,
        when=_CONV_RANKS,
        peers=("conv_dim", "conv", "conv_rank"),
    )
    conv_alpha: float = option(
        8.0,
        N_("convolution alpha"),
        N_("The convolutions' updates are multiplied by this alpha / convolution rank."),
        gt=0,
        le=1024,
        when=_CONV_SCALED,
        peers=("conv_alpha",),
    )
    unit: int = option(
        4,
        N_("unit of ranks"),
        N_("How many ranks come and go together; the file serves at each multiple of it."),
        ge=1,
        le=320,
        when=_DYLORA,
        peers=("unit", "dylora_unit", "block_size"),
    )
    ranks_drawn: Literal["uniform", "geometric"] = option(
        "uniform",
        N_("ranks drawn"),
        N_("How many ranks a step learns with: each number alike, or fewer more often, which favours small files."),
        labels=(("uniform", N_("each alike")), ("geometric", N_("fewer more often"))),
        expert=True,
        when=_DYLORA,
    )
    targets: Literal["all", "full-lin", "attn-mlp", "attn-only", "convblock-only"] = option(
        "all",
        N_("which layers"),
        N_(
            "All that the type adapts, or those of a preset of LyCORIS: without wide convolutions, without blocks of "
            "convolutions, attention alone, or blocks of convolutions alone."
        ),
        labels=(
            ("all", N_("all")),
            ("full-lin", N_("no wide convolutions")),
            ("attn-mlp", N_("no blocks of convolutions")),
            ("attn-only", N_("attention alone")),
            ("convblock-only", N_("convolutions alone")),
        ),
        expert=True,
        peers=("preset", "lycoris_preset", "only_if_contains"),
    )
    all_convolutions: bool = option(
        False,
        N_("convolutions too"),
        N_("Adapt the convolutions as well: more detail, a larger file, slower steps. LoCon always does."),
        expert=True,
        when=Rule(lambda c: c.network.type in LYCORIS, N_("a kind of LyCORIS is trained")),
        families=UNETS,
        peers=("conv_dim",),
    )
    factor: int = option(
        -1,
        N_("factor"),
        N_("The smaller side of the split. Higher makes the file smaller and coarser; -1 splits evenly, 8 is usual."),
        ge=-1,
        le=1024,
        when=_LOKR,
        peers=("factor", "lokr_factor"),
    )
    decompose_both: bool = option(
        False,
        N_("split both matrices"),
        N_("The first, small matrix becomes a product of two thin ones as well: a still smaller file."),
        expert=True,
        when=_LOKR_THIN,
        peers=("decompose_both",),
    )
    full_matrix: bool = option(
        False,
        N_("whole matrices"),
        N_("Neither matrix is a product of thin ones: rank and alpha mean nothing then."),
        expert=True,
        when=_LOKR,
        peers=("full_matrix",),
    )
    unbalanced: bool = option(
        False,
        N_("unbalanced split"),
        N_("The larger part of a layer's outputs belongs to the first matrix, which then is the larger one."),
        expert=True,
        when=_LOKR,
        peers=("unbalanced_factorization",),
    )
    constraint: float = option(
        0.0,
        N_("constraint"),
        N_("How far a layer may be turned, times its outputs, as COFT has it; 0 lets it turn freely."),
        ge=0.0,
        le=1.0,
        expert=True,
        when=_TURNED,
        peers=("constraint", "coft"),
    )
    rescaled: bool = option(
        False,
        N_("rescaled"),
        N_("Each output also has a factor that is trained, so that layers are not only turned."),
        expert=True,
        when=_TURNED,
        peers=("rescaled",),
    )
    tucker: bool = option(
        False,
        N_("Tucker's form"),
        N_("Wide convolutions are split along their kernel, too: smaller, and slower to compute."),
        expert=True,
        when=Rule(
            lambda c: c.network.type in SIZED and c.network.ranked and c.network.convolutions,
            N_("LoHa or LoKr adapts convolutions, without whole matrices"),
        ),
        peers=("use_tucker", "use_cp", "tucker"),
    )
    scalar: bool = option(
        False,
        N_("learned factor"),
        N_(
            "Each layer begins with random matrices and a factor of 0 that is learned with them, instead of with one "
            "matrix of zeros. The file holds the factor multiplied in, so that every reader of the type reads it."
        ),
        expert=True,
        when=_SIZED,
        peers=("use_scalar",),
    )
    text_encoder: bool = option(
        True,
        N_("train text encoder"),
        N_(
            "Also adapt how words are understood. Helps a new trigger word; off saves memory and time, and lets text "
            "embeddings be cached."
        ),
        families=LEARNS_TEXT,
        peers=("network_train_unet_only", "train_text_encoder"),
    )

    lora_plus: float = option(
        1.0,
        N_("LoRA+ ratio"),
        N_("The second of the two matrices learns so many times faster. 16 is usual for LoRA+; 1 is plain LoRA."),
        ge=1,
        le=1000,
        expert=True,
        when=_PLAIN,
        peers=("loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_ratio"),
    )
    dropout: float = option(
        0.0,
        N_("dropout"),
        N_("Share of the numbers between the two matrices that is left out at each step, against overfitting."),
        ge=0.0,
        le=0.95,
        expert=True,
        peers=("network_dropout", "neuron_dropout"),
    )
    rank_dropout: float = option(
        0.0,
        N_("rank dropout"),
        N_("Share of the ranks that is left out for an image at each step."),
        ge=0.0,
        le=0.95,
        expert=True,
        peers=("rank_dropout",),
    )
    module_dropout: float = option(
        0.0,
        N_("module dropout"),
        N_("Share of the layers that do without the LoRA at each step."),
        ge=0.0,
        le=0.95,
        expert=True,
        peers=("module_dropout",),
    )
    max_norm: float = option(
        0.0,
        N_("highest norm"),
        N_("What a layer adds is scaled down where its norm is above this; 1 is usual, 0 lets it grow."),
        ge=0.0,
        le=1000.0,
        expert=True,
        when=_PLAIN,
        peers=("scale_weight_norms", "max_norm"),
    )
    rslora: bool = option(
        False,
        N_("rank-stabilised"),
        N_(
            "Multiplies updates by alpha / square root of rank, so that high ranks learn as fast as low ones (rsLoRA). "
            "The alpha in the file is what others need for it."
        ),
        expert=True,
        when=_SCALED,
        peers=("rs_lora", "use_rslora", "rank_stabilized"),
    )
    dora: bool = option(
        False,
        N_("DoRA"),
        N_(
            "Also trains the size of each column of the weights: closer to training the whole model, about a third "
            "slower. ComfyUI, Forge and A1111 read it; diffusers leaves the sizes out, LyCORIS' loader looks for rows."
        ),
        expert=True,
        when=_DECOMPOSABLE,
        peers=("dora_wd", "use_dora", "weight_decompose"),
    )
    layers: list[str] = option(
        None,
        N_("single layers"),
        N_(
            "unet.down_blocks.0.* rank=8 alpha=8 rate=0.5: the last rule that fits holds, rate=0 leaves layers out. "
            "Blocks: IN04-IN08 rate=0.5, M00, DOUBLE0-5, SINGLE10; SD3: JOINT0-5, X_ATTN, CONTEXT_MLP. A number for "
            "each block: blocks rank=8,8,4 (12, 17, 19, 20, 23, 25, 26), IN, OUT, DOUBLE, SINGLE, JOINT."
        ),
        factory=list,
        expert=True,
        peers=(
            "down_lr_weight",
            "mid_lr_weight",
            "up_lr_weight",
            "block_dims",
            "network_reg_dims",
            "rank_pattern",
            "train_block_indices",
            "context_attn_dim",
            "x_attn_dim",
        ),
    )
    start_from: str = option(
        "",
        N_("start from"),
        N_(
            "A LoRA file to go on from instead of starting with nothing: of the same family, type and ranks, whatever "
            "its alpha and whichever program's names it has. The check says which settings a file needs."
        ),
        expert=True,
        path="file",
        peers=("network_weights", "lora_path"),
    )

    @property
    def convolutions(self) -> bool:
        """Whether convolutions are adapted, too."""
        return self.type == "locon" or (self.type in LYCORIS and self.all_convolutions)

    @property
    def scaled(self) -> bool:
        """Whether what is added is multiplied by alpha / rank."""
        return (self.type in RANKED and self.ranked) or self.type not in LYCORIS

    @property
    def ranked(self) -> bool:
        """Whether the rank counts: as that of matrices, or as the size of blocks."""
        return self.type not in UNRANKED and not (self.type == "lokr" and self.full_matrix)

    @property
    def form(self) -> Form:
        """How the adapter is built, where it is one of LyCORIS'."""
        sized = self.type in SIZED
        return Form(
            self.type, self.factor, self.decompose_both, self.full_matrix, self.tucker,
            sizes=sized and self.dora, scalar=sized and self.scalar,
            unbalanced=self.unbalanced, rescaled=self.type in TURNED and self.rescaled,
        )  # fmt: skip

    @property
    def decomposed(self) -> bool:
        """Whether the sizes of columns are trained, too (DoRA)."""
        return self.dora and (self.type in SIZED or self.type not in LYCORIS)

    def stated_alpha(self, size: LayerSize) -> float:
        """The alpha of a layer in its file: what a reader divides by the rank to have its scale."""
        return size.alpha * math.sqrt(size.rank) if self.rslora else size.alpha

    def size_of(self, kernel: int) -> tuple[int, float]:
        """Rank and alpha of a layer whose convolution is ``kernel`` cells wide; 1 for linear layers.

        As in sd-scripts, those of 1 cell count with the linear ones.
        """
        return (self.conv_rank, self.conv_alpha) if kernel > 1 else (self.rank, self.alpha)
