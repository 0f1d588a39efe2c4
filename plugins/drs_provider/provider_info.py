"""What this package tells Airflow about itself, through the ``apache_airflow_provider`` entry point."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]

DRS = "AWS Elastic Disaster Recovery"
SSM = "AWS Systems Manager"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-aws-drs",
        "name": "AWS Elastic Disaster Recovery",
        "description": "Recovery plans for AWS Elastic Disaster Recovery as Airflow DAGs.",
        "integrations": [
            {
                "integration-name": DRS,
                "external-doc-url": "https://docs.aws.amazon.com/drs/",
                "tags": ["aws"],
            },
            {
                "integration-name": SSM,
                "external-doc-url": "https://docs.aws.amazon.com/systems-manager/",
                "tags": ["aws"],
            },
        ],
        "hooks": _modules(drs=["hooks.drs"], ssm=["hooks.ssm"]),
        "operators": _modules(
            drs=[
                "operators.drs",
                "operators.drs_source_servers",
                "operators.drs_failback",
                "operators.drs_replication",
            ],
            ssm=["operators.ssm", "operators.automation"],
        ),
        "sensors": _modules(drs=["sensors.drs", "sensors.drs_failback"], ssm=["sensors.ssm", "sensors.health"]),
        "triggers": _modules(
            drs=["triggers.drs", "triggers.drs_failback"],
            ssm=["triggers.ssm", "triggers.automation", "triggers.health"],
        ),
        "extra-links": [
            "drs_provider.links.drs.DrsJobLink",
            "drs_provider.links.drs.DrsRecoveryInstancesLink",
            "drs_provider.links.drs.DrsSourceServersLink",
            "drs_provider.links.report.RecoveryReportLink",
            "drs_provider.links.ssm.SsmAutomationLink",
            "drs_provider.links.ssm.SsmCommandLink",
        ],
        "config": {
            "drs_provider": {
                "description": "Recovery plans for AWS Elastic Disaster Recovery.",
                "options": {
                    "plans_folder": {
                        "description": "Folder of the recovery plan files. Default: the folder `plans` inside the "
                        "DAG folder or beside it, whichever exists.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/airflow/plans",
                        "default": "",
                    },
                    "drill_grace": {
                        "description": "How late a scheduled drill may begin, such as `1h`. A later one, say because "
                        "the plan was paused, is not held, and recorded as missed.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "30m",
                        "default": "1h",
                    },
                    "break_glass_users": {
                        "description": "Airflow user names, commas between them, of those who may start a recovery "
                        "without the approvals that its plan asks for. It is notified and stands at the top of the "
                        "report. Default: nobody.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "olga,dr-lead",
                        "default": "",
                    },
                    "continue_for": {
                        "description": "For how long after its end a run that failed may be continued by clearing a "
                        "launch. Later, and after a success, only clearing `confirm` with everything downstream "
                        "starts it again.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "8h",
                        "default": "24h",
                    },
                    "stall_after": {
                        "description": "For how long the replication of a failback may make no progress before the log "
                        "of its wait reports it. The wait goes on.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "1h",
                        "default": "30m",
                    },
                    "rehearsal_speed": {
                        "description": "Set by `drs-plan rehearse` for the Airflow that it starts: how many times "
                        "faster than real time AWS is simulated. Reports of such an Airflow are marked as simulated, "
                        "pauses and deadlines are as much shorter, and no task acts on AWS itself. Default: none of "
                        "that.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "60",
                        "default": "",
                    },
                    "rehearsal_pauses": {
                        "description": "`real` keeps a plan's pauses and deadlines in a rehearsal as long as the plan "
                        "says. Default: `scaled`, by `rehearsal_speed`.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "real",
                        "default": "scaled",
                    },
                    "reports_folder": {
                        "description": "Where the reports of recovery runs are written: a folder or an object storage "
                        "URL such as `s3://aws_default@bucket/reports`. Default: `reports` under AIRFLOW_HOME.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@dr-evidence/reports",
                        "default": "",
                    },
                    "notifiers": {
                        "description": "Notifier classes that plans may name in `notify`, as patterns of dotted paths "
                        "separated by commas or spaces. Default: none, so that plans notify SNS topics only.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "airflow.providers.slack.notifications.*",
                        "default": "",
                    },
                    "connections": {
                        "description": "Airflow connections that plans may name, as patterns of connection ids "
                        "separated by commas or spaces. Default: every connection of type `aws`.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "aws_dr_*",
                        "default": "",
                    },
                    "installation": {
                        "description": "Name of this Airflow in the tags of DRS jobs; jobs of other installations are "
                        "never adopted or terminated. Give a standby Airflow the name of the one that it stands in "
                        "for. Default: a name that is made up once and kept as the Airflow variable "
                        "`drs_provider_installation`.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "prod-us-east-1",
                        "default": "",
                    },
                },
            }
        },
    }


def _modules(*, drs: list[str], ssm: list[str]) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"drs_provider.{module}" for module in modules]}
        for name, modules in ((DRS, drs), (SSM, ssm))
    ]
