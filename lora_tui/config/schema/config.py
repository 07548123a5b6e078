"""All settings of a run together."""

from __future__ import annotations

from typing import Any

from lora_tui.config.option import option
from lora_tui.config.schema.base import ModelSection
from lora_tui.config.schema.captions import CaptionSection
from lora_tui.config.schema.ending import EndingSection
from lora_tui.config.schema.groups import ALWAYS_MASKED, FROZEN_TEXT, MASKED, TEXT_AS_IT_IS, UNETS, WITH_LLM
from lora_tui.config.schema.learning import (
    LearningSection,
    StepSection,
    ValidationSection,
)
from lora_tui.config.schema.masks import MaskSection
from lora_tui.config.schema.material import DataSection, DatasetEntry
from lora_tui.config.schema.network import NetworkSection
from lora_tui.config.schema.noise import NoiseSection
from lora_tui.config.schema.optimizer import OptimizerSection
from lora_tui.config.schema.running import MemorySection, SamplePrompt, SamplingSection, SavingSection, TrackingSection
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_

SCHEMA_VERSION = 1


class Config(Section):
    """A complete run. ``datasets`` and ``samples`` are lists, everything else is one section a group."""

    schema_version: int = option(SCHEMA_VERSION, N_("schema version"), N_("Version of this file's format."))
    model: ModelSection = option(None, N_("Model"), "", factory=ModelSection)
    datasets: list[DatasetEntry] = option(None, N_("Folders"), "", factory=list)
    data: DataSection = option(None, N_("Dataset"), "", factory=DataSection)
    masks: MaskSection = option(None, N_("Masks"), "", factory=MaskSection)
    captions: CaptionSection = option(None, N_("Captions"), "", factory=CaptionSection)
    network: NetworkSection = option(None, N_("Network"), "", factory=NetworkSection)
    learning: LearningSection = option(None, N_("Learning"), "", factory=LearningSection)
    optimizer: OptimizerSection = option(None, N_("Optimizer"), "", factory=OptimizerSection)
    steps: StepSection = option(None, N_("Steps"), "", factory=StepSection)
    samples: list[SamplePrompt] = option(None, N_("Prompts"), "", factory=list)
    sampling: SamplingSection = option(None, N_("Samples"), "", factory=SamplingSection)
    noise: NoiseSection = option(None, N_("Noise, loss"), "", factory=NoiseSection)
    validation: ValidationSection = option(None, N_("Validation"), "", factory=ValidationSection)
    memory: MemorySection = option(None, N_("Memory"), "", factory=MemorySection)
    saving: SavingSection = option(None, N_("Saving"), "", factory=SavingSection)
    tracking: TrackingSection = option(None, N_("Trackers"), "", factory=TrackingSection)
    ending: EndingSection = option(None, N_("Ending"), "", factory=EndingSection)

    @property
    def folders_vary(self) -> bool:
        """Whether the tags of a folder are shuffled or dropped by settings of its own."""
        return any(entry.shuffle == "on" or entry.tag_dropout > 0 for entry in self.datasets)

    @property
    def varies_captions(self) -> bool:
        """Whether some image may have another caption each time."""
        return self.captions.varied or self.folders_vary

    @property
    def keeps_text(self) -> bool:
        """Whether embeddings of captions are kept: of all text encoders, or of one that never learns."""
        return not self.trains_text or self.model.family in FROZEN_TEXT

    @property
    def trains_text(self) -> bool:
        """Whether adapters are trained on text encoders; the setting holds where the family has one that learns."""
        return self.network.text_encoder and self.model.family not in TEXT_AS_IT_IS

    @property
    def lays_channels_last(self) -> bool:
        """Whether the convolutions of the base are laid out channels-last; the setting holds where there are such."""
        return self.memory.channels_last and self.model.family in UNETS

    @property
    def text_tokens(self) -> int:
        """The most tokens that are read of a caption by the encoder that cuts it, of T5 or of a language model."""
        return self.captions.llm_tokens if self.model.family in WITH_LLM else self.captions.t5_tokens

    @property
    def masks_text(self) -> bool:
        """Whether the network attends to a caption's own tokens alone, not to what fills it up."""
        return self.model.family in ALWAYS_MASKED or (self.captions.t5_mask and self.model.family in MASKED)


def as_plain(config: Config) -> dict[str, Any]:
    """The configuration as plain dictionaries, lists and scalars, in the order of the schema."""
    return config.model_dump(mode="python")
