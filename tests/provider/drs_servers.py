"""Four source servers in a simulator, and what the tests of DRS operators and sensors ask of it."""

from __future__ import annotations

import time
from typing import Any

from drs_provider.hooks.drs import DrsHook

__all__ = ["AWS", "SERVERS", "calls", "finish", "hook", "load"]

SERVERS = [f"s-{i:017d}" for i in range(4)]
AWS: dict[str, Any] = {"aws_conn_id": None, "region_name": "us-west-2"}


def load(simulator: Any, speed: float = 2000, **special: Any) -> None:
    """Load the servers; ``s0={...}`` says how the first differs from one that just works."""
    servers = [{"id": one, "hostname": f"host{i}", **special.get(f"s{i}", {})} for i, one in enumerate(SERVERS)]
    origin = {"region": "us-east-1"}
    simulator.load({"servers": servers, "accounts": [origin], "page_size": 3}, speed=speed)


def calls(simulator: Any, operation: str) -> list[dict[str, Any]]:
    """Return the log's calls of an operation."""
    return [entry for entry in simulator.log if entry.get("operation") == operation]


def hook() -> DrsHook:
    """Return a hook that asks the simulator."""
    return DrsHook(**AWS)


def finish(*job_ids: str) -> None:
    """Wait until the jobs have ended."""
    give_up = time.monotonic() + 60
    while not all(job["status"] == "COMPLETED" for job in hook().jobs(job_ids)):
        assert time.monotonic() < give_up
        time.sleep(0.05)
