"""What is made of captions before the model reads them."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.groups import MASKED, UNETS, WITH_LLM, WITH_T5
from lora_tui.config.schema.section import MOST_EPOCHS, MOST_STEPS, Section
from lora_tui.text.translate import N_


class CaptionSection(Section):
    """Captions"""

    shuffle: bool = option(
        False,
        N_("shuffle tags"),
        N_("Another order of the comma-separated tags each time. Suits tags, not sentences."),
        peers=("shuffle_caption",),
    )
    keep_tokens: int = option(
        0,
        N_("keep first tags"),
        N_("This many tags stay in front when tags are shuffled. 1 keeps the trigger word first."),
        ge=0,
        le=255,
        when=Rule(
            lambda c: c.captions.shuffle or c.captions.tag_dropout > 0 or c.captions.tag_warmup > 0 or c.folders_vary,
            N_("tags are shuffled, dropped or warmed up"),
        ),
        peers=("keep_tokens",),
    )
    dropout: float = option(
        0.0,
        N_("caption dropout"),
        N_("Share of the time that a caption is left empty, which keeps guidance working. 0 to 0.1 is usual."),
        ge=0.0,
        le=1.0,
        peers=("caption_dropout_rate",),
    )
    tag_dropout: float = option(
        0.0,
        N_("tag dropout"),
        N_("Share of the tags left out each time, so that none of them is always needed. Tags kept in front stay."),
        ge=0.0,
        le=1.0,
        expert=True,
        peers=("caption_tag_dropout_rate",),
    )
    extensions: list[str] = option(
        None,
        N_("caption files"),
        N_("Endings of caption files, in order; the first that exists beside an image is read."),
        factory=lambda: [".txt", ".caption"],
        expert=True,
        peers=("caption_extension",),
    )
    missing: str = option(
        "",
        N_("without a caption"),
        N_(
            "What an image without a caption file is trained with. {folder} stands for the words in the name of its "
            "folder, such as sks girl for 10_sks girl, as sd-scripts takes them. Empty trains it without words."
        ),
        expert=True,
        peers=("class_tokens", "default_caption"),
    )
    prefix: str = option(
        "",
        N_("in front of captions"),
        N_(
            "Text in front of every caption, with a blank between; end it with a comma for tags. It is shuffled with "
            "the tags unless first tags are kept or it ends with |||."
        ),
        expert=True,
        peers=("caption_prefix",),
    )
    suffix: str = option(
        "",
        N_("behind captions"),
        N_("Text behind every caption, with a blank between; begin it with a comma for tags."),
        expert=True,
        peers=("caption_suffix",),
    )
    placeholder: str = option(
        "",
        N_("stands for the trigger"),
        N_(
            "Text in captions in whose place the trigger word is trained, such as [trigger]: the captions then serve "
            "any trigger word. Empty for none."
        ),
        expert=True,
        peers=("trigger_word",),
    )
    lines: Literal["first", "random"] = option(
        "first",
        N_("lines of a file"),
        N_(
            "Which line of a caption file of several lines is trained: the first that is not blank, or another one of "
            "them at random each time."
        ),
        expert=True,
        labels=(("first", N_("the first")), ("random", N_("one at random"))),
        peers=("enable_wildcard",),
    )
    wildcards: bool = option(
        False,
        N_("wildcards"),
        N_("One of {a|b|c} in a caption is trained each time, at random; {{ and }} stand for the brackets themselves."),
        expert=True,
        peers=("enable_wildcard",),
    )
    weighted: bool = option(
        False,
        N_("weighted captions"),
        N_(
            "(tag:1.2) makes a tag count more and (tag:0.8) less, (tag) 1.1 times, [tag] the reverse; brackets that "
            "are meant need a backslash. Holds for sample prompts, too."
        ),
        expert=True,
        families=UNETS,
        peers=("weighted_captions",),
    )
    keep_separator: str = option(
        "|||",
        N_("end of the fixed tags"),
        N_(
            "This mark in a caption ends the tags that stay in front when tags are shuffled, whatever keep first tags "
            "says; a second one begins tags that stay at the end. It is not trained. Empty knows no such mark."
        ),
        expert=True,
        peers=("keep_tokens_separator",),
    )
    secondary_separator: str = option(
        ";;;",
        N_("tie between tags"),
        N_(
            "Tags with this mark between them are shuffled as one; in training a comma stands in its place. Empty "
            "knows no such mark."
        ),
        expert=True,
        peers=("secondary_separator",),
    )
    dropout_epochs: int = option(
        0,
        N_("drop every epochs"),
        N_("Leave all captions empty in every so-many-th epoch. 0 never does."),
        unit="epochs",
        ge=0,
        le=MOST_EPOCHS,
        expert=True,
        peers=("caption_dropout_every_n_epochs",),
    )
    tag_warmup: int = option(
        0,
        N_("tag warm-up"),
        N_("Show more and more of the tags up to this step, from the front; 0 shows all from the start."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        expert=True,
        peers=("token_warmup_step",),
    )
    tag_warmup_from: int = option(
        1,
        N_("tags at first"),
        N_("How many tags a caption begins with in the warm-up; those kept in front are not counted."),
        ge=0,
        le=1000,
        expert=True,
        when=Rule(lambda c: c.captions.tag_warmup > 0, N_("tags are warmed up")),
        peers=("token_warmup_min",),
    )
    max_tokens: Literal[75, 150, 225] = option(
        225,
        N_("token limit"),
        N_("Captions longer than this many tokens are cut, and a warning says how many. Costs little."),
        unit="tokens",
        expert=True,
        families=UNETS,
        peers=("max_token_length",),
    )
    t5_tokens: Literal[128, 256, 512] = option(
        512,
        N_("T5 token limit"),
        N_(
            "Captions are cut or filled up to this many tokens of T5. FLUX.1 dev learned with 512, schnell with 256; "
            "fewer take less memory and time, and change what an empty rest of a caption means."
        ),
        unit="tokens",
        expert=True,
        families=WITH_T5,
        peers=("t5xxl_max_token_length",),
    )
    llm_tokens: Literal[128, 256, 512] = option(
        512,
        N_("language model token limit"),
        N_(
            "Captions are cut at this many tokens of the language model, those of the conversation around them among "
            "them. The models learned with 512; FLUX.2 reads what fills a row up as well, the others a caption alone."
        ),
        unit="tokens",
        expert=True,
        families=WITH_LLM,
        peers=("max_sequence_length",),
    )
    t5_mask: bool = option(
        False,
        N_("mask T5 padding"),
        N_(
            "The model attends to a caption's own tokens alone, not to what fills it up: each caption takes only its "
            "own length in memory, in the cache and in every step. FLUX.1 was published without, and most programs "
            "draw so."
        ),
        expert=True,
        families=MASKED,
        peers=("apply_t5_attn_mask",),
    )
    variants: int = option(
        16,
        N_("kept captions"),
        N_(
            "How many different captions of each image are kept where tags are shuffled or otherwise varied and text "
            "embeddings are cached; the text encoder need not stay in memory for them. A warm-up doubles them."
        ),
        ge=1,
        le=1000,
        expert=True,
        when=Rule(
            lambda c: c.varies_captions and c.keeps_text,
            N_("captions are varied and the text encoder is not trained"),
        ),
    )

    @property
    def varied(self) -> bool:
        """Whether an image may have another caption each time, besides an empty one."""
        return self.shuffle or self.wildcards or self.lines == "random" or self.tag_dropout > 0 or self.tag_warmup > 0
