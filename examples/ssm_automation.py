"""Fail a database over with an SSM automation that a person approves at the AWS console. No plan file.

While the automation waits, the task's log and its link "SSM automation" lead to the approval. A retry goes on with the
same execution; a clear of the task starts a new one.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param

from drs_provider.operators.automation import SsmAutomationOperator
from drs_provider.sensors.ssm import SsmAutomationSensor

REGION = "us-west-2"

with DAG(
    dag_id="ssm_automation",
    description="Promote the replica, after approval, and move the name in DNS",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"region_name": REGION, "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={"replica": Param("shop-db-replica", type="string")},
    tags=["ssm", "example"],
) as dag:
    promote = SsmAutomationOperator(
        task_id="promote",
        document_name="Shop-PromoteReplica",
        parameters={"Replica": ["{{ params.replica }}"]},
        # Approvals included.
        timeout=timedelta(hours=4),
        deferrable=True,
    )
    # Started here, waited for there: other tasks could run in between.
    start_dns = SsmAutomationOperator(
        task_id="start_dns",
        document_name="Shop-MoveName",
        parameters={"Name": ["db.shop.example"]},
        wait_for_completion=False,
    )
    dns = SsmAutomationSensor(
        task_id="dns",
        automation_execution_id="{{ ti.xcom_pull(task_ids='start_dns')['automation_execution_id'] }}",
        timeout=30 * 60,
        deferrable=True,
    )
    promote >> start_dns >> dns
