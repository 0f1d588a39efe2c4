"""What a plan's roles need, an account at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from drs_provider.cli import app

PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "target": {"region": "us-west-2"},
    "targets": {
        "payments": {"region": "us-west-2", "aws_conn_id": "aws_payments", "account": "210987654321"},
        "tokyo": {"region": "ap-northeast-1", "aws_conn_id": "aws_payments"},
        "source": {"region": "us-east-1", "aws_conn_id": "aws_source"},
    },
    "waves": [
        {"name": "web", "servers": [{"tags": {"Tier": "web"}}]},
        {
            "name": "ledger",
            "target": "payments",
            "servers": [{"tags": {"Tier": "ledger"}}],
            "pre_launch": [{"name": "fence", "automation": "Shop-Fence", "target": "source", "modes": ["recovery"]}],
        },
    ],
}


def test_each_account_gets_what_is_done_there_and_no_more(tmp_path: Path) -> None:
    file, out = tmp_path / "shop.yaml", tmp_path / "iam"
    file.write_text(yaml.safe_dump(PLAN, sort_keys=False))
    role = "arn:aws:iam::123456789012:role/airflow"
    result = CliRunner().invoke(app, ["iam", str(file), "--out", str(out), "--airflow-role", role])
    assert result.exit_code == 0, result.output
    folders = {path.name: {each.name for each in path.iterdir()} for path in out.iterdir()}
    both = {"orchestration.json", "drs-on-behalf.json", "cloudformation.yaml"}
    assert folders == {
        "airflow": {*both, "assume-targets.json", "reports.json"},
        "aws_payments": {*both, "trust.json"},
        # Scripts alone are run there: DRS does nothing on behalf of that role.
        "aws_source": {"orchestration.json", "cloudformation.yaml", "trust.json"},
    }

    def actions(name: str) -> set[str]:
        statements = json.loads((out / name).read_text())["Statement"]
        return {action for each in statements for action in each["Action"]}

    assert {"drs:StartRecovery", "drs:TerminateRecoveryInstances"} <= actions("aws_payments/orchestration.json")
    assert "ssm:StartAutomationExecution" not in actions("aws_payments/orchestration.json")
    assert "ssm:StartAutomationExecution" in actions("aws_source/orchestration.json")
    assert not {one for one in actions("aws_source/orchestration.json") if one.startswith("drs:")}
    trust = json.loads((out / "aws_payments" / "trust.json").read_text())["Statement"][0]
    assert trust["Principal"] == {"AWS": role}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "drs-plan-shop"}}
    assumed = json.loads((out / "airflow" / "assume-targets.json").read_text())["Statement"][0]["Resource"]
    assert assumed == [
        "arn:aws:iam::210987654321:role/drs-plan/drs-plan-shop",
        "arn:aws:iam::*:role/drs-plan/drs-plan-shop",
    ]
    template = yaml.safe_load((out / "aws_payments" / "cloudformation.yaml").read_text())
    resources = template["Resources"]
    assert resources["Role"]["Properties"]["Path"] == "/drs-plan/"
    assert set(resources) == {"Role", "OrchestrationPolicy", "DrsOnBehalfPolicy"}
    for path in out.glob("*/*.json"):
        # A managed policy has at most 6,144 characters; IAM does not count white space.
        assert len(json.dumps(json.loads(path.read_text()), separators=(",", ":"))) <= 6144, path
    assert '"ExternalId": "drs-plan-shop"' in result.output
