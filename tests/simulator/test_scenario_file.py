"""Scenario files: what a bad one is told, by line; and the scenarios that suit a plan."""

from __future__ import annotations

import re
from pathlib import Path

import boto3
import pytest
import yaml

from drs_provider.plan import load_plan
from drs_provider.simulator.plan_scenario import scenario_from_plan
from drs_provider.simulator.scenario import Durations, Scenario, ServerSpec
from drs_provider.simulator.scenario_file import ScenarioError, load_scenario

GOOD = """\
region: us-west-2
servers:
  - id: s-1a2b3c4d5e6f70001
    hostname: db01
    outcome: launched
    durations: {conversion: 175}
    snapshots: [{age: 10m}]
documents:
  Promote: {duration: 20, outcome: Success}
faults:
  - {operation: StartRecovery, error: InternalServerException, when: after, times: 1}
"""
PLANS = sorted((Path(__file__).parents[2] / "plans").glob("*.yaml"))


def complaint(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    return str(error.value).replace(str(path), "FILE")


def test_a_good_file(tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(GOOD)
    scenario = load_scenario(path)
    assert scenario.servers[0].durations.conversion == 175
    assert scenario.servers[0].snapshots[0].age == 600
    assert load_scenario(scenario.to_dict()).to_dict() == scenario.to_dict()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("hostname: db01", "hostnam: db01", "FILE:4: servers[0].hostnam: unknown key; did you mean hostname?"),
        ("region: us", "zzz: us", "FILE:1: zzz: unknown key; expected one of"),
        ("outcome: launched", "outcome: lost", "FILE:5: servers[0].outcome[0]: Input should be 'launched', 'failed'"),
        (
            "conversion: 175",
            "conversion: soon",
            "FILE:6: servers[0].durations.conversion: expected a duration: seconds, or",
        ),
        ("conversion: 175", "conversion: -1", "FILE:6: servers[0].durations.conversion: expected a duration"),
        (
            "conversion: 175",
            "konversion: 1",
            "FILE:6: servers[0].durations.konversion: unknown key; did you mean conversion?",
        ),
        ("age: 10m", "age: 10 minutes", "FILE:7: servers[0].snapshots[0].age: expected a duration"),
        ("id: s-1a2b3c4d5e6f70001", "id: s-1", "FILE:3: servers[0].id: String should match pattern"),
        ("- id: s-1a2b3c4d5e6f70001\n    ", "- ", "FILE:3: servers[0].id: is missing, and is required"),
        ("outcome: Success", "outcome: Sucess", "FILE:9: documents.Promote.outcome"),
        (
            "error: InternalServerException, ",
            "",
            "FILE:11: faults[0]: a fault needs one of error, reset, delay, stale, hold",
        ),
        ("when: after", "when: later", "FILE:11: faults[0].when: Input should be 'before' or 'after'"),
        (
            "region: us-west-2",
            "quotas: {jobs: 1}",
            "FILE:1: quotas: unknown quota 'jobs'; expected a quota code or one of",
        ),
        ("region: us-west-2", "region: us-west-2\nregion: eu-west-1", "FILE:2: region: stands here twice"),
        ("region: us-west-2", "region: [", "FILE:3: expected the node content"),
        (GOOD, "- a list", "FILE:1: expected a mapping"),
        (GOOD, "", "FILE:1: expected a mapping"),
        (GOOD, "region: 2026-13-45", "FILE: not readable as YAML: month must be in 1..12"),
        (GOOD, "region: !!timestamp x", "FILE: not readable as YAML"),
        (GOOD, "servers: &a [*a]", "FILE: not readable as YAML: maximum recursion depth"),
        (GOOD, "servers: !!python/name:os.system", "FILE:1: could not determine a constructor"),
        (GOOD, "region: \0", "FILE: unacceptable character"),
    ],
)
def test_a_bad_file_is_told_where_and_what(tmp_path, old, new, expected):
    assert old in GOOD
    complaints = complaint(tmp_path, GOOD.replace(old, new)).splitlines()
    assert any(line.startswith(expected) for line in complaints), complaints


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    text = GOOD.replace("outcome: launched", "outcome: lost").replace("age: 10m", "age: x")
    assert len(complaint(tmp_path, text).splitlines()) == 2


def test_one_id_for_two_servers(tmp_path):
    twice = GOOD.replace("documents:", "  - {id: s-1a2b3c4d5e6f70001, hostname: db02}\ndocuments:")
    expected = "FILE:8: servers[1].id: s-1a2b3c4d5e6f70001 is the id of another server too"
    assert complaint(tmp_path, twice) == expected


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_scenario_has_all_that_a_plan_selects(path, drs_simulator):
    loaded = load_plan(path)
    data = scenario_from_plan(loaded)
    assert data == scenario_from_plan(load_plan(path)), "the same for the same plan"
    scenario = load_scenario(yaml.safe_load(yaml.safe_dump(data)))
    assert scenario.region == loaded.plan.target.region
    for wave in loaded.plan.waves:
        for selector in loaded.plan.selectors(wave):
            wanted = set((selector.tags or {}).items())
            found = [
                server
                for server in scenario.servers
                if server.id == selector.id
                or server.hostname == selector.hostname
                or (wanted and wanted <= set(server.tags.items()))
            ]
            assert len(found) >= (2 if wanted else 1), selector
            if selector.snapshot and selector.snapshot != "latest":
                assert selector.snapshot in [one.id for one in found[0].snapshots or ()]
    drs_simulator.load(data)
    drs = boto3.client("drs", loaded.plan.target.region)
    assert len(drs.describe_source_servers()["items"]) == len(scenario.servers)


def test_documents_targets_and_topics_of_a_plan(tmp_path, drs_simulator):
    path = tmp_path / "plan.yaml"
    path.write_text(
        """\
version: 1
name: small
target: {region: us-west-2}
notify: [{sns: "arn:aws:sns:us-west-2:222222222222:dr-events"}]
waves:
  - name: app
    servers: [{id: s-1a2b3c4d5e6f70001, snapshot: pit-0123456789abcdef0}]
    pre_launch:
      - {name: promote, automation: Shop-Promote}
      - {name: warm, run_command: Shop-Warm, targets: {tags: {Role: cache}}}
      - {name: poke, run_command: AWS-RunShellScript, targets: {instance_ids: [i-0123456789abcdef0]}}
"""
    )
    drs_simulator.load(scenario_from_plan(load_plan(path)))
    assert drs_simulator.scenario.documents["Shop-Promote"].kind == "Automation"
    assert drs_simulator.scenario.documents["Shop-Warm"].kind == "Command"
    assert "AWS-RunShellScript" not in drs_simulator.scenario.documents
    ssm = boto3.client("ssm", "us-west-2")
    assert len(ssm.describe_instance_information()["InstanceInformationList"]) == 2
    for targets in (
        [{"Key": "tag:Role", "Values": ["cache"]}],
        [{"Key": "InstanceIds", "Values": ["i-0123456789abcdef0"]}],
    ):
        ssm.send_command(DocumentName="Shop-Warm", Targets=targets)
    boto3.client("sns", "us-west-2").publish(TopicArn="arn:aws:sns:us-west-2:222222222222:dr-events", Message="hello")


PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_the_page_of_the_simulator_knows_every_key_and_its_examples_hold(drs_simulator):
    rows = "".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    for model in (Scenario, ServerSpec, Durations):
        assert [key for key in model.model_fields if f"`{key}`" not in rows] == []
    scenarios = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(scenarios) == 2
    for scenario in scenarios:
        drs_simulator.load(yaml.safe_load(scenario))
    (test,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {"boto3": boto3}
    exec(test, names)
    names["test_a_drill"](drs_simulator)


def test_the_tests_that_the_page_names_exist():
    table = PAGE.split("| behaviour | source | test |")[1].split("\n\n")[0]
    rows = [row.split("|")[1:-1] for row in table.strip().splitlines()[1:]]
    missing = []
    for behaviour, _, tests in rows:
        named = re.findall(r"`([\w/]+\.py)(?:::(test_\w+))?`", tests)
        assert named, f"no test is named for: {behaviour}"
        for file, function in named:
            path = Path(__file__).parents[2 if file.startswith("tests/") else 0] / file
            if not path.is_file() or (function and f"def {function}(" not in path.read_text()):
                missing.append(f"{file}::{function}")
    assert len(rows) >= 60 and missing == []


def test_a_plan_of_several_accounts_has_each_of_them_simulated(tmp_path: Path) -> None:
    servers = [{"tags": {"Tier": "web"}}]
    plan = {
        "version": 1,
        "name": "shop",
        "targets": {
            "payments": {"region": "us-west-2", "aws_conn_id": "aws_payments", "account": "210987654321"},
            "tokyo": {"region": "ap-northeast-1", "aws_conn_id": "aws_other"},
            "osaka": {"region": "ap-northeast-3", "aws_conn_id": "aws_other"},
        },
        "waves": [{"name": name, "target": name, "servers": servers} for name in ("payments", "tokyo", "osaka")],
    }
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump(plan, sort_keys=False))
    scenario = load_scenario(scenario_from_plan(load_plan(file)))
    sites = [(account, region, len(site.servers)) for account, region, site in scenario.sites()]
    assert sites == [
        ("210987654321", "us-west-2", 2),
        ("200000000000", "ap-northeast-1", 2),
        ("200000000000", "ap-northeast-3", 2),
    ]
    assert [role.arn for role in scenario.roles] == ["arn:aws:iam::200000000000:role/drs-plan/rehearsal"]
