"""Two DAGs by hand of this package's operators, one waits in its worker, one in the triggerer: for tests that kill."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from drs_provider.operators.drs import DrsStartRecoveryOperator
from drs_provider.sensors.drs import DrsJobSensor

AWS = {"aws_conn_id": None, "region_name": "us-west-2"}


def stay_after_the_answer(context: Any, result: Any = None) -> None:
    """In the first try, say so and stay between the answer of AWS and its storage in Airflow."""
    marker = context["params"]["stay"]
    if marker and context["ti"].try_number == 1:
        Path(marker).touch()
        time.sleep(600)


for dag_id, deferrable in (("killed_worker", False), ("killed_triggerer", True)):
    with DAG(
        dag_id,
        schedule=None,
        params={"server": "", "stay": ""},
        default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
    ):
        launch = DrsStartRecoveryOperator(
            task_id="launch", servers=["{{ params.server }}"], post_execute=stay_after_the_answer, **AWS
        )
        DrsJobSensor(task_id="wait", job_ids=launch.output, poke_interval=1, deferrable=deferrable, **AWS)
