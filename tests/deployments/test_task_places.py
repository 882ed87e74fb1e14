"""How many queued transforms run at once."""

from pathlib import Path
from typing import Any

import pytest

from configs.load import load_config
from configs.schema import TRANSFORMS_ID, ServerConfig
from deployments.task_places import TaskPlaces

MODEL = {"id": "m", "tasks": ["chat"], "pipeline": "a:B"}


def places(
    jobs: dict[str, Any], cpus: float, replicas: dict[str, int] | None = None, **autoscaling: int
) -> int:
    """Look once at a cluster whose ingress, job server and transforms take half a CPU, and a model two."""
    config = ServerConfig.model_validate(
        {
            "models": [{**MODEL, "resources": {"num_cpus": 2}, "autoscaling": autoscaling}],
            "ingress": {"num_cpus": 0.2},
            "jobs": {"num_cpus": 0.1},
            "transforms": {"resources": {"num_cpus": 0.2}, "jobs": jobs},
        }
    )
    found = TaskPlaces(config)
    found.look(cpus, replicas or {})
    return found()[TRANSFORMS_ID]


@pytest.mark.parametrize(("cpus", "expected"), [(8, 2), (16, 6), (2, 1), (0, 1)])
def test_they_take_what_the_models_leave(cpus: float, expected: int) -> None:
    assert places({"num_cpus": 2}, cpus) == expected


def test_a_model_that_sleeps_or_may_grow_keeps_its_room() -> None:
    scaled = {"min_replicas": 0, "max_replicas": 4}
    by_replicas = [places({}, 16, {"m": count}, **scaled) for count in (0, 1, 3, 4)]
    assert by_replicas == [13, 11, 7, 7]


def test_parts_of_a_cpu_do_not_make_more_threads_than_cores() -> None:
    assert places({"num_cpus": 0.1, "threads": 1}, 8) == 8
    assert places({"num_cpus": 0.1, "threads": 2}, 8) == 4


def test_the_operator_may_say_how_many() -> None:
    assert places({"num_cpus": 4, "at_once": 12}, 2) == 12


def test_where_there_are_no_transforms_there_are_no_places() -> None:
    assert TaskPlaces(ServerConfig.model_validate({"transforms": {"enabled": False}}))() == {}


@pytest.mark.parametrize("cpus", [2, 16])
def test_the_default_profile_uses_every_core(cpus: int) -> None:
    found = TaskPlaces(load_config(Path("serve_config.yaml")).args)
    found.look(cpus, {})
    assert found()[TRANSFORMS_ID] == cpus
