"""What validate says: days of the month or of the week, references that are none, and what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.plan.regions import misspelt
from tests.cases.world import CASES, ONE, REGION, TWO


def test_a_schedule_with_both_day_fields_is_warned_of() -> None:
    result = CliRunner().invoke(app, ["validate", str(CASES / "cron-either" / "plan.yaml")])
    assert result.exit_code == 0
    assert 'For the first one of the month write "0 3 * */3 SUN#1"' in result.output
    assert "next drills: " in result.output
    assert result.output.count("(Europe/London)") == 1


def test_each_reference_that_is_none_is_an_error_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["validate", str(CASES / "references" / "plan.yaml")])
    assert result.exit_code == 1
    assert "5 problems in 1 of 1 file" in result.output
    for line, words in (
        (8, "did you mean {{connection:drs_secret_NAME.FIELD}}?"),
        (9, "write {{connection:drs_secret_shop.password}}"),
        (10, "write {{connection:drs_secret_NAME.FIELD}}"),
        (11, "{{wave.instances}} is not a reference"),
        (12, "{{ recovery_instances }} is not a reference"),
    ):
        (told,) = [one for one in result.output.splitlines() if f"plan.yaml:{line}:" in one]
        assert words in told


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"target": {"region": "us-wset-2"}}, "there is no AWS region us-wset-2; did you mean us-west-2?"),
        ({"target": {"region": "eu-cental-1"}}, "did you mean eu-central-1?"),
        ({"target": {"region": "us-east-3"}}, "warning: target.region: us-east-3 is no region that this version knows"),
        ({"name": "App CRM"}, 'found "App CRM"; write app-crm'),
        ({"drill": {"schedule": "@daily", "timezone": "W. Europe Standard Time"}}, "write Europe/Berlin"),
        ({"drill": {"schedule": "@daily", "timezone": "eastern standard time"}}, "write America/New_York"),
        (
            {"waves": [{"name": "a", "servers": [{"id": "i-0123456789abcdef0"}]}]},
            "is an EC2 instance id: write {instance: i-0123456789abcdef0}",
        ),
        ({"waves": [{"name": "a", "servers": [{"id": "web01"}]}]}, "for a host name or a Name tag write {name: web01}"),
        ({"waves": [{"name": "a", "servers": [{"instance": ONE}]}]}, f"write {{id: {ONE}}}"),
        (
            {"waves": [{"name": "a", "servers": [{"id": ONE}], "subnet": "subnet-1"}]},
            "unknown key subnet; write it as subnet under launch of a server",
        ),
        ({"instanceType": "t3.large"}, "write it as instance_type under launch"),
        ({"copy_private_ip": True}, "write it as copy_private_ip under launch"),
        ({"key_pair": "ops"}, "it is set in the server's EC2 launch template"),
        ({"boot_mode": "uefi"}, "it is set in the server's launch settings in DRS"),
        ({"snapshot_time": "2026-01-01"}, "it is a run parameter"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "it belongs into the Airflow connection"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else next(iter(value)),
)
def test_validate_says_what_was_meant(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    plan = {
        "version": 1,
        "name": "p",
        "target": {"region": REGION},
        "waves": [{"name": "a", "servers": [{"id": ONE}]}],
        **keys,
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    result = CliRunner().invoke(app, ["validate", str(tmp_path / "plan.yaml")])
    assert words in result.output
    warned = "warning" in words
    assert result.exit_code == (0 if warned else 1)
    assert warned or "1 problem in 1 of 1 file" in result.output


def test_an_illegal_name_is_not_offered_and_one_mistake_is_one_problem(tmp_path: Path) -> None:
    plan = {
        "version": 1,
        "name": "p",
        "target": {"region": REGION},
        "waves": [
            {"name": "App CRM", "servers": [{"id": ONE}]},
            {"name": "web", "depends_on": ["app-crm"], "servers": [{"id": TWO}]},
        ],
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    result = CliRunner().invoke(app, ["validate", str(tmp_path / "plan.yaml")])
    assert "1 problem in 1 of 1 file" in result.output
    assert "did you mean App CRM" not in result.output


def test_every_region_of_botocore_is_known() -> None:
    session = boto3.session.Session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition_name=partition)
    }
    assert known
    for region in known:
        assert misspelt(region) is None, region
