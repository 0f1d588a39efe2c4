"""The way back of servers whose origin is in AWS: reverse, wait until in sync, launch in the origin region.

Trigger it with ``{"recovery_instance_ids": ["i-..."]}``, the instances of the recovery, when the origin can be
used again.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param, task

from drs_provider.operators.drs import DrsStartRecoveryOperator
from drs_provider.operators.drs_failback import DrsDisconnectRecoveryInstanceOperator, DrsReverseReplicationOperator
from drs_provider.sensors.drs import DrsJobSensor, DrsReplicationSensor

RECOVERY_REGION = "us-west-2"
ORIGIN_REGION = "us-east-1"

with DAG(
    dag_id="drs_failback",
    description="Bring recovered servers back to the region that they came from",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 2},
    params={"recovery_instance_ids": Param(type="array", items={"type": "string"}, minItems=1)},
    tags=["drs", "example"],
    render_template_as_native_obj=True,
) as dag:
    reverse = DrsReverseReplicationOperator(
        task_id="reverse",
        recovery_instance_ids="{{ params.recovery_instance_ids }}",  # type: ignore[arg-type]
        region_name=RECOVERY_REGION,
    )

    @task
    def origin_servers(reversed_servers: dict[str, str]) -> list[str]:
        """Return the ids of the source servers in the origin region, from their ARNs."""
        return sorted(arn.rpartition("/")[2] for arn in reversed_servers.values())

    servers = origin_servers(reverse.output)  # type: ignore[arg-type]
    in_sync = DrsReplicationSensor(
        task_id="in_sync",
        source_server_ids=servers,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
        max_lag=timedelta(minutes=1),
        timeout=timedelta(days=2),
        poke_interval=timedelta(minutes=1),
        deferrable=True,
    )
    launch = DrsStartRecoveryOperator(
        task_id="launch",
        servers=servers,  # type: ignore[arg-type]
        is_drill=False,
        region_name=ORIGIN_REGION,
    )
    wait = DrsJobSensor(task_id="wait", job_ids=launch.output, region_name=ORIGIN_REGION, deferrable=True)
    disconnect = DrsDisconnectRecoveryInstanceOperator(
        task_id="disconnect",
        recovery_instance_ids="{{ params.recovery_instance_ids }}",  # type: ignore[arg-type]
        region_name=RECOVERY_REGION,
    )
    in_sync >> launch >> wait >> disconnect
