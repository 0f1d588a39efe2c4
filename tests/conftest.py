"""Fixtures for every room: the DRS simulator, in this process and as a server."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import botocore.session
import pytest

pytest_plugins = ["drs_provider.simulator.pytest_plugin"]


@pytest.fixture(scope="session", autouse=True)
def _one_loader_for_all_sessions() -> Iterator[None]:
    """Every test has a boto3 session of its own, and each would read megabytes of endpoints and models again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield
