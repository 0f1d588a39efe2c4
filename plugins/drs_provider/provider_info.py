"""What this package tells Airflow about itself, through the ``apache_airflow_provider`` entry point."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-aws-drs",
        "name": "AWS Elastic Disaster Recovery",
        "description": "Recovery plans for AWS Elastic Disaster Recovery as Airflow DAGs.",
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
                    "reports_folder": {
                        "description": "Where the reports of recovery runs are written: a folder or an object storage "
                        "URL such as `s3://aws_default@bucket/reports`. Default: `reports` under AIRFLOW_HOME.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@dr-evidence/reports",
                        "default": "",
                    },
                },
            }
        },
    }
