"""The configuration of a run: every setting, declared once. Knows no torch, no screen and no file."""

from lora_tui.config.schema.base import ModelSection
from lora_tui.config.schema.captions import CaptionSection
from lora_tui.config.schema.config import SCHEMA_VERSION, Config, as_plain
from lora_tui.config.schema.ending import EndingSection
from lora_tui.config.schema.groups import FLOW, TEXT_AS_IT_IS, TOLD_GUIDANCE, TWO_TEXTS, UNETS
from lora_tui.config.schema.learning import (
    LearningSection,
    StepSection,
    ValidationSection,
)
from lora_tui.config.schema.masks import MaskSection
from lora_tui.config.schema.material import LEAST_SIDE, MOST_SIDE, DataSection, DatasetEntry
from lora_tui.config.schema.network import NetworkSection
from lora_tui.config.schema.noise import NoiseSection
from lora_tui.config.schema.optimizer import OptimizerSection
from lora_tui.config.schema.running import MemorySection, SamplePrompt, SamplingSection, SavingSection
from lora_tui.config.schema.section import MOST_STEPS, Precision, Sampler, Schedule, Section, Spacing

__all__ = [
    "FLOW",
    "LEAST_SIDE",
    "MOST_SIDE",
    "MOST_STEPS",
    "SCHEMA_VERSION",
    "TEXT_AS_IT_IS",
    "TOLD_GUIDANCE",
    "TWO_TEXTS",
    "UNETS",
    "CaptionSection",
    "Config",
    "DataSection",
    "DatasetEntry",
    "EndingSection",
    "LearningSection",
    "MaskSection",
    "MemorySection",
    "ModelSection",
    "NetworkSection",
    "NoiseSection",
    "OptimizerSection",
    "Precision",
    "SamplePrompt",
    "Sampler",
    "SamplingSection",
    "SavingSection",
    "Schedule",
    "Section",
    "Spacing",
    "StepSection",
    "ValidationSection",
    "as_plain",
]
