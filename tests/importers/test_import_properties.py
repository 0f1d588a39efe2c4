"""Whatever plan an exporter of a shape writes, the import has its waves, dependencies and servers again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drs_provider.plan import RecoveryPlan
from tests.importers.conftest import imported
from tests.importers.test_drs_tools import APPLICATION
from tests.importers.test_orchestrator import EARLY, LATE, LATE_GROUPS, typed

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

title = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1, max_size=12).filter(str.strip)
Wave = dict[str, Any]
"""``title``; ``after``, the places of the waves that it depends on; ``servers``, ids; ``whole``, by a group."""


@st.composite
def waves(draw: st.DrawFn, *, chain: bool = False) -> list[Wave]:
    """Waves with any acyclic graph, or a chain, each server in one of them."""
    count = draw(st.integers(1, 6))
    found: list[Wave] = []
    for number in range(count):
        after = [number - 1] if number else []
        if not chain and number:
            after = draw(st.lists(st.integers(0, number - 1), unique=True, max_size=3))
        servers = [f"s-{number:08d}{place:09d}" for place in range(draw(st.integers(1, 3)))]
        found.append({"title": draw(title), "after": after, "servers": servers, "whole": draw(st.booleans())})
    return found


def groups_of(plan: list[Wave]) -> dict[int, str]:
    """The waves whose servers are written as a group, with the group's id."""
    return {number: f"pg-{number}" for number, wave in enumerate(plan) if wave["whole"]}


def early(plan: list[Wave], ids: str) -> dict[str, Any]:
    """An export file in the early shape; ``ids`` says how waves are called."""
    names = {"zero": str, "one": lambda n: str(n + 1), "dashed": "wave-{}".format, "word": lambda n: "w" + "x" * n}[ids]
    groups = groups_of(plan)
    return {
        "schemaVersion": "1.0",
        "protectionGroups": [
            {"GroupId": group, "GroupName": group, "Region": "us-west-2", "SourceServerIds": plan[number]["servers"]}
            for number, group in groups.items()
        ]
        # The region is the groups': there is one at least.
        + [{"GroupId": "rest", "GroupName": "rest", "Region": "us-west-2", "SourceServerIds": ["s-" + "9" * 17]}],
        "recoveryPlans": [
            {
                "PlanId": "p",
                "PlanName": "plan",
                "Waves": [
                    {
                        "WaveId": names(number),
                        "WaveName": wave["title"],
                        "ExecutionOrder": number,
                        "ProtectionGroupId": groups.get(number, "rest"),
                        "ServerIds": [] if number in groups else wave["servers"],
                        "Dependencies": [{"DependsOnWaveId": names(each)} for each in wave["after"]],
                    }
                    for number, wave in enumerate(plan)
                ],
            }
        ],
    }


def late(plan: list[Wave]) -> list[dict[str, Any]]:
    """DynamoDB items in the late shape: the plan, and its groups."""
    groups = groups_of(plan)
    items: list[dict[str, Any]] = [
        {
            "planId": "p",
            "planName": "plan",
            "version": 1,
            "waves": [
                {
                    "waveNumber": number,
                    "waveName": wave["title"],
                    "protectionGroupId": groups.get(number, "rest"),
                    "protectionGroupIds": [groups.get(number, "rest")],
                    "serverIds": [] if number in groups else wave["servers"],
                    "pauseBeforeWave": False,
                    "dependsOnWaves": wave["after"],
                }
                for number, wave in enumerate(plan)
            ],
        },
        {"groupId": "rest", "groupName": "rest", "region": "us-west-2", "serverSelectionTags": {"a": "b"}},
    ]
    return items + [
        {
            "groupId": group,
            "groupName": group,
            "region": "us-west-2",
            "servers": [{"sourceServerId": server, "useGroupDefaults": True} for server in plan[number]["servers"]],
        }
        for number, group in groups.items()
    ]


def seen(plan: RecoveryPlan) -> tuple[list[list[int]], list[list[str]]]:
    """What each wave depends on, by places, and the servers of each."""
    places = {wave.name: number for number, wave in enumerate(plan.waves)}
    after = [sorted(places[name] for name in wave.depends_on) for wave in plan.waves]
    return after, [sorted(str(each.id) for each in plan.selectors(wave)) for wave in plan.waves]


def wanted(plan: list[Wave]) -> tuple[list[list[int]], list[list[str]]]:
    return [sorted(wave["after"]) for wave in plan], [wave["servers"] for wave in plan]


def bring(folder: Path, shape: str, document: Any) -> RecoveryPlan:
    path = folder / "source.json"
    path.write_text(json.dumps(document))
    result = imported(folder, [str(path)], shape, "--force")
    assert result.status == 0, result.report
    return result.plan


@FEW
@given(waves(), st.sampled_from(["zero", "one", "dashed", "word"]), st.booleans())
def test_early_plans(tmp_path: Path, plan: list[Wave], ids: str, as_items: bool) -> None:
    document: Any = early(plan, ids)
    if as_items:
        items = [*document["recoveryPlans"], *document["protectionGroups"]]
        document = {"Items": [typed(item)["M"] for item in items]}
    assert seen(bring(tmp_path, "orchestrator", document)) == wanted(plan)


@FEW
@given(waves(), st.booleans())
def test_late_plans(tmp_path: Path, plan: list[Wave], as_items: bool) -> None:
    items = late(plan)
    document = {"Items": [typed(item)["M"] for item in items]} if as_items else items
    assert seen(bring(tmp_path, "orchestrator", document)) == wanted(plan)


@FEW
@given(waves(chain=True), st.integers(1, 86400))
def test_plans_of_the_tools(tmp_path: Path, plan: list[Wave], seconds: int) -> None:
    application = {
        "AppName": "app", "KeyName": "app", "KeyValue": "x", "Region": "us-west-2",
        "Plans": [
            {
                "PlanName": "plan",
                "Waves": [
                    {"Name": wave["title"], "KeyName": "wave", "KeyValue": str(number), "MaxWaitTime": seconds}
                    for number, wave in enumerate(plan)
                ],
            }
        ],
    }  # fmt: skip
    found = bring(tmp_path, "drs-tools", application)
    assert seen(found)[0] == wanted(plan)[0]
    assert all(wave.launch_timeout.total_seconds() == seconds for wave in found.waves)
    selected = [dict(selector.tags or {}) for wave in found.waves for selector in wave.servers]
    assert selected == [{"app": "x", "wave": str(number)} for number in range(len(plan))]


@FEW
@given(waves(chain=True), st.lists(st.integers(1, 120), min_size=6, max_size=6))
def test_native_plans(tmp_path: Path, plan: list[Wave], minutes: list[int]) -> None:
    from drs_provider.importers.drs_native import read_drs_native
    from drs_provider.importers.naming import LegalNames
    from drs_provider.importers.plan_file import make_plan_file
    from drs_provider.importers.report import ImportReport

    class Account:
        """A client of DRS with one plan, each step a page."""

        class meta:  # noqa: N801
            class service_model:  # noqa: N801
                operation_names = ["ListRecoveryPlans"]

        def list_recovery_plans(self, **_: Any) -> dict[str, Any]:
            return {"recoveryPlans": [{"name": "plan", "recoveryPlanArn": "arn"}]}

        def get_recovery_plan(self, **_: Any) -> dict[str, Any]:
            return {"recoveryPlan": {"name": "plan", "recoveryPlanArn": "arn", "status": "ACTIVE"}}

        def list_recovery_plan_steps(self, nextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
            listed: list[dict[str, Any]] = []
            for number, wave in enumerate(plan):
                servers = [{"serverArn": f"arn:aws:drs:x:1:source-server/{one}"} for one in wave["servers"]]
                listed.append(
                    {"stepName": wave["title"], "configuration": {"serverStepConfiguration": {"servers": servers}}}
                )
                listed.append(
                    {
                        "stepName": "w",
                        "configuration": {"waitStepConfiguration": {"waitDurationMinutes": minutes[number]}},
                    }
                )
            place = int(nextToken)
            more = {"nextToken": str(place + 1)} if place + 1 < len(listed) else {}
            return {"recoveryPlanSteps": [{"stepOrder": place + 1, **listed[place]}], **more}

    report = ImportReport()
    made = make_plan_file(read_drs_native(Account(), "plan", "us-west-2", report), LegalNames(), report)
    assert made is not None, report.problems
    assert seen(made.plan) == wanted(plan)
    assert [wave.settle.total_seconds() / 60 for wave in made.plan.waves] == minutes[: len(plan)]
    assert all(after.depends_on == (before.name,) for before, after in pairwise(made.plan.waves))


leaf = st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(["", "1", "wave-1", "x", "s-1"])
keys = st.sampled_from(
    [
        "Waves", "waves", "WaveId", "waveNumber", "WaveName", "ServerIds", "serverIds", "Dependencies",
        "dependsOnWaves", "DependsOnWaveId",
        "ProtectionGroupId", "protectionGroupIds", "recoveryPlans", "protectionGroups", "groupId",
        "GroupName", "servers", "sourceServerId", "ServerSelectionTags", "Region", "PauseBeforeWave", "ExecutionOrder",
        "RTO", "metadata", "exportedAt", "Plans", "PlanName", "AppName", "KeyName", "KeyValue", "MaxWaitTime", "Name",
        "PreWaveActions", "StartAutomationExecution", "DocumentName", "Parameters", "Items", "Item", "S", "N", "L", "M",
    ]
)  # fmt: skip
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A source in which one value is something else."""
    document: Any = copy.deepcopy(draw(st.sampled_from([EARLY, [LATE, *LATE_GROUPS], APPLICATION])))
    part = document
    while True:
        place = draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[place], (dict, list)) or not part[place] or draw(st.integers(0, 3)) == 0:
            part[place] = draw(anything)
            return document
        part = part[place]


@settings(FEW, max_examples=200)
@given(anything | damaged())
def test_any_json_is_imported_or_refused_with_its_place(document: Any) -> None:
    from drs_provider.importers.drs_tools import read_drs_tools
    from drs_provider.importers.json_items import read_items
    from drs_provider.importers.naming import LegalNames
    from drs_provider.importers.orchestrator import OrchestratorOptions, read_orchestrator
    from drs_provider.importers.plan_file import make_plan_file
    from drs_provider.importers.report import ImportRefused, ImportReport

    readers: list[Callable[..., Any]] = [
        lambda items, report: read_orchestrator(items, report, OrchestratorOptions(region="us-west-2")),
        read_drs_tools,
    ]
    for read in readers:
        report = ImportReport()
        try:
            plans = read(read_items(json.dumps(document).encode(), "", report), report)
            report.check()
            made = [make_plan_file(plan, LegalNames(), report) for plan in plans]
            report.check()
        except ImportRefused as refused:
            assert all(problem.what for problem in refused.problems)
        else:
            assert made and None not in made


def objects(part: Any) -> list[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(part, list):
        return [each for item in part for each in objects(item)]
    return [part, *(each for item in part.values() for each in objects(item))] if isinstance(part, dict) else []


@FEW
@given(st.sampled_from(["orchestrator", "late", "drs-tools"]), st.data())
def test_a_key_that_nobody_knows_is_never_dropped_in_silence(tmp_path: Path, source: str, data: st.DataObject) -> None:
    documents: dict[str, Any] = {"orchestrator": EARLY, "late": [LATE, *LATE_GROUPS], "drs-tools": APPLICATION}
    document = copy.deepcopy(documents[source])
    data.draw(st.sampled_from(objects(document)))["Unheard"] = "of"
    path = tmp_path / "source.json"
    path.write_text(json.dumps(document))
    result = imported(tmp_path, [str(path)], "drs-tools" if source == "drs-tools" else "orchestrator", "--force")
    assert result.status == 0, result.report
    # A tag or a parameter may have any name: those are in the plan.
    assert "Unheard" in result.said("left_out") or "Unheard:" in result.report["plans"][0]["text"]
