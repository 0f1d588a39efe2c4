"""After a launch: agents and status checks, a script on every instance, and the application's own answer. No plan file.

Trigger it with ``{"instance_ids": ["i-..."]}``, or put the return value of a ``DrsJobSensor`` in the place of it: every
``instances`` takes either. Set the variables below, or keep them and run it against the simulator.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param

from drs_provider.operators.ssm import SsmScriptOperator
from drs_provider.sensors.health import Ec2InstanceStatusSensor, HttpHealthSensor, SsmAgentOnlineSensor, TcpPortSensor

REGION = "us-west-2"
INSTANCES = "{{ params.instance_ids }}"

with DAG(
    dag_id="ssm_script",
    description="Bring the application up on instances that were just launched",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"region_name": REGION, "retries": 1, "retry_delay": timedelta(seconds=30)},
    params={"instance_ids": Param(type="array", items={"type": "string"}, minItems=1)},
    tags=["ssm", "example"],
    render_template_as_native_obj=True,
) as dag:
    status_checks = Ec2InstanceStatusSensor(
        task_id="status_checks", instances=INSTANCES, timeout=15 * 60, deferrable=True
    )
    agents = SsmAgentOnlineSensor(task_id="agents", instances=INSTANCES, timeout=15 * 60, deferrable=True)
    start_application = SsmScriptOperator(
        task_id="start_application",
        instances=INSTANCES,
        document_name="AWS-RunShellScript",
        parameters={"commands": ["systemctl start shop", "systemctl is-active shop"]},
        timeout=timedelta(minutes=10),
        # One server of ten may stay behind.
        max_errors="10%",
        deferrable=True,
    )
    # Each instance asks itself: no way from Airflow into the recovery network is needed.
    port = TcpPortSensor(task_id="port", instances=INSTANCES, port=8080, via="ssm", timeout=5 * 60, deferrable=True)
    answer = HttpHealthSensor(
        task_id="answer",
        instances=INSTANCES,
        path="/healthz",
        port=8080,
        via="ssm",
        timeout=5 * 60,
        deferrable=True,
    )
    [status_checks, agents] >> start_application >> port >> answer
