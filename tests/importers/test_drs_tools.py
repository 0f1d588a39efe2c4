"""Applications of the plan automation of the AWS DRS tools."""

from __future__ import annotations

import copy
from typing import Any

import pytest

TOPIC = "arn:aws:sns:eu-west-3:123456789012:dr"
APPLICATION: dict[str, Any] = {
    "AppId": "11",
    "AppName": "Till",
    "KeyName": "app",
    "KeyValue": "till",
    "Owner": "retail",
    "AccountId": "123456789012",
    "Region": "eu-west-3",
    "SnsTopic": TOPIC,
    "Plans": [
        {
            "PlanId": "1",
            "PlanName": "full",
            "RPO": "300",
            "RTO": 3600,
            "Waves": [
                {
                    "Name": "stock",
                    "KeyName": "tier",
                    "KeyValue": "stock",
                    "MaxWaitTime": 2700,
                    "UpdateTime": 30,
                    "PreWaveActions": [
                        {
                            "Name": "Fence it",
                            "MaxWaitTime": "120",
                            "UpdateTime": 10,
                            "StartAutomationExecution": {
                                "DocumentName": "Till-Fence",
                                "Parameters": {"Zone": ["a", "b"], "Count": [2], "Force": [True]},
                                "MaxConcurrency": "2",
                            },
                        }
                    ],
                    "PostWaveActions": [],
                },
                {
                    "Name": "shop",
                    "KeyName": "tier",
                    "KeyValue": "shop",
                    "MaxWaitTime": 90.5,
                    "PostWaveActions": [
                        {"Name": "warm", "StartAutomationExecution": {"DocumentName": "Till-Warm"}},
                        {"Name": "warm", "StartAutomationExecution": {"DocumentName": "Till-WarmMore"}},
                    ],
                },
            ],
        }
    ],
}


def application(**changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(APPLICATION)
    document["Plans"][0]["Waves"][1].update(changes)
    return document


def test_an_application(bring) -> None:
    result = bring("drs-tools", [APPLICATION])
    plan = result.plan
    assert (plan.name, plan.owner, plan.target.region) == ("till-full", "retail", "eu-west-3")
    assert plan.objectives.rto.total_seconds() == 3600
    assert plan.objectives.rpo.total_seconds() == 300
    assert [note.sns for note in plan.notify] == [TOPIC]
    stock, shop = plan.waves
    assert stock.servers[0].tags == {"app": "till", "tier": "stock"}, "a server must bear both tags"
    assert shop.depends_on == ("stock",)
    assert stock.launch_timeout.total_seconds() == 2700
    assert shop.launch_timeout.total_seconds() == 91, "a limit is rather longer than shorter"
    (fence,) = stock.pre_launch
    assert (fence.name, fence.automation, fence.timeout.total_seconds()) == ("fence-it", "Till-Fence", 120)
    assert fence.parameters == {"Zone": ("a", "b"), "Count": ("2",), "Force": ("true",)}
    assert [script.name for script in shop.post_launch] == ["warm", "warm-2"]
    left_out = result.said("left_out")
    assert "Plans[0].Waves[0].UpdateTime" in left_out
    assert "MaxConcurrency" in left_out
    assert "# Not carried over: " in result.text
    assert "AccountId" in left_out
    assert "read as seconds" in result.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KeyName": "app", "KeyValue": "other"}, "no server has both"),
        ({"KeyValue": None}, "[0].Plans[0].Waves[1].KeyValue: is missing"),
        ({"MaxWaitTime": -1}, "Waves[1].MaxWaitTime: -1 seconds"),
        ({"MaxWaitTime": "soon"}, 'Waves[1].MaxWaitTime: expected a number, found "soon"'),
        ({"PreWaveActions": [{"Name": "x"}]}, "PreWaveActions[0].StartAutomationExecution: is missing"),
        (
            {"PreWaveActions": [{"Name": "x", "StartAutomationExecution": {"DocumentName": "a b"}}]},
            "PreWaveActions[0]: expected the name or the ARN of an SSM document",
        ),
        (
            {"PreWaveActions": [{"StartAutomationExecution": {"DocumentName": "abc", "Parameters": {"P": [{}]}}}]},
            "Parameters.P: expected a text",
        ),
    ],
)
def test_bad_input_is_refused_with_its_place(bring, changes: dict[str, Any], expected: str) -> None:
    result = bring("drs-tools", [application(**changes)])
    assert result.status == 1
    assert result.plans == {}
    assert expected in result.said("problems")


def test_the_same_tag_on_application_and_wave_is_one(bring) -> None:
    document = copy.deepcopy(APPLICATION)
    document["Plans"][0]["Waves"] = [{"Name": "all", "KeyName": "app", "KeyValue": "till"}]
    assert bring("drs-tools", document).plan.waves[0].servers[0].tags == {"app": "till"}


def test_another_shape_is_named(bring) -> None:
    assert "is no application" in bring("drs-tools", {"planId": "x", "waves": []}).said("problems")
