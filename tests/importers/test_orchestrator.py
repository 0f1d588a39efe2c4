"""Items and export files of the DRS orchestration solution."""

from __future__ import annotations

import copy
from typing import Any

import pytest

A, B, C = "s-aaaaaaaaaaaaaaaa1", "s-aaaaaaaaaaaaaaaa2", "s-aaaaaaaaaaaaaaaa3"

GROUPS = [
    {"GroupId": "pg-7", "GroupName": "Ledger", "Region": "eu-central-1", "SourceServerIds": [A, B]},
    {"GroupId": "pg-8", "GroupName": "portal", "Region": "eu-central-1", "ServerSelectionTags": {"Part": "portal"}},
]
EARLY: dict[str, Any] = {
    "exportedAt": "2026-02-03T04:05:06+00:00Z",
    "sourceRegion": "us-east-1",
    "protectionGroups": GROUPS,
    "recoveryPlans": [
        {
            "PlanId": "7b1e",
            "PlanName": "bookkeeping",
            "Description": "Ledger first",
            "RPO": "15 minutes",
            "RTO": "1h30m",
            "Waves": [
                {
                    "WaveId": "w-ledger",
                    "WaveName": "ledger",
                    "WaveDescription": "Where the money is",
                    "ExecutionOrder": 0,
                    "ExecutionType": "SEQUENTIAL",
                    "ProtectionGroupId": "pg-7",
                    "ServerIds": [],
                },
                {
                    "WaveId": "w-portal",
                    "WaveName": "portal",
                    "ExecutionOrder": 1,
                    "ProtectionGroupId": "pg-8",
                    "ServerIds": [C],
                    "PauseBeforeWave": True,
                    "Dependencies": [{"DependsOnWaveId": "w-ledger"}],
                },
            ],
        }
    ],
}
LATE: dict[str, Any] = {
    "planId": "c0de",
    "planName": "payroll",
    "accountId": "210987654321",
    "assumeRoleName": "DrRole",
    "notificationEmail": "ops@corp.example",
    "version": 3,
    "waves": [
        {
            "waveNumber": 0,
            "waveName": "base",
            "protectionGroupIds": ["g1", "g2"],
            "serverIds": [],
            "dependsOnWaves": [],
        },
        {
            "waveNumber": 1,
            "waveName": "top",
            "protectionGroupId": "g1",
            "serverIds": [C],
            "pauseBeforeWave": False,
            "dependsOnWaves": [0],
        },
    ],
}
LATE_GROUPS = [
    {
        "groupId": "g1",
        "groupName": "one",
        "region": "ap-southeast-2",
        "servers": [{"sourceServerId": A, "useGroupDefaults": False, "launchTemplate": {"instanceType": "m5.large"}}],
    },
    {"groupId": "g2", "groupName": "two", "region": "ap-southeast-2", "sourceServerIds": [B]},
]


def early(**changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(EARLY)
    document["recoveryPlans"][0].update(changes)
    return document


def with_references(*references: Any, ids: Any = None, kind: str = "early") -> dict[str, Any]:
    """A plan of waves a, b, c…, whose wave n depends on what ``references[n]`` lists."""
    waves = []
    for number, needed in enumerate(references):
        wave: dict[str, Any] = {"WaveName": "abcdef"[number], "ServerIds": [f"s-{number:017d}"]}
        if ids is not None:
            wave["WaveId"] = ids[number]
        if kind == "early":
            wave["Dependencies"] = [{"DependsOnWaveId": each} for each in needed]
        else:
            wave["dependsOnWaves"] = list(needed)
        waves.append(wave)
    return {"PlanId": "x", "PlanName": "numbers", "Region": "us-west-2", "Waves": waves}


def test_of_two_spellings_of_a_key_none_is_lost(bring) -> None:
    plan = with_references([], [], kind="late")
    first, second = plan["Waves"]
    first |= {"WaveDescription": "Where the money is", "Description": "Not the money"}
    second |= {"dependsOnWaves": [], "DependsOn": ["a"], "Description": ""}
    result = bring("orchestrator", plan)
    assert result.graph() == {"a": [], "b": ["a"]}, "an empty list says nothing"
    assert result.plan.waves[0].description == "Where the money is"
    assert '"Not the money": WaveDescription says something else, and counts' in result.said("left_out")


def test_the_first_in_order_comes_first_whatever_its_number(bring) -> None:
    plan = with_references([], [])
    first, second = plan["Waves"]
    plan["Waves"] = [
        {**second, "ExecutionOrder": 1, "WaveNumber": 1},
        {**first, "ExecutionOrder": 0, "WaveNumber": 2},
    ]
    assert bring("orchestrator", plan, options=("--in-order",)).graph() == {"a": [], "b": ["a"]}


def test_one_page_of_a_scan_is_said_to_be_one(bring) -> None:
    answer = {"Items": [with_references([])], "LastEvaluatedKey": {"PlanId": {"S": "x"}}}
    assert "LastEvaluatedKey: the answer is one page of several" in bring("orchestrator", answer).said("left_out")
    whole = bring("orchestrator", {**answer, "LastEvaluatedKey": None}, options=("--force",))
    assert "one page" not in whole.said("left_out")


def test_the_early_shape(bring) -> None:
    result = bring("orchestrator", EARLY)
    plan = result.plan
    assert (plan.name, plan.description, plan.target.region) == ("bookkeeping", "Ledger first", "eu-central-1")
    assert plan.objectives.rto.total_seconds() == 5400
    assert plan.objectives.rpo.total_seconds() == 900
    ledger, portal = plan.waves
    assert [selector.group for selector in ledger.servers] == ["ledger"], "no server named is the whole group"
    assert plan.protection_groups["ledger"].servers == (A, B)
    assert [selector.id for selector in portal.servers] == [C]
    assert portal.depends_on == ("ledger",)
    assert portal.approval is not None and ledger.approval is None
    assert "# a pause before the wave is an approval here" in result.text
    assert "2026-02-03T04:05:06+00:00" in result.text, "two time zones at the end are one"
    assert '# In the source: "Ledger".' in result.text
    assert "ExecutionType: SEQUENTIAL" in result.said("left_out")
    assert "us-east-1" not in result.text, "the export's region is not the plan's"


def test_the_late_shape_with_plan_and_groups_in_files_of_their_own(bring) -> None:
    result = bring("orchestrator", [LATE], LATE_GROUPS)
    assert result.graph() == {"base": [], "top": ["base"]}
    assert [selector.group for selector in result.plan.wave("base").servers] == ["one", "two"]
    assert result.plan.target.region == "ap-southeast-2"
    left_out = result.said("left_out")
    for key in ("accountId", "assumeRoleName", "notificationEmail", "launchTemplate"):
        assert key in left_out
    assert 'Not carried over: "DrRole"' in result.text
    assert "version 3" in result.text


@pytest.mark.parametrize("place", ["root", "metadata", "absent"])
def test_the_schema_version_may_stand_anywhere(bring, place: str) -> None:
    document = copy.deepcopy(EARLY)
    if place == "root":
        document["schemaVersion"] = "1.1"
    elif place == "metadata":
        moved = {key: document.pop(key) for key in ("exportedAt", "sourceRegion")}
        document["metadata"] = {"schemaVersion": "1.1", **moved}
    result = bring("orchestrator", document)
    assert result.status == 0
    assert ("schema 1.1" in result.text) == (place != "absent")
    assert result.said("left_out").count("source") == 0


def typed(value: Any) -> dict[str, Any]:
    """A value as DynamoDB's typed JSON."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, float)):
        return {"N": str(value)}
    if isinstance(value, dict):
        return {"M": {key: typed(each) for key, each in value.items()}}
    if isinstance(value, list):
        return {"L": [typed(each) for each in value]}
    return {"NULL": True} if value is None else {"S": value}


@pytest.mark.parametrize("wrapping", ["scan", "lines", "item"])
def test_typed_json_is_read_as_plain(bring, wrapping: str) -> None:
    items = [typed(item)["M"] for item in (LATE, *LATE_GROUPS)]
    if wrapping == "scan":
        documents: list[Any] = [{"Items": items, "Count": 3}]
    elif wrapping == "lines":
        import json

        documents = ["\n".join(json.dumps({"Item": item}) for item in items)]
    else:
        documents = [{"Item": item} for item in items]
    result = bring("orchestrator", *documents)
    plain = bring("orchestrator", [LATE, *LATE_GROUPS], options=("--force",))
    assert result.plan == plain.plan


def test_an_exact_wave_id_comes_before_any_counting(bring) -> None:
    # Counted from 0, "1" would be the second wave; it is the id of the first.
    result = bring("orchestrator", with_references([], ["1"], ["2"], ids=["1", "2", "3"]))
    assert result.graph() == {"a": [], "b": ["a"], "c": ["b"]}


def test_numbers_as_ids_match_texts_of_them(bring) -> None:
    result = bring("orchestrator", with_references([], [0.0], ["1"], ids=[0, 1, 2]))
    assert result.graph() == {"a": [], "b": ["a"], "c": ["b"]}


@pytest.mark.parametrize("kind", ["early", "late"])
def test_two_readings_ask_and_import_nothing(bring, kind: str) -> None:
    document = with_references([], [], [1], kind=kind)
    result = bring("orchestrator", document)
    assert result.status == 1
    assert result.plans == {}
    said = result.said("problems")
    assert "--wave-base 0 or --wave-base 1" in said
    assert 'the wave "b" counted from 0' in said
    assert 'the wave "a" counted from 1' in said
    assert "aves[2].depend" in said.replace("Depend", "depend")
    from_zero = bring("orchestrator", document, options=("--wave-base", "0"))
    assert from_zero.graph()["c"] == ["b"]
    from_one = bring("orchestrator", document, options=("--wave-base", "1", "--force"))
    assert from_one.graph()["c"] == ["a"]
    assert "as --wave-base says" in from_one.text


def test_where_one_reading_is_possible_it_is_taken_with_a_comment(bring) -> None:
    # From 0, the second wave would wait for itself.
    result = bring("orchestrator", with_references([], ["wave-1"], ["wave-2"]))
    assert result.graph() == {"a": [], "b": ["a"], "c": ["b"]}
    assert "counted from 1" in result.text


def test_where_no_reading_is_possible_nothing_is_imported(bring) -> None:
    result = bring("orchestrator", with_references([], [9]))
    assert result.status == 1
    assert "9" in result.said("problems")
    wrong = bring("orchestrator", with_references([], [], [3]), options=("--wave-base", "1"))
    assert "counted from 1" in wrong.said("problems")


def test_numbers_that_are_ids_only_in_part_are_not_guessed(bring) -> None:
    # "1" is the id of wave a; "0" is nobody's: so "1" may be counted from 0, too.
    document = with_references([], ["0"], ["1"], ids=["1", "2", "3"])
    assert bring("orchestrator", document).status == 1
    result = bring("orchestrator", document, options=("--wave-base", "0"))
    assert result.graph() == {"a": [], "b": ["a"], "c": ["b"]}


def test_a_dependency_on_no_wave_names_the_waves(bring) -> None:
    result = bring("orchestrator", with_references([], ["the-db"], ids=["db", "app"]))
    assert "the-db" in result.said("problems")
    assert "db, app" in result.said("problems")


def test_waves_that_declare_nothing_start_at_once_unless_told_otherwise(bring) -> None:
    document = with_references([], [], [])
    result = bring("orchestrator", document)
    assert result.graph() == {"a": [], "b": [], "c": []}
    assert "--in-order" in result.said("decided")
    chained = bring("orchestrator", document, options=("--in-order", "--force"))
    assert chained.graph() == {"a": [], "b": ["a"], "c": ["b"]}


def test_names_are_made_legal_and_stay_unique(bring) -> None:
    waves = [
        {"WaveName": name, "ServerIds": [f"s-{number:017d}"]}
        for number, name in enumerate(["Web Tier", "web-tier", "Бд", "report", "web tier!"])
    ]
    result = bring("orchestrator", {"PlanId": "x", "PlanName": "Über Shop", "region": "us-west-2", "waves": waves})
    assert result.plan.name == "uber-shop"
    assert [wave.name for wave in result.plan.waves] == ["web-tier-2", "web-tier", "wave-3", "report-2", "web-tier-3"]
    assert '# In the source: "Web Tier".' in result.text
    assert '# In the source: "web-tier".' not in result.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Waves": []}, "recoveryPlans[0].Waves: has no wave"),
        ({"Waves": "all"}, "recoveryPlans[0].Waves: expected a list, found"),
        ({"PlanName": ["x"]}, "recoveryPlans[0].PlanName: expected text, found a list"),
        (
            {"Waves": [{"WaveName": "x", "ProtectionGroupId": "pg-0"}]},
            'recoveryPlans[0].Waves[0].ProtectionGroupId: there is no group "pg-0"',
        ),
        (
            {"Waves": [{"WaveName": "x", "ProtectionGroupId": "pg-0", "ServerIds": []}]},
            'recoveryPlans[0].Waves[0].ProtectionGroupId: there is no group "pg-0"',
        ),
        ({"Waves": [{"WaveName": "x"}]}, "recoveryPlans[0].Waves[0].protectionGroupId: is missing"),
        (
            {"Waves": [{"WaveName": "x", "ProtectionGroupId": "pg-7", "ServerIds": ["s-1"]}]},
            "recoveryPlans[0].Waves[0]: expected a DRS source server id",
        ),
        (
            {"Waves": [{"WaveName": name, "ProtectionGroupId": "pg-7"} for name in "xy"]},
            "a server stands in one wave, once",
        ),
        (
            {"Waves": [{"WaveName": "x", "ProtectionGroupId": "pg-7", "PauseBeforeWave": "perhaps"}]},
            "recoveryPlans[0].Waves[0].PauseBeforeWave: expected true or false",
        ),
    ],
)
def test_bad_input_is_refused_with_its_place(bring, changes: dict[str, Any], expected: str) -> None:
    result = bring("orchestrator", early(**changes))
    assert result.status == 1
    assert result.plans == {}
    assert expected in result.said("problems")


def test_a_group_without_servers_is_refused(bring) -> None:
    document = copy.deepcopy(EARLY)
    document["protectionGroups"][0]["SourceServerIds"] = []
    assert "protectionGroups[0]: has neither servers nor selection tags" in bring("orchestrator", document).said(
        "problems"
    )


def test_groups_of_several_regions_and_accounts_are_targets(bring) -> None:
    document = copy.deepcopy(EARLY)
    document["protectionGroups"][1]["Region"] = "eu-west-1"
    (plan,) = bring("orchestrator", document).plans.values()
    assert {wave.target for wave in plan.waves} == {"eu-central-1", "eu-west-1"} == set(plan.targets)
    assert plan.target is None
    document["protectionGroups"][1]["AccountId"] = "210987654321"
    result = bring("orchestrator", document, options=("--force",))
    (plan,) = result.plans.values()
    abroad = plan.targets["210987654321-eu-west-1"]
    assert (abroad.region, abroad.aws_conn_id, abroad.account) == ("eu-west-1", "aws_210987654321", "210987654321")
    assert "make the Airflow connection aws_210987654321" in result.said("decided")


def test_a_wave_of_two_regions_is_refused(bring) -> None:
    document = copy.deepcopy(EARLY)
    document["protectionGroups"][1]["Region"] = "eu-west-1"
    for wave in document["recoveryPlans"][0]["Waves"]:
        wave["protectionGroupIds"] = [group["GroupId"] for group in document["protectionGroups"]]
    assert "a wave is launched in one account and region" in bring("orchestrator", document).said("problems")


def test_without_a_region_it_is_asked_for(bring) -> None:
    document = copy.deepcopy(EARLY)
    for group in document["protectionGroups"]:
        del group["Region"]
    assert "--region" in bring("orchestrator", document).said("problems")
    assert bring("orchestrator", document, options=("--region", "us-west-1")).plan.target.region == "us-west-1"


def test_what_has_no_counterpart_is_reported(bring) -> None:
    document = early(Wobble={"a": 1}, RTO=60)
    document["protectionGroups"].append({"GroupId": "pg-9", "GroupName": "idle", "SourceServerIds": [C]})
    result = bring("orchestrator", document)
    left_out = result.said("left_out")
    assert "recoveryPlans[0].Wobble" in left_out
    assert "60 has no unit" in left_out
    assert f'no wave has the whole group "idle", which selects {C}' in left_out
    assert result.plan.objectives.rto is None


def test_a_plan_that_no_file_can_hold_is_refused(bring) -> None:
    waves = [
        {"WaveName": f"w{number}", "ServerIds": [f"s-{number:08d}{place:09d}" for place in range(200)]}
        for number in range(100)
    ]
    result = bring("orchestrator", {"PlanId": "x", "PlanName": "huge", "Region": "us-west-2", "Waves": waves})
    assert result.status == 1
    assert "split the plan" in result.said("problems")


WAVE_OF_A_RUN = {"waveNumber": 0, "waveName": "Wave 1", "status": "COMPLETED", "serverIds": [A]}


@pytest.mark.parametrize(
    "record",
    [
        {"executionId": "e-1", "executionType": "DRILL", "status": "POLLING", "planName": "x", "totalWaves": 3},
        {"ExecutionId": "e-1", "PlanName": "x", "Status": "COMPLETED"},
        {"planName": "x", "waves": [{**WAVE_OF_A_RUN, "jobId": "drsjob-1"}]},
    ],
    ids=["late", "early", "by its waves"],
)
def test_the_record_of_a_run_is_no_plan(bring, record: dict[str, Any]) -> None:
    """Its waves are those that the run came to: what it never reached would be lost."""
    found = bring("orchestrator", {"waves": [WAVE_OF_A_RUN], **record})
    assert (found.status, found.plans) == (1, {})
    assert "is a record of a run, not a plan" in found.said("problems")


def test_a_plan_may_hold_its_groups(bring) -> None:
    found = bring("orchestrator", {**EARLY["recoveryPlans"][0], "ProtectionGroups": GROUPS})
    assert found.graph() == {"ledger": [], "portal": ["ledger"]}
    assert found.plan.target.region == "eu-central-1"


def test_a_groups_launch_settings_become_those_of_the_plan(bring) -> None:
    document = copy.deepcopy(EARLY)
    document["protectionGroups"][0]["LaunchConfig"] = {
        "SubnetId": "subnet-0aaaaaaaaaaaaaaa1",
        "SecurityGroupIds": ["sg-0aaaaaaaaaaaaaaa1"],
        "InstanceType": "r7a.large",
        "InstanceProfileName": "drs-db",
        "CopyPrivateIp": False,
        "CopyTags": True,
        "LaunchDisposition": "STOPPED",
        "Licensing": {"osByol": True},
        "TargetInstanceTypeRightSizingMethod": "IN_AWS",
        "KeyName": "night",
    }
    document["protectionGroups"][1]["launchConfig"] = {"subnetId": "subnet-db-az1", "launchDisposition": "PAUSED"}
    result = bring("orchestrator", document)
    (ledger,) = (group.launch.given for group in result.plan.protection_groups.values())
    assert ledger == {
        "subnet": "subnet-0aaaaaaaaaaaaaaa1",
        "security_groups": ("sg-0aaaaaaaaaaaaaaa1",),
        "instance_type": ("r7a.large",),
        "instance_profile": "drs-db",
        "copy_private_ip": False,
        "copy_tags": True,
        "start": False,
        "byol": True,
        "right_sizing": "in_aws",
    }
    left_out = result.said("left_out")
    for text in ('"night"', '"subnet-db-az1": a plan does not take it', '"PAUSED": expected STARTED or STOPPED'):
        assert text in left_out
