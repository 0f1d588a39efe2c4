"""Recover to a moment in the past, for instance to before a ransomware attack: the snapshot is chosen by time.

Trigger it with ``{"at_or_before": "2026-03-01T09:30:00Z"}``. This is a recovery in earnest: nothing is ended
afterwards.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param

from drs_provider.operators.drs import DrsStartRecoveryOperator
from drs_provider.operators.drs_source_servers import (
    DrsRecoverySnapshotOperator,
    DrsUpdateLaunchConfigurationOperator,
)
from drs_provider.sensors.drs import DrsJobSensor

SERVERS = ["s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002"]

with DAG(
    dag_id="drs_point_in_time",
    description="Recover servers to a moment in the past, stopped, for inspection",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"region_name": "us-west-2", "retries": 2},
    params={
        "at_or_before": Param(type="string", format="date-time", description="Recover to the state of this moment")
    },
    tags=["drs", "example"],
    render_template_as_native_obj=True,
) as dag:
    choose = DrsRecoverySnapshotOperator(
        task_id="choose", source_server_ids=SERVERS, at_or_before="{{ params.at_or_before }}"
    )
    stopped = DrsUpdateLaunchConfigurationOperator(
        task_id="stopped", source_server_ids=SERVERS, settings={"launchDisposition": "STOPPED"}
    )
    launch = DrsStartRecoveryOperator(
        task_id="launch",
        servers="{{ ti.xcom_pull(task_ids='choose')['servers'] }}",  # type: ignore[arg-type]
        is_drill=False,
        # Clearing the task launches again what failed, and only that.
        relaunch="failed",
    )
    wait = DrsJobSensor(task_id="wait", job_ids=launch.output, timeout=timedelta(hours=1), deferrable=True)
    choose >> stopped >> launch >> wait
