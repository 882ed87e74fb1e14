"""Every combination of a transform's parameters gives what it asks for, or an error that names a field."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.errors import InvalidInput
from pipelines.transforms import TRANSFORMS
from tests.fakes import FolderWorkspace
from tests.pipelines.media.asked import FIELDS, FILES, nonsensical, sensible
from tests.pipelines.media.promised import check_result, faults, make_files, may_be_without_frame

FACTOR = int(os.environ.get("PARAMETERS_FACTOR", "1"))
"""So many times the examples of the default run."""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> FolderWorkspace:
    """A folder with small files."""
    folder = tmp_path_factory.mktemp("parameters")
    make_files(folder)
    return FolderWorkspace(folder)


def test_every_field_is_tried() -> None:
    for name, operation in TRANSFORMS.items():
        files = FILES.keys() & operation.request.model_fields.keys()
        assert {*FIELDS[name], *files, "provider", "model"} == {*operation.request.model_fields}


@pytest.mark.parametrize(
    ("name", "kind", "examples"),
    [
        *((name, sensible, 8) for name in TRANSFORMS),
        *((name, nonsensical, 16) for name, fields in FIELDS.items() if fields),
    ],
)
def test_parameters(
    space: FolderWorkspace, name: str, kind: Callable[[str], st.SearchStrategy[dict[str, Any]]], examples: int
) -> None:
    @given(fields=kind(name))
    @settings(
        max_examples=examples * FACTOR,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(fields: dict[str, Any]) -> None:
        try:
            request = TRANSFORMS[name].request(**fields)
        except ValidationError:
            if kind is sensible:
                raise
            return
        refused = [*faults(name, request)]
        try:
            result = TRANSFORMS[name].run(request, space)
        except InvalidInput as error:
            if error.field not in (*refused, *may_be_without_frame(name, request)):
                raise
        else:
            assert refused == []
            check_result(space, name, request, result)

    check()
    assert not list(space.folder.glob(".draft*"))
