"""The network: what is trained, how large it is, and what keeps it in bounds."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_


class NetworkSection(Section):
    """Network"""

    type: Literal["lora", "locon"] = option(
        "lora",
        N_("type"),
        N_(
            "What is trained: LoRA adds two thin matrices to each layer of attention and feed-forward. LoCon also "
            "adapts the convolutions, which draw shapes, lines and texture: more detail, a larger file, slower steps."
        ),
        labels=(("lora", "LoRA"), ("locon", "LoCon")),
        peers=("network_module", "lora_type"),
    )
    rank: int = option(
        32,
        N_("rank"),
        N_(
            "Directions each layer may learn (dim). Higher keeps more detail and makes a larger file. Characters "
            "usually 32 or 64, styles up to 128."
        ),
        ge=1,
        le=320,
        peers=("network_dim", "linear", "lora_rank", "dim"),
    )
    alpha: float = option(
        32.0,
        N_("alpha"),
        N_("The update is multiplied by alpha / rank. Above rank it acts like a higher learning rate."),
        gt=0,
        le=1024,
        peers=("network_alpha", "linear_alpha", "lora_alpha"),
    )
    conv_rank: int = option(
        8,
        N_("convolution rank"),
        N_("Rank of the 3x3 convolutions. Usually a quarter of the rank or less; they are large."),
        ge=1,
        le=320,
        when=Rule(lambda c: c.network.type == "locon", N_("LoCon is trained")),
        peers=("conv_dim", "conv", "conv_rank"),
    )
    conv_alpha: float = option(
        8.0,
        N_("convolution alpha"),
        N_("The convolutions' updates are multiplied by this alpha / convolution rank."),
        gt=0,
        le=1024,
        when=Rule(lambda c: c.network.type == "locon", N_("LoCon is trained")),
        peers=("conv_alpha",),
    )
    text_encoder: bool = option(
        True,
        N_("train text encoder"),
        N_(
            "Also adapt how words are understood. Helps a new trigger word; off saves memory and time, and lets text "
            "embeddings be cached."
        ),
        peers=("network_train_unet_only", "train_text_encoder"),
    )

    lora_plus: float = option(
        1.0,
        N_("LoRA+ ratio"),
        N_("The second of the two matrices learns so many times faster. 16 is usual for LoRA+; 1 is plain LoRA."),
        ge=1,
        le=1000,
        expert=True,
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
        peers=("rs_lora", "use_rslora", "rank_stabilized"),
    )
    dora: bool = option(
        False,
        N_("DoRA"),
        N_(
            "Also trains the size of each column of the weights, apart from their direction: closer to training the "
            "whole model, about a third slower. ComfyUI, Forge and A1111 read it; diffusers leaves the sizes out."
        ),
        expert=True,
        peers=("dora_wd", "use_dora", "weight_decompose"),
    )
    layers: list[str] = option(
        None,
        N_("single layers"),
        N_(
            "Ranks and rates of layers by their names: unet.down_blocks.0.* rank=8 alpha=8 rate=0.5. * stands for "
            "anything, the last rule that fits holds, and rate=0 leaves layers out. Blocks: IN04-IN08 rate=0.5, BASE, "
            "M00, OUT03, DOUBLE0-5, SINGLE10 conv_rank=4. Lists with a number for each block: blocks rank=8,8,… "
            "(17, 25 or 26 for SD1.5 and SD2, 12, 19, 20 or 23 for XL), IN, OUT, DOUBLE, SINGLE."
        ),
        factory=list,
        expert=True,
        peers=("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_dims", "network_reg_dims", "rank_pattern"),
    )
    start_from: str = option(
        "",
        N_("start from"),
        N_("A LoRA file to go on from instead of starting with nothing, of the same base family and ranks."),
        expert=True,
        path="file",
        peers=("network_weights", "lora_path"),
    )

    @property
    def convolutions(self) -> bool:
        """Whether convolutions are adapted, too."""
        return self.type == "locon"

    def size_of(self, kernel: int) -> tuple[int, float]:
        """Rank and alpha of a layer whose convolution is ``kernel`` cells wide; 1 for linear layers.

        As in sd-scripts, those of 1 cell count with the linear ones.
        """
        return (self.conv_rank, self.conv_alpha) if kernel > 1 else (self.rank, self.alpha)
