"""What is imported ahead, and where."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from airflow.jobs.job import Job
from airflow.sdk.execution_time.task_runner import TaskRunnerMarker, get_listener_manager
get_listener_manager().hook.on_starting(component=TaskRunnerMarker())
print("boto3" in sys.modules, "drs_provider.dag.factory" in sys.modules)
Job()
print("boto3" in sys.modules, "drs_provider.dag.factory" in sys.modules)
"""


def test_a_scheduler_imports_ahead_and_a_task_imports_nothing_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    # Some versions of Airflow log in between.
    seen = [line for line in done.stdout.splitlines() if line.startswith(("False", "True"))]
    assert seen == ["False False", "True True"]
