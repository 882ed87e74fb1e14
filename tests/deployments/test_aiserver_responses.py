from datetime import timedelta

import pytest
from servicestack import from_timespan

from deployments.routers.aiserver.responses import xsd_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "PT0S"),
        (0.0004, "PT0S"),
        (0.5, "PT0.5S"),
        (7.02, "PT7.02S"),
        (59.9996, "PT1M"),
        (67.25, "PT1M7.25S"),
        (3600, "PT1H"),
        (7384.5, "PT2H3M4.5S"),
    ],
)
def test_durations_are_written_as_aiservers_client_reads_them(seconds: float, text: str) -> None:
    assert xsd_duration(seconds) == text
    # The client truncates to milliseconds where a binary fraction lies just below.
    assert abs(from_timespan(text) - timedelta(seconds=seconds)) <= timedelta(milliseconds=1)
