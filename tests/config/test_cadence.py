"""When a run saves, samples, validates and writes its state."""

from config_samples import SOME, config_with, configs
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.config.cadence import due_at

OFF = {"every_epochs": 0, "every_steps": 0}
PROMPT = [{"prompt": "a cat"}]


@SOME
@given(configs(), st.integers(1, 400), st.integers(1, 5000))
def test_the_last_step_always_saves_the_lora_and_the_state(config, per_epoch, total):
    assert {"checkpoint", "state"} <= due_at(config, total, per_epoch, total)


@SOME
@given(configs(), st.integers(1, 50), st.integers(1, 50), st.integers(0, 3000))
def test_samples_need_prompts_and_validation_needs_its_mode(config, per_epoch, epochs, step):
    due = due_at(config, step, per_epoch, per_epoch * epochs)
    assert "sample" not in due or config.samples
    assert "validation" not in due or config.validation.mode != "off"


def test_epochs_count_at_their_last_step():
    config = config_with(saving={"every_epochs": 2, "state_every_epochs": 3})
    saved = [step for step in range(1, 121) if "checkpoint" in due_at(config, step, 10, 120)]
    states = [step for step in range(1, 121) if "state" in due_at(config, step, 10, 120)]
    assert saved == [20, 40, 60, 80, 100, 120]
    assert states == [30, 60, 90, 120]


def test_steps_and_epochs_add_up():
    config = config_with(saving={"every_epochs": 1, "every_steps": 4})
    assert [step for step in range(1, 13) if "checkpoint" in due_at(config, step, 6, 12)] == [4, 6, 8, 12]


def test_a_cadence_that_is_off_samples_and_validates_not_even_at_the_end():
    config = config_with(samples=PROMPT, sampling=OFF, validation=OFF)
    assert due_at(config, 12, 6, 12) == {"checkpoint", "state"}


def test_a_run_that_ends_within_an_epoch_still_samples_and_validates_at_its_end():
    config = config_with(samples=PROMPT)
    assert due_at(config, 5, 10, 5) == {"checkpoint", "state", "sample", "validation"}


def test_step_zero_draws_samples_when_asked_and_validates_to_compare_with():
    quiet = {"mode": "off"}
    assert due_at(config_with(samples=PROMPT), 0, 10, 100) == {"sample", "validation"}
    assert due_at(config_with(samples=PROMPT, validation=quiet), 0, 10, 100) == {"sample"}
    assert due_at(config_with(validation=OFF), 0, 10, 100) == frozenset()
    assert due_at(config_with(samples=PROMPT, sampling={"at_start": False}, validation=OFF), 0, 10, 100) == frozenset()
