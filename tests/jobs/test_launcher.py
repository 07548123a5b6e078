"""What the environment of a launcher says, and what cannot be."""

from __future__ import annotations

import pytest

from lora_tui.errors import UserError
from lora_tui.jobs.launcher import Launched, launched

SECOND = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, Launched(1, 2, 1, 2, "127.0.0.1")),
        ({}, Launched(1, 2, 1, 2, "127.0.0.1")),
        (
            {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "10.0.0.7"},
            Launched(1, 2, 0, 1, "10.0.0.7"),
        ),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"MASTER_PORT": ""}, None),
    ],
)
def test_which_of_them_this_is(changes: dict[str, str], expected: Launched | None) -> None:
    assert launched({**SECOND, **changes}) == expected


def test_where_the_first_listens_is_this_machine_alone_if_all_are_on_it() -> None:
    assert Launched(0, 2, 0, 2, "10.0.0.7").host == "127.0.0.1"
    assert Launched(0, 2, 0, 1, "10.0.0.7").host == "10.0.0.7"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"RANK": "2"}, "RANK"),
        ({"RANK": "-1"}, "RANK"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK"),
        ({"MASTER_ADDR": "10.0.0.7"}, "LOCAL_RANK"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, str], name: str) -> None:
    with pytest.raises(UserError) as caught:
        launched({**SECOND, **changes})
    assert (caught.value.code, caught.value.place) == ("launcher.environment", name)


def test_a_launcher_that_starts_one_of_several_is_refused() -> None:
    """``accelerate launch --cpu --num_processes 2`` does."""
    with pytest.raises(UserError) as caught:
        launched({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "ACCELERATE_MIXED_PRECISION": "no"})
    assert caught.value.code == "launcher.one" and "--multi_gpu" in caught.value.remedy
