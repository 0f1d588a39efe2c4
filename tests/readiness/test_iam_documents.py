"""The published IAM policies: in step with the table, valid, small enough, and complete for what the code calls."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import drs_provider
from drs_provider.deploy.iam import FOLDER, documents, render
from drs_provider.plan import load_plan
from drs_provider.plan.kinds import kind_named, own_kinds
from drs_provider.readiness.actions import steps_of_run
from drs_provider.readiness.grants import EXTENSIONS, GRANTS, LAUNCH_SETTINGS, OTHERS

PACKAGE = Path(drs_provider.__file__).parent
ALL = (*GRANTS, *LAUNCH_SETTINGS, *EXTENSIONS)
GRANTED = {action for grant in ALL for action in grant.actions}
# Never denied, or made by the SDK itself.
FREE = {"sts:GetCallerIdentity"}


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_files_are_those_of_the_table(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == render(documents()[name])


def test_there_is_no_other_file() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(documents())


@pytest.mark.parametrize("name", sorted(documents()))
def test_they_fit_a_managed_policy(name: str) -> None:
    text = "".join(render(documents()[name]).split())
    assert len(text) <= 6144


def test_the_policies_have_what_every_kind_of_step_says_that_it_may_do() -> None:
    shipped = {statement["Sid"]: statement for name in documents() for statement in stored(name)}
    granted = [(kind.name, grant) for kind in own_kinds() for grant in kind.grants]
    assert {name for name, _ in granted} == {"launch", "preflight", "script", "terminate"}
    assert [(name, grant.sid) for name, grant in granted if shipped.get(grant.sid) != grant.statement()] == []
    needs = {grant.need for _, grant in granted} | {grant.need for grant in OTHERS}
    asked = {
        need
        for plan in sorted((PACKAGE.parents[1] / "plans").glob("*.yaml"))
        for mode in ("drill", "recovery")
        for step, wave in steps_of_run(load_plan(plan).plan, mode)
        for need in kind_named(step.kind).needs(step, wave, load_plan(plan).plan, mode)
    }
    assert {"launch", "terminate", "scripts", "run_command", "automation"} <= asked <= needs


def stored(name: str) -> list[dict[str, Any]]:
    """The statements of a shipped policy, as its file has them."""
    return list(json.loads((FOLDER / name).read_text(encoding="utf-8"))["Statement"])


def test_sids_are_unique_and_reasons_are_given() -> None:
    sids = [grant.sid for grant in ALL]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)
    assert all(grant.reason for grant in ALL)


def test_nothing_is_granted_by_wildcard() -> None:
    assert not [action for action in GRANTED if "*" in action]


def test_what_only_drs_does_is_bound_to_drs() -> None:
    for grant in GRANTS:
        if grant.sid.startswith("Drs") and not any(action == "iam:PassRole" for action in grant.actions):
            assert grant.condition["ForAnyValue:StringEquals"] == {"aws:CalledVia": ["drs.amazonaws.com"]}, grant.sid
        if "iam:PassRole" in grant.actions:
            assert "iam:PassedToService" in grant.condition["StringEquals"], grant.sid


def test_every_action_and_resource_exists() -> None:
    import cfnlint

    table = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())
    for grant in ALL:
        for action in grant.actions:
            service, name = action.split(":")
            known = table[service]["Actions"].get(name.lower())
            assert known is not None, f"{action} is not an IAM action"
            kinds = {resource.split(":", 5)[5].split("/")[0] for resource in grant.resources if resource != "*"}
            if kinds and service == "ec2":
                assert kinds & set(known["Resources"]), f"{action} is not authorised on any of {kinds}"


def client_calls() -> Iterator[tuple[str, str]]:
    """(IAM action, file) for each name in the production code that is a client method of one of these services."""
    session = botocore.session.get_session()
    methods: dict[str, str] = {}
    for service, prefix in (("drs", "drs"), ("ssm", "ssm"), ("ec2", "ec2"), ("sns", "sns")):
        for operation in session.get_service_model(service).operation_names:
            methods.setdefault(xform_name(operation), f"{prefix}:{operation}")
    for path in PACKAGE.rglob("*.py"):
        # Plans are imported and exported at a terminal, with the rights of whoever sits there, never by Airflow's role.
        if {"simulator", "importers", "exporters"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name: Any = getattr(node, "attr", None)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value
            if name in methods:
                yield methods[name], str(path.relative_to(PACKAGE))


def test_nothing_is_granted_for_a_failback_that_no_operator_calls() -> None:
    failback = {action for grant in GRANTS if grant.need == "failback" for action in grant.actions}
    # The example completes launch templates itself.
    example = {"ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"}
    assert failback - dict(client_calls()).keys() <= example


def test_every_call_of_the_code_is_granted() -> None:
    called = dict(client_calls())
    assert {"drs:StartRecovery", "drs:DescribeJobs", "ssm:SendCommand"} <= set(called), "the search finds calls"
    assert {action: path for action, path in called.items() if action not in GRANTED | FREE} == {}
