"""A plan written as a plan file, with comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drs_provider.plan import RecoveryPlan, dump_plan, load_plan
from tests.plan.test_properties import plans


def test_a_comment_stands_above_its_key_or_item(data: dict[str, Any]) -> None:
    data["waves"][1]["approval"] = {"message": "Go?"}
    text = dump_plan(
        RecoveryPlan.model_validate(data),
        {
            (): ["of the file"],
            ("target", "region"): ["of the region"],
            ("waves", 1): ["of the wave", "and more"],
            ("waves", 1, "approval"): ["of the approval"],
            ("waves", 1, "approval", "message"): ["of the message"],
            ("waves", 0, "settle"): ["of what is not there"],
        },
    )
    lines = text.splitlines()
    assert lines[1:3] == ["# of the file", "version: 1"]
    assert lines[lines.index("  # of the region") + 1] == "  region: us-west-2"
    place = lines.index("  # of the wave")
    assert lines[place : place + 3] == ["  # of the wave", "  # and more", "  - name: app"]
    assert lines[lines.index("    # of the approval") + 1] == "    approval:"
    assert lines[lines.index("      # of the message") + 1] == "      message: Go?"
    assert lines[lines.index("  # of what is not there") + 1] == "  - name: db"


def test_a_long_comment_is_wrapped_and_a_word_never(data: dict[str, Any]) -> None:
    arn = "arn:aws:drs:us-west-2:123456789012:recovery-plan/rp-" + "0" * 90
    text = dump_plan(RecoveryPlan.model_validate(data), {(): [f"word {'and more ' * 20}{arn} end"]})
    assert arn in text
    assert all(len(line) <= 110 or arn in line for line in text.splitlines())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plans(),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=3) | st.just(["\n- x: y"]),
)
def test_whatever_a_comment_says_the_plan_stays_what_it_is(
    tmp_path: Path, data: dict[str, Any], remarks: list[str]
) -> None:
    plan = RecoveryPlan.model_validate(data)
    path = tmp_path / "plan.yaml"
    paths = [("waves", number) for number in range(len(plan.waves))]
    path.write_text(dump_plan(plan, {(): remarks, ("name",): remarks, **dict.fromkeys(paths, remarks)}))
    assert yaml.safe_load(path.read_text()) is not None
    again = load_plan(path).plan
    assert again.model_dump(exclude={"defaults"}) == plan.model_dump(exclude={"defaults"})
