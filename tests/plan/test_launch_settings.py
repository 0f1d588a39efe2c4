"""Launch settings of a plan: whose they are, what they may be, and where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from drs_provider.plan import PlanError, RecoveryPlan, dump_plan, load_plan, plan_hash
from drs_provider.plan.launch import LAUNCH_KEYS
from drs_provider.plan.launch_origins import LaunchOrigins
from drs_provider.plan.warnings import remarks

SUBNET, GROUP = "subnet-0aaaaaaaaaaaaaaa1", "sg-0aaaaaaaaaaaaaaa1"
HEAD = "version: 1\nname: shop\ntarget: {region: us-west-2}\n"
ID = "s-0000000000000000"

EVERY_KEY = {
    "instance_type": ["r6i.4xlarge", "r5.4xlarge"],
    "right_sizing": "none",
    "subnet": {"tags": {"Tier": "db"}},
    "security_groups": [GROUP, {"tags": {"Tier": "db"}}],
    "instance_profile": "drs-db",
    "private_ip": "10.0.1.15",
    "copy_private_ip": False,
    "public_ip": False,
    "copy_tags": True,
    "tags": {"Owner": "dba"},
    "start": True,
    "byol": False,
    "recovery_mode": "fast",
    "volume_type": "gp3",
    "iops": 4000,
    "throughput": 250,
    "metadata_tokens": "required",
    "tenancy": "default",
    "launch_into": "i-0123456789abcdef0",
    "post_launch_actions": False,
}

one_place = st.fixed_dictionaries(
    {},
    optional={
        "instance_type": st.sampled_from(["t3.large", ["r6i.large", "r5.large"]]),
        "subnet": st.sampled_from([SUBNET, {"tags": {"Tier": "web"}}]),
        "start": st.booleans(),
        "tags": st.dictionaries(st.sampled_from(["A", "B"]), st.just("x"), min_size=1),
        "iops": st.integers(100, 500),
        "post_launch_actions": st.sampled_from([False, "reported", "required"]),
    },
)


def plan_of(server: Any = None, wave: Any = None, group: Any = None, defaults: Any = None) -> dict[str, Any]:
    """A plan with a wave of a group of two and of a server, with launch settings at each place that is given."""
    return {
        "version": 1,
        "name": "shop",
        "target": {"region": "us-west-2"},
        "defaults": {} if defaults is None else {"launch": defaults},
        "protection_groups": {
            "web": {"servers": [ID + "1", ID + "2"]} | ({} if group is None else {"launch": group}),
        },
        "waves": [
            {
                "name": "web",
                "servers": [{"group": "web"}, {"id": ID + "3"} | ({} if server is None else {"launch": server})],
                **({} if wave is None else {"launch": wave}),
            }
        ],
    }


@settings(max_examples=25, deadline=None)
@given(one_place, one_place, one_place, one_place, one_place)
def test_the_most_exact_place_wins_key_by_key(server: Any, entry: Any, group: Any, wave: Any, defaults: Any) -> None:
    data = plan_of(server, wave, group, defaults)
    data["waves"][0]["servers"][0]["launch"] = entry
    plan = RecoveryPlan.model_validate(data)
    first, second, alone = plan.selectors(plan.waves[0])
    as_given = RecoveryPlan.model_validate(data | {"defaults": {"launch": defaults | wave | group | entry}})
    assert first.launch == second.launch == as_given.defaults.launch
    assert (
        alone.launch
        == as_given.model_validate(data | {"defaults": {"launch": defaults | wave | server}}).defaults.launch
    )
    # What a run records, and what an importer writes, means the same.
    again = RecoveryPlan.model_validate(plan.model_dump(mode="json"))
    assert (
        plan_hash(again) == plan_hash(plan) == plan_hash(RecoveryPlan.model_validate(yaml.safe_load(dump_plan(plan))))
    )


def test_every_key_can_be_given_and_absent_settings_leave_the_hash(tmp_path: Path) -> None:
    assert set(EVERY_KEY) == set(LAUNCH_KEYS)
    plain = RecoveryPlan.model_validate(plan_of())
    assert plan_hash(RecoveryPlan.model_validate(plan_of({}, {}, {}, {}))) == plan_hash(plain)
    assert "launch" not in dump_plan(plain)
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan_of(EVERY_KEY | {"copy_tags": False})))
    loaded = load_plan(file)
    launch = loaded.plan.selectors(loaded.plan.waves[0])[2].launch
    assert launch.given.keys() == set(LAUNCH_KEYS)
    assert (launch.instance_type, launch.post_launch_actions) == (("r6i.4xlarge", "r5.4xlarge"), False)
    assert loaded.hash != plan_hash(plain)
    assert loaded.is_recorded(loaded.record())


WAVE = HEAD + "waves:\n  - name: db\n    servers:\n"
SERVER = WAVE + f"      - id: {ID}1\n        launch: "
TWO = WAVE + f"      - {{id: {ID}1, launch: {{private_ip: 10.0.1.15}}}}\n"

CASES = [
    (SERVER + "{instance_typ: t3.large}\n", 8, "servers[0].launch.instance_typ", "did you mean instance_type?"),
    (SERVER + "{instance_type: large}\n", 8, "waves[0].servers[0].launch.instance_type[0]", "type such as r6i.4xlarge"),
    (SERVER + "{instance_type: [t3.large, t3.large]}\n", 8, "launch.instance_type[1]", "is here twice"),
    (SERVER + "{subnet: sg-0aaaaaaaaaaaaaaa1}\n", 8, "launch.subnet", "expected a subnet id"),
    (SERVER + "{subnet: {tags: {A: b}, x: y}}\n", 8, "launch.subnet.x", "unknown key x"),
    (SERVER + "{security_groups: [subnet-0aaaaaaaaaaaaaaa1]}\n", 8, "launch.security_groups[0]", "a security group id"),
    (SERVER + "{private_ip: 10.0.1}\n", 8, "launch.private_ip", "is not an IPv4 address such as 10.0.1.15"),
    (SERVER + "{right_sizing: full}\n", 8, "launch.right_sizing", "expected none, basic or in_aws"),
    (SERVER + "{post_launch_actions: true}\n", 8, "launch.post_launch_actions", "expected false, reported or required"),
    (SERVER + "{private_ip: 10.0.1.15, copy_private_ip: true}\n", 8, "launch.copy_private_ip", "exclude each other"),
    (SERVER + "{tags: {'aws:x': y}}\n", 8, "launch.tags.aws:x", "begins with aws: is not a plan's to set"),
    (SERVER + "{tags: {AWSElasticDisasterRecoveryManaged: y}}\n", 8, "launch.tags.AWSE", "is not a plan's to set"),
    (SERVER + "{volume_type: gp2, iops: 3000}\n", 8, "launch.iops", "gp2 volumes have no iops"),
    (SERVER + "{volume_type: io2, throughput: 250}\n", 8, "launch.throughput", "io2 volumes have no throughput"),
    (SERVER + "{launch_into: i-0123456789abcdef0, copy_tags: true}\n", 8, "launch.launch_into",
     "launch_into needs copy_tags: false"),
    # Over several places.
    (SERVER + "{private_ip: 10.0.1.15}\ndefaults: {launch: {copy_private_ip: true}}\n", 8, "waves[0].servers[0].launch."
     "private_ip", "write copy_private_ip: false beside private_ip"),
    (TWO + f"      - {{id: {ID}2, launch: {{private_ip: 10.0.1.15}}}}\n", 8, "waves[0].servers[1].launch.private_ip",
     "private_ip 10.0.1.15 is here twice"),
    (TWO + "    launch: {private_ip: 10.0.1.16}\n", 8, "waves[0].launch.private_ip", "belongs to one server"),
    (WAVE + "      - {tags: {A: b}, launch: {private_ip: 10.0.1.16}}\n", 7, "waves[0].servers[0].launch.private_ip",
     "belongs to one server, and stands at a selection by tags"),
    (TWO + "defaults: {launch: {launch_into: i-0123456789abcdef0}}\n", 8, "defaults.launch.launch_into", "one server"),
    (TWO + "protection_groups: {a: {tags: {A: b}, launch: {private_ip: 10.0.1.9}}}\n", 8,
     "protection_groups.a.launch.private_ip", "stands at the group a"),
    (TWO + "    subnet: subnet-0aaaaaaaaaaaaaaa1\n", 8, "waves[0].subnet", "write it as subnet under launch"),
    (TWO + "    instanceType: t3.large\n", 8, "waves[0].instanceType", "write it as instance_type under launch"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "path", "message"), CASES)
def test_what_is_refused_is_named_with_line_and_key_path(
    problems_of: Any, text: str, line: int, path: str, message: str
) -> None:
    problems = problems_of(text)
    assert [problem.line for problem in problems] == [line], problems
    assert path in problems[0].path
    assert message in problems[0].message


def test_what_is_allowed_although_it_looks_alike(tmp_path: Path) -> None:
    def valid(text: str) -> None:
        (tmp_path / "plan.yaml").write_text(text)
        load_plan(tmp_path / "plan.yaml")

    subnets = [f"{{private_ip: 10.0.1.15, subnet: subnet-0aaaaaaaaaaaaaaa{number}}}" for number in (1, 2)]
    # Two networks with the same addresses; a group of one server; the more exact place takes the copy back.
    valid(WAVE + "".join(f"      - {{id: {ID}{number}, launch: {at}}}\n" for number, at in enumerate(subnets)))
    group = f"protection_groups: {{a: {{servers: [{ID}1], launch: {{private_ip: 10.0.1.9}}}}}}\n"
    valid(WAVE + "      - group: a\n" + group)
    both = "{private_ip: 10.0.1.15, copy_private_ip: false}"
    valid(SERVER + both + "\ndefaults: {launch: {copy_private_ip: true}}\n")


def test_each_setting_knows_its_line_and_what_deserves_a_second_look_is_said_once(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        HEAD + "defaults: {launch: {copy_tags: true}}\n"
        "protection_groups:\n"
        f"  web: {{servers: [{ID}1], launch: {{start: false}}}}\n"
        "waves:\n"
        "  - name: db\n"
        "    launch:\n"
        "      right_sizing: basic\n"
        "      instance_type: t3.large\n"
        "    servers:\n"
        "      - group: web\n"
        f"      - {{id: {ID}2, launch: {{byol: true, copy_tags: false}}}}\n"
    )
    load_plan(file)
    origins = LaunchOrigins(file)
    assert origins.of(0, 0, "copy_tags") == (4, "defaults.launch.copy_tags")
    assert origins.of(0, 1, "copy_tags") == (14, "waves[0].servers[1].launch.copy_tags")
    assert origins.of(0, 0, "start") == (6, "protection_groups.web.launch.start")
    assert origins.of(0, 1, "right_sizing") == (10, "waves[0].launch.right_sizing")
    assert origins.of(0, 1, "start") is None
    said = [(each.line, each.message) for each in remarks(file)]
    assert said == [
        (11, "right_sizing: basic overwrites instance_type within 90 minutes: write right_sizing: none"),
        (14, "byol: true on a Windows server needs tenancy: host"),
    ]


def test_settings_over_each_other_may_not_contradict_in_code_either() -> None:
    with pytest.raises(ValueError, match="belongs to one server"):
        RecoveryPlan.model_validate(plan_of(wave={"private_ip": "10.0.1.15"}))
    with pytest.raises(PlanError):
        load_plan("does-not-exist.yaml")
