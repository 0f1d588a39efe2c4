"""``drs-plan extend``: servers of a staging account, extended once each; and what preflight says of extensions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from drs_provider.aws.drs import extensions
from drs_provider.aws.drs.questions import Drs
from drs_provider.cli import app
from drs_provider.plan import RecoveryPlan
from drs_provider.readiness.replication import check_replication
from drs_provider.readiness.resolution import resolve
from tests.readiness.conftest import shared_clients

STAGING = "222222222222"
OWN, DB, BAD, TWIN, ID = (f"s-{number:017d}" for number in range(1, 6))
PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "target": {"region": "us-west-2", "staging_accounts": [STAGING]},
    "waves": [
        {"name": "db", "servers": [{"hostname": "DB01"}, {"id": OWN}]},
        {"name": "web", "servers": [{"tags": {"Tier": "web"}}]},
    ],
}


def server(identity: str, hostname: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "hostname": hostname, "ebs_encryption": "CUSTOM", **more}


@pytest.fixture
def plan(tmp_path: Path, drs_simulator: Any) -> Path:
    staged = [
        server(DB, "db01", tags={"Team": "dba", "aws:backup": "x"}),
        server(BAD, "web02", tags={"Tier": "web"}, ebs_encryption="DEFAULT"),
        server(TWIN, "web01", tags={"Tier": "web"}),
        server(ID, "other01"),
    ]
    own = [server(OWN, "web01")]
    drs_simulator.load({"page_size": 2, "servers": own, "accounts": [{"account": STAGING, "servers": staged}]})
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    return path


def extend(plan: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["extend", str(plan), *arguments])


def here() -> dict[str, dict[str, Any]]:
    """The source servers of the account, by host name and whether they are extensions."""
    items = Drs(shared_clients()).source_servers()
    return {
        f"{one['sourceProperties']['identificationHints']['hostname']} {one['stagingArea']['status']}": one
        for one in items
    }


def test_what_a_plan_selects_in_a_staging_account_is_extended_once(plan: Path, drs_simulator: Any) -> None:
    dry = extend(plan, "--dry-run")
    assert (dry.exit_code, list(here())) == (1, ["web01 NOT_EXTENDED"])
    assert f"us-west-2: db: db01 is to be extended from account {STAGING} ({DB})" in dry.stdout
    assert extend(plan).exit_code == 1, "nobody says yes"
    assert len(here()) == 1
    done = json.loads(extend(plan, "--yes", "--format", "json").stdout)["targets"][0]
    (extended,), (failed,), (problem,) = done["extended"], done["failed"], done["problems"]
    assert (extended["hostname"], done["missing"]) == ("db01", [])
    assert extended["id"] == here()["db01 EXTENDED"]["sourceServerID"] != DB
    assert here()["db01 EXTENDED"]["tags"] == {"Team": "dba"}, "without AWS's own"
    assert failed["hostname"] == "web02"
    assert "default EBS" in failed["reason"] and "customer managed key" in failed["reason"]
    assert f"web01 is here already, as {OWN}, which replicates to this account itself" in problem
    again = extend(plan, "--yes")
    assert again.exit_code == 1
    assert "web: tags Tier=web" not in again.stdout
    calls = [entry for entry in drs_simulator.log if entry.get("operation") == "CreateExtendedSourceServer"]
    assert len(calls) == 2, "neither the one that is extended nor the one that failed is asked for again"


def test_an_answer_that_does_not_come_makes_no_second_extension(plan: Path, drs_simulator: Any) -> None:
    drs_simulator.add_fault("CreateExtendedSourceServer", error="InternalServerException", when="after", times=1)
    done = json.loads(extend(plan, "--yes", "--format", "json").stdout)["targets"][0]
    assert [one["hostname"] for one in done["extended"]] == ["db01"]
    assert len([name for name in here() if name.startswith("db01")]) == 1


def test_an_id_of_the_staging_account_is_told_from_the_one_here(plan: Path) -> None:
    waves = [{"name": "db", "servers": [{"id": ID}]}, {"name": "web", "servers": [{"hostname": "web01"}]}]
    plan.write_text(yaml.safe_dump({**PLAN, "waves": waves}))
    first = extend(plan, "--yes")
    own_id = here()["other01 EXTENDED"]["sourceServerID"]
    for result in (first, extend(plan, "--yes")):
        assert result.exit_code == 1
        assert f"{ID} is its id in the staging account; here it is {own_id}: write that" in result.stderr
    # Preflight says the same, and tells a host that is in both accounts apart.
    drs = Drs(shared_clients())
    (twin,) = (one for one in extensions.extensible_servers(drs, STAGING) if one.id == TWIN)
    made = extensions.extend(drs, twin)["sourceServerID"]
    _, findings = resolve(RecoveryPlan.model_validate({**PLAN, "waves": waves}), ["db", "web"], drs.source_servers())
    missing, ambiguous = findings
    assert f"that is its id in account {STAGING}, did you mean id {own_id}?" in missing.message
    assert f"A server that {STAGING} replicates is extended by `drs-plan extend`." in missing.remedy
    assert ambiguous.code == "hostname-ambiguous"
    assert f"{OWN}" in ambiguous.message and f"{made} extended from account {STAGING}" in ambiguous.message


def test_a_server_that_could_not_be_extended_is_found_before_its_launch(plan: Path) -> None:
    extend(plan, "--yes")
    drs = Drs(shared_clients())
    known = drs.source_servers()
    resolved, _ = resolve(RecoveryPlan.model_validate(PLAN), ["web"], known)
    (bad,) = resolved["web"]
    (finding,) = check_replication(next(one for one in known if one["sourceServerID"] == bad.id), bad, None)
    assert (finding.code, finding.severity) == ("extension-error", "error")
    assert f"source-server/{BAD}: The volumes have the default EBS encryption key." in finding.message


def test_a_staging_account_that_cannot_be_asked_is_no_answer(plan: Path) -> None:
    foreign = extend(plan, "--dry-run", "--staging-account", "333333333333")
    assert foreign.exit_code == 2
    assert "staging account 333333333333: AccessDeniedException" in foreign.stderr
    plan.write_text(yaml.safe_dump({**PLAN, "target": {"region": "us-west-2"}}))
    unknown = extend(plan, "--dry-run")
    assert (unknown.exit_code, "no staging account is known" in unknown.stderr) == (2, True)
