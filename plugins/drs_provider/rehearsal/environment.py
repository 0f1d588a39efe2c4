"""The environment of the processes of a rehearsal: nothing of the caller's Airflow or AWS account reaches it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["clean_environment", "simulator_credentials"]


def clean_environment() -> dict[str, str]:
    """Return this process's environment without its Airflow and AWS settings, with this Python's programs first."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "_AIRFLOW"))}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    env["PYTHONUNBUFFERED"] = "1"
    # Traffic to the loopback interface must never go through a proxy.
    env["NO_PROXY"] = env["no_proxy"] = "127.0.0.1,localhost"
    return env


def simulator_credentials(endpoint_url: str, region: str) -> dict[str, str]:
    """Return the settings with which every AWS client speaks to a simulator.

    :param endpoint_url: the simulator's address.
    :param region: the recovery region.
    """
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }
