"""Each finding of preflight, triggered alone in a region that is otherwise ready."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.run_identity import RunIdentity
from drs_provider.readiness.findings import CODES
from drs_provider.readiness.preflight import run_preflight
from drs_provider.readiness.quotas import account_quotas, check_quotas
from drs_provider.readiness.result import PreflightResult

if TYPE_CHECKING:
    from conftest import Room

DB1, DB2, DB3 = "s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002", "s-1a2b3c4d5e6f70003"
APP1, APP2 = "s-1a2b3c4d5e6f70011", "s-1a2b3c4d5e6f70012"
WEB1 = "s-1a2b3c4d5e6f70021"
ONE_ATTEMPT = Config(retries={"mode": "standard", "total_max_attempts": 1})


def found(result: PreflightResult) -> set[tuple[str, str, str | None]]:
    return {(finding.code, finding.severity, finding.server) for finding in result.findings}


def test_a_ready_plan_has_no_findings(room: Room) -> None:
    result = room.check()
    assert result.findings.findings == ()
    assert result.findings.message() == "Ready: no findings (drill)."
    assert {wave: [one.id for one in servers] for wave, servers in result.resolved.items()} == {
        "database": [DB1, DB2, DB3],
        "app": [APP1, APP2],
        "web": [WEB1],
    }
    assert result.resolved["web"][0].lag_seconds == 30
    assert result.resolved["database"][0].snapshot is None


def test_every_page_is_read(room: Room) -> None:
    room.check()
    assert room.calls("DescribeSourceServers") == 3


def test_a_subset_checks_only_its_waves(room: Room) -> None:
    room.server(WEB1)["replication"] = "STALLED"
    assert room.check(waves=["database", "app"]).findings.findings == ()
    assert set(room.check(waves=["database"]).resolved) == {"database"}


def test_service_not_initialised(room: Room) -> None:
    room.scenario["initialized"] = False
    result = room.check()
    assert found(result) == {("service-not-initialised", "error", None)}
    assert result.findings.blocking(["service-not-initialised"])


def test_server_not_found_by_id(room: Room) -> None:
    room.wave("database")["servers"].append({"id": "s-99999999999999999"})
    result = room.check()
    assert found(result) == {("server-not-found", "error", "id s-99999999999999999")}
    assert [one.id for one in result.resolved["database"]] == [DB1, DB2, DB3]


def test_server_not_found_by_hostname(room: Room) -> None:
    room.wave("database")["servers"].append({"hostname": "db09"})
    assert found(room.check()) == {("server-not-found", "error", "hostname db09")}


def test_selection_empty(room: Room) -> None:
    room.wave("web")["servers"].append({"tags": {"Application": "shop", "Tier": "cache"}})
    assert found(room.check()) == {("selection-empty", "error", "tags Application=shop, Tier=cache")}


def test_hostname_ambiguous(room: Room) -> None:
    room.add_server("s-1a2b3c4d5e6f70004", "DB-ARCHIVE.corp.example")
    assert found(room.check()) == {("hostname-ambiguous", "error", "hostname DB-Archive.corp.example")}


def test_server_selected_twice_across_waves(room: Room) -> None:
    room.wave("web")["servers"].append({"hostname": "app01"})
    result = room.check()
    assert found(result) == {("server-selected-twice", "error", APP1)}
    assert [one.id for one in result.resolved["web"]] == [WEB1]


def test_server_selected_twice_within_a_wave(room: Room) -> None:
    room.wave("database")["servers"].append({"tags": {"Tier": "db"}})
    assert found(room.check()) == {
        ("server-selected-twice", "error", DB1),
        ("server-selected-twice", "error", DB2),
    }


def test_min_launched_unreachable(room: Room) -> None:
    room.wave("app")["min_launched"] = 3
    assert found(room.check()) == {("min-launched-unreachable", "error", None)}


@pytest.mark.parametrize("state", ["INITIATING", "INITIAL_SYNC"])
def test_not_initialised(room: Room, state: str) -> None:
    room.server(DB2)["replication"] = state
    assert found(room.check()) == {("not-initialised", "error", DB2)}


def test_replication_stopped(room: Room) -> None:
    room.server(DB2)["replication"] = "STOPPED"
    result = room.check("recovery")
    assert found(result) == {("replication-stopped", "error", DB2)}
    assert result.findings.blocking(["replication-stopped"])


def test_disconnected_can_be_overridden_in_a_recovery_only(room: Room) -> None:
    room.server(DB2)["replication"] = "DISCONNECTED"
    drill = room.check()
    assert found(drill) == {("disconnected", "error", DB2)}
    assert drill.findings.blocking(["disconnected"])
    recovery = room.check("recovery")
    assert recovery.findings.blocking()
    assert not recovery.findings.blocking(["disconnected"])
    assert [finding.server for finding in recovery.findings.overridden(["disconnected"])] == [DB2]


@pytest.mark.parametrize("state", ["STALLED", "PAUSED", "RESCAN"])
def test_replication_state(room: Room, state: str) -> None:
    room.server(DB2).update(replication=state, lag="10s")
    assert found(room.check()) == {("replication-state", "error", DB2)}


@pytest.mark.parametrize("state", ["BACKLOG", "CREATING_SNAPSHOT"])
def test_a_passing_state_within_the_bound_is_a_warning(room: Room, state: str) -> None:
    room.server(DB2).update(replication=state, lag="10s")
    assert found(room.check()) == {("replication-state", "warning", DB2)}


def test_a_backlog_without_a_bound_is_an_error(room: Room) -> None:
    del room.plan_data["objectives"]
    room.server(DB2).update(replication="BACKLOG", lag="10s")
    assert found(room.check()) == {("replication-state", "error", DB2)}


def test_replication_lag(room: Room) -> None:
    room.server(WEB1)["lag"] = "1h2m"
    result = room.check()
    assert found(result) == {("replication-lag", "error", WEB1)}
    assert "1h2m" in result.findings.errors[0].message
    room.wave("web")["max_replication_lag"] = "2h"
    assert found(room.check()) == set()


def test_no_snapshot(room: Room) -> None:
    room.server(DB1)["snapshots"] = [{"age": "1m", "finished": False}]
    assert found(room.check()) == {("no-snapshot", "error", DB1)}


def test_snapshot_time_picks_the_last_one_before(room: Room) -> None:
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    result = room.check(snapshot_time=hour_ago)
    assert found(result) == set()
    assert {one.snapshot for servers in result.resolved.values() for one in servers} == {"pit-00000000000000002"}


def test_no_snapshot_before(room: Room) -> None:
    room.server(APP1)["snapshots"] = [{"age": "10m"}]
    result = room.check("recovery", snapshot_time=datetime.now(timezone.utc) - timedelta(hours=1))
    assert found(result) == {("no-snapshot-before", "error", APP1)}
    assert result.findings.blocking(["no-snapshot-before"])


def test_snapshot_not_found(room: Room) -> None:
    room.wave("database")["servers"][0]["snapshot"] = "pit-99999999999999999"
    assert found(room.check()) == {("snapshot-not-found", "error", DB1)}


def test_a_snapshot_of_the_plan_wins_over_the_time(room: Room) -> None:
    room.wave("database")["servers"][0]["snapshot"] = "pit-00000000000000001"
    result = room.check(snapshot_time=datetime.now(timezone.utc) - timedelta(hours=1))
    assert [one.snapshot for one in result.resolved["database"]] == [
        "pit-00000000000000001",
        "pit-00000000000000002",
        "pit-00000000000000002",
    ]


def test_server_busy(room: Room) -> None:
    room.load()
    drs = boto3.client("drs", region_name="us-west-2")
    drs.start_recovery(sourceServers=[{"sourceServerID": DB1}], isDrill=True, tags={"drs-provider:run": "shop/one"})
    result = room.check(load=False)
    assert found(result) == {("server-busy", "error", DB1)}
    assert "shop/one" in result.findings.errors[0].message
    assert found(room.check(load=False, own=RunIdentity("shop", "one"))) == set()


def test_live_instances(room: Room) -> None:
    room.load()
    drs = boto3.client("drs", region_name="us-west-2")
    drs.start_recovery(sourceServers=[{"sourceServerID": DB1}], tags={"drs-provider:run": "shop/one"})
    drs.start_recovery(sourceServers=[{"sourceServerID": DB2}], isDrill=True)
    room.simulator.advance(3600)
    recovered, drilled = ("recovered-instance-live", "error", DB1), ("drill-instance-live", "error", DB2)
    assert found(room.check(load=False, waves=["database"])) == {recovered, drilled}
    assert found(room.check(load=False, waves=["database"], own=RunIdentity("shop", "one"))) == {drilled}
    for_real = found(room.check(load=False, waves=["database"], mode="recovery"))
    assert for_real == {recovered, ("drill-instance-live", "warning", DB2)}
    ids = {one["sourceServerID"]: one["recoveryInstanceID"] for one in drs.describe_recovery_instances()["items"]}
    assert found(room.check(load=False, waves=["database"], replace=[ids[DB1]])) == {drilled}
    assert found(room.check(load=False, waves=["database"], replace=list(ids.values()))) == set()


def test_quota_servers_per_job_is_a_warning(room: Room) -> None:
    room.scenario["quotas"] = {"servers_per_job": 2}
    result = room.check()
    assert found(result) == {("quota-servers-per-job", "warning", None)}
    assert "2 jobs" in result.findings.warnings[0].message


def test_quota_jobs(room: Room) -> None:
    room.scenario["quotas"] = {"concurrent_jobs": 2}
    assert found(room.check()) == set()  # a chain has one wave at a time
    for wave in room.plan_data["waves"]:
        wave["depends_on"] = []
    assert found(room.check()) == {("quota-jobs", "warning", None)}


def test_quota_servers_in_jobs(room: Room) -> None:
    room.scenario["quotas"] = {"servers_in_jobs": 1}
    assert found(room.check()) == {("quota-servers-in-jobs", "warning", None)}


def test_the_jobs_of_others_make_a_launch_wait_and_not_fail(room: Room) -> None:
    room.scenario["quotas"] = {"servers_in_jobs": 3}
    room.add_server("s-1a2b3c4d5e6f70099", "other")
    assert found(room.check()) == set()
    drs = boto3.client("drs", region_name="us-west-2")
    drs.start_recovery(sourceServers=[{"sourceServerID": "s-1a2b3c4d5e6f70099"}], isDrill=True)
    assert found(room.check(load=False)) == {("quota-shared", "warning", None)}


def test_quotas_not_read(room: Room) -> None:
    room.scenario["faults"] = [{"operation": "ListServiceQuotas", "error": "AccessDeniedException"}]
    assert found(room.check()) == {("quotas-not-read", "warning", None)}


def test_only_the_quota_that_is_not_known_is_said_to_be_assumed(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "Quotas": [{"QuotaCode": "L-B827C881", "Value": 7.0}, {"QuotaCode": "L-05AFA8C6", "Value": 9.0}],
        "ResponseMetadata": {},
    }
    monkeypatch.setattr(room.clients.service_quotas, "list_service_quotas", lambda **params: answer)
    quotas, (finding,) = account_quotas(room.clients)
    assert (quotas.servers_per_job, quotas.jobs, quotas.servers_in_jobs) == (7, 20, 9)
    assert finding.message == "Service Quotas has no value for jobs; assumed: jobs 20."


def test_a_job_takes_no_more_servers_than_one_call(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"Quotas": [{"QuotaCode": "L-B827C881", "Value": 500.0}], "ResponseMetadata": {}}
    monkeypatch.setattr(room.clients.service_quotas, "list_service_quotas", lambda **params: answer)
    quotas, _ = account_quotas(room.clients)
    (finding,) = check_quotas({"db": ()}, {"db": 450}, quotas)
    assert finding.message == "450 servers; one job takes 200, so the wave launches 3 jobs."


def test_rollback_scripts_are_checked_where_the_whole_plan_is_unwound(room: Room) -> None:
    room.wave("web")["rollback"] = [{"name": "fence", "automation": "Shop-Fence"}]
    assert found(room.check()) == set(), "nothing unwinds the wave"
    room.plan_data["recovery"] = {"on_failure": "rollback"}
    assert found(room.check()) == {("document-missing", "error", None)}


@pytest.mark.parametrize("part", ["subnet", "security_group"])
def test_launch_template_incomplete(room: Room, part: str) -> None:
    room.server(DB1)["launch_template"] = {part: False}
    result = room.check()
    assert found(result) == {("launch-template-incomplete", "error", DB1)}
    assert part.replace("_", " ") in result.findings.errors[0].message


def test_instance_profile_missing_matters_where_the_agent_is_needed(room: Room) -> None:
    for id_ in (DB1, APP1):
        room.server(id_)["launch_template"] = {"instance_profile": False}
    assert found(room.check()) == {
        ("instance-profile-missing", "warning", DB1),
        ("instance-profile-missing", "error", APP1),
    }
    assert found(room.check(skip_scripts=True)) == {
        ("instance-profile-missing", "warning", DB1),
        ("instance-profile-missing", "warning", APP1),
    }


def test_launches_stopped(room: Room) -> None:
    room.server(DB1)["launch_disposition"] = "STOPPED"
    room.server(WEB1)["launch_disposition"] = "STOPPED"
    assert found(room.check()) == {("launches-stopped", "error", WEB1)}


def test_document_missing(room: Room) -> None:
    del room.scenario["documents"]["Shop-Warm"]
    result = room.check()
    assert found(result) == {("document-missing", "error", None)}
    assert "Script warm" in result.findings.errors[0].message
    assert found(room.check(skip_scripts=True)) == set()


def test_scripts_of_the_other_mode_are_not_looked_at(room: Room) -> None:
    room.wave("app")["post_launch"][0]["modes"] = ["recovery"]
    del room.scenario["documents"]["Shop-Warm"]
    assert found(room.check("drill")) == set()
    assert found(room.check("recovery")) == {("document-missing", "error", None)}


def test_document_unreadable(room: Room) -> None:
    room.scenario["faults"] = [
        {"operation": "DescribeDocument", "error": "AccessDeniedException", "contains": "Shop-Warm"}
    ]
    assert found(room.check()) == {("document-unreadable", "error", None)}


def test_document_type(room: Room) -> None:
    room.scenario["documents"]["Shop-Warm"] = {"kind": "Automation", "duration": 1}
    assert found(room.check()) == {("document-type", "error", None)}


def test_a_secret_that_airflow_does_not_have(room: Room) -> None:
    room.wave("database")["pre_launch"][0]["parameters"] = {"ClusterId": "{{connection:drs_secret_shop.login}}"}
    asked: list[str] = []

    def lookup(wanted: Any) -> str:
        asked.append(str(wanted))
        if len(asked) > 1:
            raise LookupError("there is none")
        return "shop"

    assert found(room.check(lookup=lookup)) == set()
    result = room.check(lookup=lookup)
    assert found(result) == {("secret-missing", "error", None)}
    assert "drs_secret_shop.login cannot be looked up: there is none" in result.findings.errors[0].message
    assert found(room.check(lookup=lookup, skip_scripts=True)) == set()
    assert asked == ["drs_secret_shop.login"] * 2
    assert found(room.check()) == {("secret-not-checked", "warning", None)}


@pytest.mark.parametrize("parameters", [{}, {"ClusterId": ["shop"], "Typo": ["x"]}])
def test_document_parameters(room: Room, parameters: dict[str, Any]) -> None:
    room.wave("database")["pre_launch"][0]["parameters"] = parameters
    assert found(room.check()) == {("document-parameters", "error", None)}


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("DescribeSourceServers", "source servers"),
        ("DescribeJobs", "jobs and quotas"),
        ("DescribeRecoveryInstances", "jobs and quotas"),
        ("DescribeRecoverySnapshots", "snapshots of s-1a2b3c4d5e6f70001"),
        ("GetLaunchConfiguration", "launch configuration of s-1a2b3c4d5e6f70001"),
        ("DescribeLaunchTemplateVersions", "launch configuration of"),
        ("DescribeDocument", "document Shop-PromoteReplica"),
        ("SimulatePrincipalPolicy", "permissions"),
        ("GetCallerIdentity", "permissions"),
    ],
)
def test_a_check_that_fails_is_a_finding_and_never_a_pass(room: Room, operation: str, words: str) -> None:
    # Not an error that botocore repeats, so that the test is quick.
    room.scenario["faults"] = [{"operation": operation, "error": "ValidationException"}]
    result = room.check()
    assert {code for code, _, _ in found(result)} == {"check-failed"}
    assert len(result.findings) == 1, "an outage is one finding, not one a server"
    message = result.findings.errors[0].message
    assert words in message
    assert operation in message
    assert result.findings.blocking()


def test_throttling_that_passes_is_not_a_finding(room: Room) -> None:
    room.scenario["faults"] = [{"operation": "DescribeJobs", "error": "ThrottlingException", "times": 1}]
    assert found(room.check()) == set()


def test_throttling_that_outlasts_botocore_is_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drs_provider.readiness.side_by_side.PATIENCE", (0.0, 0.0))
    throttled = {"operation": "DescribeSourceServers", "error": "ThrottlingException"}
    room.scenario["faults"] = [{**throttled, "times": 9}]
    clients = Clients(lambda service: boto3.client(service, region_name="us-west-2", config=ONE_ATTEMPT))
    room.load()
    assert found(run_preflight(room.plan, clients, mode="drill")) == {("check-failed", "error", None)}
    room.scenario["faults"] = [{**throttled, "times": 2}]
    room.load()
    assert found(run_preflight(room.plan, clients, mode="drill")) == set()


@pytest.mark.parametrize(
    "fault",
    [{"error": "ExpiredTokenException"}, {"error": "InternalServerException", "status": 500}, {"reset": True}],
    ids=["expired credentials", "a 500", "a reset"],
)
def test_what_aws_cannot_answer_at_the_moment_is_asked_again(
    fault: dict[str, Any], room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drs_provider.readiness.side_by_side.PATIENCE", (0.0, 0.0))
    room.scenario["faults"] = [{"operation": "DescribeSourceServers", "times": 2, **fault}]
    clients = Clients(lambda service: boto3.client(service, region_name="us-west-2", config=ONE_ATTEMPT))
    room.load()
    assert found(run_preflight(room.plan, clients, mode="drill")) == set()


def test_permissions_not_checked(room: Room) -> None:
    room.scenario["faults"] = [{"operation": "SimulatePrincipalPolicy", "error": "AccessDenied"}]
    result = room.check()
    assert found(result) == {("permissions-not-checked", "warning", None)}
    assert not result.findings.blocking()
    assert room.calls("SimulatePrincipalPolicy") == 1


def test_a_notifier_that_cannot_be_used_is_reported_and_blocks_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", "airflow.*")
    room.plan_data["notify"] = [
        {"notifier": "airflow.providers.amazon.aws.notifications.sns.SnsNotifier"},
        {"notifier": "airflow.sdk.BaseOperator"},
        {"notifier": "airflow.providers.slck.Notifier"},
        {"notifier": "unittest.__main__.X"},
    ]
    result = room.check()
    assert [(finding.code, finding.severity) for finding in result.findings] == [("notifier-unusable", "warning")] * 3
    assert "unittest.__main__.X is not allowed by [drs_provider] notifiers" in result.findings.message()
    assert "airflow.sdk.BaseOperator is not an Airflow notifier" in result.findings.message()
    assert "airflow.providers.slck.Notifier cannot be imported" in result.findings.message()
    assert not result.findings.blocking()


def test_findings_are_json_and_one_message(room: Room) -> None:
    room.server(DB2)["replication"] = "STALLED"
    room.server(WEB1)["lag"] = "1h"
    result = room.check("recovery")
    data = json.loads(json.dumps(result.as_dict()))
    assert data["ready"] is False
    assert [finding["code"] for finding in data["findings"]] == ["replication-state", "replication-lag"]
    message = result.findings.message()
    assert message.startswith("Not ready (recovery): 2 blocking")
    assert "in spite of: replication-lag, replication-state" in message
    assert all(finding["code"] in CODES for finding in data["findings"])
