"""What is imported ahead, and where."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "deploy-kubernetes.md"
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


@pytest.mark.parametrize(
    ("command", "imported"), [(["celery", "worker"], True), (["celery", "flower"], False), (["scheduler"], False)]
)
def test_a_celery_worker_imports_ahead_by_the_settings_that_the_page_shows(
    command: list[str], imported: bool, tmp_path: Path
) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "airflow_local_settings.py").write_text(shown)
    seen = "import sys; print('drs_provider.steps.launch.work' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import airflow.settings; airflow.settings.initialize(); {seen}", *command],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == str(imported)
