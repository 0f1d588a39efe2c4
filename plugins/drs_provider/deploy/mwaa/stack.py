"""The CloudFormation stack of an MWAA environment, the IAM policies and the Airflow options that go with it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from drs_provider.deploy.iam import documents, render
from drs_provider.deploy.settings import RECOMMENDED_SETTINGS

__all__ = ["airflow_options", "stack", "write_stack"]

# The policies of the execution role, and the name that each has as a resource of the stack.
_POLICIES = {
    "orchestration.json": "OrchestrationPolicy",
    "drs-on-behalf.json": "DrsOnBehalfPolicy",
    "reports.json": "ReportsPolicy",
    "assume-target.json": "AssumeTargetPolicy",
}


def airflow_options(reports_bucket: str = "REPORTS_BUCKET") -> dict[str, str]:
    """Return the Airflow configuration options of an environment, under the names that MWAA gives them.

    :param reports_bucket: the bucket that takes the reports of runs.
    """
    options = {f"{setting.section}.{setting.key}": setting.value for setting in RECOMMENDED_SETTINGS}
    return options | {"drs_provider.reports_folder": f"s3://aws_default@{reports_bucket}/reports"}


def stack(airflow: str) -> dict[str, Any]:
    """Return the CloudFormation template for an environment.

    :param airflow: its version of Airflow.
    """
    text = (resources.files(__package__ or "") / "template.yaml").read_text(encoding="utf-8")
    template: dict[str, Any] = yaml.safe_load(text)
    found = documents()
    for file, name in _POLICIES.items():
        template["Resources"][name] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"Roles": [{"Ref": "ExecutionRole"}], "PolicyDocument": _with_bucket(found[file])},
        }
    properties = template["Resources"]["Environment"]["Properties"]
    properties["AirflowVersion"] = airflow
    options: dict[str, Any] = dict(airflow_options())
    options["drs_provider.reports_folder"] = {
        "Fn::Sub": airflow_options("${ReportsBucket}")["drs_provider.reports_folder"]
    }
    properties["AirflowConfigurationOptions"] = options
    # The environment starts only with the rights that its first run needs.
    template["Resources"]["Environment"]["DependsOn"] = list(_POLICIES.values())
    return template


def write_stack(out: Path, airflow: str) -> None:
    """Write ``cloudformation.yaml``, and every policy document on its own under ``iam/``, into a folder."""
    text = yaml.safe_dump(stack(airflow), sort_keys=False, width=120)
    (out / "cloudformation.yaml").write_text(text, encoding="utf-8")
    (out / "iam").mkdir(exist_ok=True)
    for name, document in documents().items():
        (out / "iam" / name).write_text(render(document), encoding="utf-8")


def _with_bucket(value: Any) -> Any:
    """Return a policy document in which the stack's own bucket stands for ``REPORTS_BUCKET``."""
    if isinstance(value, dict):
        return {key: _with_bucket(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_bucket(item) for item in value]
    if isinstance(value, str) and "REPORTS_BUCKET" in value:
        return {"Fn::Sub": value.replace("REPORTS_BUCKET", "${ReportsBucket}")}
    return value
