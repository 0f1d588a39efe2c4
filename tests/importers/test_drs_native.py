"""Recovery plans of DRS itself: read from an account, written to one, and there and back."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from drs_provider.importers.drs_native import NativePlansUnknown, check_client
from drs_provider.plan import load_plan
from tests.importers.conftest import Imported, command, imported

IDS = [f"s-{number:017d}" for number in range(8)]
PLAN: dict[str, Any] = {
    "version": 1,
    "name": "mill",
    "description": "Grain to flour",
    "target": {"region": "us-west-2"},
    "waves": [
        {"name": "db", "settle": "3h", "servers": [{"id": IDS[0]}, {"id": IDS[1], "critical": False}]},
        {"name": "app", "depends_on": ["db"], "servers": [{"tags": {"Tier": "app"}}]},
        {"name": "web", "depends_on": ["app"], "servers": [{"hostname": "h4"}]},
    ],
}


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    servers = [{"id": one, "hostname": f"h{one[-1]}"} for one in IDS]
    for number in (2, 3):
        servers[number]["tags"] = {"Tier": "app"}  # type: ignore[assignment]
    drs_simulator.load({"servers": servers})
    return boto3.client("drs", "us-west-2")


def arn(server: str) -> str:
    return f"arn:aws:drs:us-west-2:123456789012:source-server/{server}"


def of_servers(*servers: str, level: str = "CRITICAL") -> dict[str, Any]:
    return {"serverStepConfiguration": {"servers": [{"serverArn": arn(one), "impactLevel": level} for one in servers]}}


def wait(minutes: int) -> dict[str, Any]:
    return {"waitStepConfiguration": {"waitDurationMinutes": minutes}}


def made(drs: Any, name: str, *steps: tuple[str, dict[str, Any]]) -> str:
    plan = drs.create_recovery_plan(name=name, description="by hand", tags={"Team": "x"})["recoveryPlan"]
    for step, configuration in steps:
        drs.create_recovery_plan_step(
            recoveryPlanArn=plan["recoveryPlanArn"], stepName=step, configuration=configuration
        )
    return str(plan["recoveryPlanArn"])


def steps(drs: Any, plan: str) -> list[tuple[str, Any]]:
    listed = drs.list_recovery_plan_steps(recoveryPlanArn=plan)["recoveryPlanSteps"]
    return [(step["stepName"], step["configuration"]) for step in listed]


def exported(path: Path, data: dict[str, Any], *options: str) -> dict[str, Any]:
    path.write_text(yaml.safe_dump(data))
    result = command("export", "--to", "drs-native", str(path), "--format", "json", *options)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def bring(folder: Path, *sources: str) -> Imported:
    return imported(folder, list(sources), "drs-native", "--region", "us-west-2")


@pytest.mark.parametrize("by", ["name", "arn"])
def test_a_plan_of_an_account(drs: Any, tmp_path: Path, by: str) -> None:
    made(drs, "other", ("x", of_servers(IDS[7])))
    plan = made(
        drs,
        "Mill 7",
        ("before all", wait(1)),
        ("Database", of_servers(IDS[0])),
        ("rest", wait(2)),
        ("rest more", wait(3)),
        ("web", of_servers(IDS[1], IDS[2], level="OPTIONAL")),
        ("last", wait(120)),
    )
    result = bring(tmp_path, "Mill 7" if by == "name" else plan)
    found = result.plan
    assert (found.name, found.description, found.target.region) == ("mill-7", "by hand", "us-west-2")
    assert result.graph() == {"database": [], "web": ["database"]}
    database, web = found.waves
    assert database.settle.total_seconds() == 5 * 60, "waits are the settle time of the wave before"
    assert web.settle.total_seconds() == 2 * 3600
    assert [(each.id, each.critical) for each in web.servers] == [(IDS[1], False), (IDS[2], False)]
    assert all(server.critical for server in database.servers)
    assert "before all" in result.said("left_out")
    assert "Team=x" in result.said("left_out")
    assert "OPTIONAL servers are critical: false here" in result.text


def test_a_plan_that_is_not_there_names_those_that_are(drs: Any, tmp_path: Path) -> None:
    made(drs, "mill", ("x", of_servers(IDS[0])))
    result = bring(tmp_path, "mil")
    assert result.status == 1
    assert "it has mill" in result.said("problems")


def test_a_plan_without_servers_is_refused(drs: Any, tmp_path: Path) -> None:
    made(drs, "idle", ("x", wait(1)))
    assert "no step of servers" in bring(tmp_path, "idle").said("problems")


def test_an_older_botocore_is_told_from_its_operations() -> None:
    client = boto3.client("drs", "us-west-2")
    check_client(client)

    class Older:
        class meta:  # noqa: N801
            class service_model:  # noqa: N801
                operation_names = ["StartRecovery"]

    with pytest.raises(NativePlansUnknown, match=r"botocore 1\.\d+.* 1\.43\.85 or newer"):
        check_client(Older())


def test_export_and_import_give_the_plan_again(drs: Any, tmp_path: Path) -> None:
    told = exported(tmp_path / "mill.yaml", PLAN, "--apply")
    assert [step["stepName"] for step in told["steps"]] == ["db", "settle after db", "settle after db", "app", "web"]
    result = bring(tmp_path, "mill")
    wanted = load_plan(tmp_path / "mill.yaml").plan
    found = result.plan
    assert (found.name, found.description) == (wanted.name, wanted.description)
    assert result.graph() == {"db": [], "app": ["db"], "web": ["app"]}
    assert [wave.settle for wave in found.waves] == [wave.settle for wave in wanted.waves]
    selected = [[(each.id, each.critical) for each in wave.servers] for wave in found.waves]
    assert selected == [[(IDS[0], True), (IDS[1], False)], [(IDS[2], True), (IDS[3], True)], [(IDS[4], True)]]


def test_without_apply_nothing_changes(drs: Any, tmp_path: Path) -> None:
    told = exported(tmp_path / "mill.yaml", PLAN)
    assert told["changes"][0] == "create the recovery plan"
    assert told["applied"] is False
    assert drs.list_recovery_plans()["recoveryPlans"] == []


def test_applying_again_changes_nothing(drs: Any, drs_simulator: Any, tmp_path: Path) -> None:
    first = exported(tmp_path / "mill.yaml", PLAN, "--apply")
    drs_simulator.events.clear()
    again = exported(tmp_path / "mill.yaml", PLAN, "--apply")
    assert again["changes"] == []
    assert again["arn"] == first["arn"]
    called = {entry.get("operation") for entry in drs_simulator.log}
    assert not {name for name in called if name and name.startswith(("Create", "Update", "Delete", "Reorder"))}


def test_applying_a_changed_plan_changes_what_differs(drs: Any, tmp_path: Path) -> None:
    plan = exported(tmp_path / "mill.yaml", PLAN, "--apply")["arn"]
    # A server moves between steps, a wave comes in front, another goes, the description differs.
    changed = {
        **PLAN,
        "description": "Grain to bread",
        "waves": [
            {"name": "first", "servers": [{"id": IDS[5]}]},
            {"name": "db", "depends_on": ["first"], "servers": [{"id": IDS[0]}]},
            {"name": "web", "depends_on": ["db"], "servers": [{"hostname": "h4"}, {"id": IDS[1]}]},
        ],
    }
    told = exported(tmp_path / "mill.yaml", changed, "--apply")
    assert told["arn"] == plan
    assert "change its description" in told["changes"]
    assert steps(drs, plan) == [
        ("first", of_servers(IDS[5])),
        ("db", of_servers(IDS[0])),
        ("web", of_servers(IDS[4], IDS[1])),
    ]
    assert exported(tmp_path / "mill.yaml", changed, "--apply")["changes"] == []
    assert drs.get_recovery_plan(recoveryPlanArn=plan)["recoveryPlan"]["description"] == "Grain to bread"


def test_an_export_that_broke_off_goes_on(drs: Any, tmp_path: Path) -> None:
    made(drs, "mill", ("web", of_servers(IDS[4])), ("settle after db", wait(60)))
    told = exported(tmp_path / "mill.yaml", PLAN, "--apply")
    assert [name for name, _ in steps(drs, told["arn"])] == [
        "db", "settle after db", "settle after db", "app", "web",
    ]  # fmt: skip


def test_waves_side_by_side_that_the_next_all_wait_for_are_one_step(drs: Any, tmp_path: Path) -> None:
    waves = [
        {"name": "a", "servers": [{"id": IDS[0]}]},
        {"name": "b", "servers": [{"id": IDS[1]}]},
        {"name": "c", "depends_on": ["a", "b"], "servers": [{"id": IDS[2]}]},
    ]
    told = exported(tmp_path / "mill.yaml", {**PLAN, "waves": waves})
    assert [step["stepName"] for step in told["steps"]] == ["a and b", "c"]
    assert any("a and b: separate waves" in sentence for sentence in told["lost"])


def refused(path: Path, data: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(data))
    result = command("export", "--to", "drs-native", str(path), "--apply")
    assert result.exit_code == 1, result.output
    return result.output


def test_branches_are_refused_by_name(drs: Any, tmp_path: Path) -> None:
    waves = [
        {"name": "a", "servers": [{"id": IDS[0]}]},
        {"name": "b", "servers": [{"id": IDS[1]}]},
        {"name": "c", "depends_on": ["a"], "servers": [{"id": IDS[2]}]},
    ]
    said = refused(tmp_path / "mill.yaml", {**PLAN, "waves": waves})
    assert "c: does not depend on b, and would wait for it in a row of steps" in said
    assert drs.list_recovery_plans()["recoveryPlans"] == []


def test_limits_are_checked_before_anything_is_made(drs_simulator: Any, tmp_path: Path) -> None:
    many = [{"id": f"s-{number:017d}", "hostname": f"h{number}", "tags": {"All": "y"}} for number in range(101)]
    drs_simulator.load({"servers": many})
    waves = [{"name": "all", "servers": [{"tags": {"All": "y"}}]}]
    assert "101 servers; a step takes 100" in refused(tmp_path / "mill.yaml", {**PLAN, "waves": waves})
    chain = [
        {"name": f"w{number}", "servers": [{"id": many[number]["id"]}], "settle": "1m"} for number in range(11)
    ]  # fmt: skip
    for before, wave in pairwise(chain):
        wave["depends_on"] = [before["name"]]
    assert "22 steps, waits among them" in refused(tmp_path / "mill.yaml", {**PLAN, "waves": chain})


def test_a_server_that_is_not_there_is_named(drs: Any, tmp_path: Path) -> None:
    waves = [{"name": "a", "servers": [{"hostname": "nobody"}]}]
    assert "nobody" in refused(tmp_path / "mill.yaml", {**PLAN, "waves": waves})


def test_what_is_lost_is_listed(drs: Any, tmp_path: Path) -> None:
    wave = {
        "name": "db",
        "description": "x",
        "servers": [{"id": IDS[0], "snapshot": "pit-00000000000000001"}],
        "min_launched": 1,
        "on_failure": "rollback",
        "settle": "90s",
        "approval": {},
        "pre_launch": [{"name": "fence", "automation": "Shop-Fence"}],
        "health_checks": [{"type": "ssm_online"}],
    }
    plan = {
        **PLAN,
        "waves": [wave],
        "objectives": {"rto": "1h", "rpo": "5m"},
        "drill": {"schedule": "@daily"},
        "recovery": {"approval": {}},
        "notify": [{"sns": "arn:aws:sns:us-west-2:123456789012:t"}],
        "owner": "mill-team",
        "tags": ["tier-1"],
    }
    lost = "\n".join(exported(tmp_path / "mill.yaml", plan)["lost"])
    for word in (
        "db.description", "db.snapshot", "db.min_launched", "db.on_failure", "db.settle: 1m30s", "db.approval",
        "db.pre_launch: no script runs (fence)", "db.health_checks", "objectives", "drill.schedule", "drill.terminate",
        "recovery.approval", "notify", "owner: mill-team", "tags: tier-1", "max_replication_lag",
    ):  # fmt: skip
        assert word in lost


def test_a_plan_in_several_regions_is_one_recovery_plan_in_each(
    drs: Any, drs_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [{"id": f"s-{number:017d}", "hostname": f"t{number}"} for number in (11, 12)]
    drs_simulator.load(
        {"servers": [{"id": IDS[0], "hostname": "h0"}], "accounts": [{"region": "ap-northeast-1", "servers": there}]}
    )
    waves: list[dict[str, Any]] = [
        {"name": "db", "servers": [{"id": IDS[0]}]},
        {"name": "tokyo-db", "target": "tokyo", "servers": [{"hostname": "t11"}]},
        {"name": "tokyo-web", "target": "tokyo", "depends_on": ["tokyo-db"], "servers": [{"hostname": "t12"}]},
    ]
    plan = {**PLAN, "targets": {"tokyo": {"region": "ap-northeast-1"}}, "waves": waves}
    here, tokyo = exported(tmp_path / "mill.yaml", plan, "--apply")["plans"]
    assert [(one["target"], one["account"], one["region"]) for one in (here, tokyo)] == [
        ("default", "123456789012", "us-west-2"),
        ("tokyo", "123456789012", "ap-northeast-1"),
    ]
    assert [step["stepName"] for step in tokyo["steps"]] == ["tokyo-db", "tokyo-web"]
    assert [name for name, _ in steps(drs, here["arn"])] == ["db"]
    assert len(steps(boto3.client("drs", "ap-northeast-1"), tokyo["arn"])) == 2
    assert "waves of other targets: db in us-west-2" in "\n".join(tokyo["lost"])
    again = exported(tmp_path / "mill.yaml", plan, "--apply")["plans"]
    assert [one["changes"] for one in again] == [[], []]
    # What no recovery plan of DRS can say is refused before anything is changed in either.
    waves[1]["depends_on"] = ["db"]
    waves[0]["description"] = "changed"
    told = refused(tmp_path / "mill.yaml", plan)
    assert "tokyo-db in tokyo (ap-northeast-1): depends on db in us-west-2; a recovery plan of DRS is of one" in told
    del waves[1]["depends_on"]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_TOKYO", "aws://")
    plan["targets"] = {"tokyo": {"region": "us-west-2", "aws_conn_id": "aws_tokyo"}}
    plan["waves"] = [waves[0], {"name": "more", "target": "tokyo", "servers": [{"id": IDS[0]}]}]
    (tmp_path / "mill.yaml").write_text(yaml.safe_dump(plan))
    same = command("export", "--to", "drs-native", str(tmp_path / "mill.yaml"), "--apply", "--aws-conn-id", "plan")
    assert (same.exit_code, "the targets us-west-2 and tokyo (us-west-2) are one" in same.output) == (1, True)
