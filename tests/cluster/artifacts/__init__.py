"""Tests of the stores; `contract` holds what all of them promise."""

import pytest

pytest.register_assert_rewrite("tests.cluster.artifacts.contract")
