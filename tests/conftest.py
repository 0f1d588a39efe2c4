"""Fixtures for every room: the DRS simulator, in this process and as a server."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator

import botocore.session
import pytest

pytest_plugins = ["drs_provider.simulator.pytest_plugin"]

# Each test process has a home of its own, before anybody imports Airflow, which writes its configuration there.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="drs-tests-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME
# Where there is no Airflow, there is no variable to keep a name that is made up.
os.environ["AIRFLOW__DRS_PROVIDER__INSTALLATION"] = "tests"


def pytest_unconfigure() -> None:
    """Leave nothing of it behind."""
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _one_loader_for_all_sessions() -> Iterator[None]:
    """Every test has a boto3 session of its own, and each would read megabytes of endpoints and models again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield
