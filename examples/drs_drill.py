"""A drill by hand: launch two tiers one after the other, wait, and end what was launched. No plan file.

Set the variables below, or keep them and run it against the simulator: ``AWS_ENDPOINT_URL=$(drs-sim ...)``.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from drs_provider.operators.drs import DrsStartRecoveryOperator, DrsTerminateRecoveryInstancesOperator
from drs_provider.sensors.drs import DrsJobSensor, DrsReplicationSensor

REGION = "us-west-2"
DATABASES = {"Application": "shop", "Tier": "db"}
APPLICATION = {"Application": "shop", "Tier": "app"}

with DAG(
    dag_id="drs_drill",
    description="Launch the databases, then the application, and end both",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"region_name": REGION, "retries": 2, "retry_delay": timedelta(seconds=30)},
    tags=["drs", "example"],
) as dag:
    replicating = DrsReplicationSensor(
        task_id="replicating",
        server_tags=DATABASES,
        max_lag=timedelta(minutes=5),
        deferrable=True,
    )
    launch_databases = DrsStartRecoveryOperator(task_id="launch_databases", server_tags=DATABASES)
    databases = DrsJobSensor(
        task_id="databases",
        job_ids=launch_databases.output,
        timeout=timedelta(minutes=45),
        deferrable=True,
    )
    launch_application = DrsStartRecoveryOperator(task_id="launch_application", server_tags=APPLICATION)
    application = DrsJobSensor(
        task_id="application",
        job_ids=launch_application.output,
        # Four of the application servers are enough to serve.
        min_launched=4,
        timeout=timedelta(minutes=45),
        deferrable=True,
    )
    # Ends what this run launched, however far it came. As a teardown it does not hide that the drill has failed.
    terminate = DrsTerminateRecoveryInstancesOperator(task_id="terminate", of_this_run=True, deferrable=True)
    replicating >> launch_databases >> databases >> launch_application >> application >> terminate.as_teardown()
