"""A request of a test waits for its changes to be published, however busy the machine is."""

import pytest


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Wait up to a minute instead of seconds. The tests of the limit set it themselves."""
    for place in ("oneroster.api.views", "oneroster.admin"):
        monkeypatch.setattr(f"{place}.REQUEST_SECONDS", 60)
