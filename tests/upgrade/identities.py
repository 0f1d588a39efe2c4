"""By what a task finds again what an earlier try, perhaps of an earlier version, left in AWS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.operators.task_identity import TaskIdentity

__all__ = ["IDENTITIES", "written_identities"]

IDENTITIES: list[dict[str, Any]] = [
    {
        "dag_id": "shop",
        "run_id": "scheduled__2026-11-21T11:00:00+00:00",
        "wave": "database",
        "task_id": "database.pre_launch.promote",
        "generation": 0,
        "attempt": 1,
        "servers": ["s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002"],
    },
    {
        # Too long for a tag, and with letters that a tag does not take.
        "dag_id": "shöp-" + "x" * 90,
        "run_id": "manual — " + "y" * 240,
        "wave": "web",
        "task_id": "web.post_launch.switch-dns",
        "generation": 4,
        "attempt": 2,
        "servers": [f"s-{number:017d}" for number in range(200)],
    },
]


def written_identities(
    dag_id: str, run_id: str, wave: str, task_id: str, generation: int, attempt: int, servers: list[str]
) -> dict[str, Any]:
    """Return an identity, and what is written to AWS of it: the tags of a launch, the key and the token of a script."""
    launch = LaunchKey(dag_id, run_id, wave, generation, attempt)
    ti = SimpleNamespace(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=-1,
        try_number=generation + attempt,
        max_tries=generation + 3,
        task=SimpleNamespace(retries=3),
    )
    script = TaskIdentity.of({"ti": ti})
    return {
        "identity": {
            "dag_id": dag_id,
            "run_id": run_id,
            "wave": wave,
            "task_id": task_id,
            "generation": generation,
            "attempt": attempt,
            "servers": servers,
        },
        "tags": launch.tags(servers, is_drill=True),
        "script": {"key": script.key, "token": script.token(attempt)},
    }
