"""Launch settings written into a plan file: in braces and in lines, with every comment where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs_provider.plan import load_plan
from drs_provider.plan.launch_editing import NotEditableError, with_launch_settings

ID = "s-0000000000000000"
PLAN = f"""\
# The shop.
version: 1
name: shop   # not the old one
target: {{region: us-west-2}}

waves:
  - name: db  # first
    # two of them
    servers:
      - {{id: {ID}1}}   # primary
      - id: {ID}2
        # a standby
        launch:
          subnet: subnet-0aaaaaaaaaaaaaaa1   # as the primary
          tags:
            Owner: dba   # them
          start: true

    health_checks: [{{type: ssm_online}}]
  # and then
  - {{name: web, servers: [{{id: {ID}3, launch: {{start: true}}}}]}}
# the end
"""
CHANGES = {
    (0, None): {"instance_type": ["r6i.large", "r5.large"], "copy_tags": True},
    (0, 0): {"private_ip": "10.0.1.15", "tags": {"Cost centre": "0815", "On": "yes"}},
    (0, 1): {"subnet": "subnet-0bbbbbbbbbbbbbbb1", "iops": 4000, "start": False},
    (1, 0): {"start": False, "byol": False},
    (1, None): {"instance_profile": "drs-db"},
}


def test_settings_stand_where_they_belong_and_comments_stay(tmp_path: Path) -> None:
    made = with_launch_settings(PLAN, CHANGES)
    assert (
        made
        == f"""\
# The shop.
version: 1
name: shop   # not the old one
target: {{region: us-west-2}}

waves:
  - name: db  # first
    launch: {{instance_type: [r6i.large, r5.large], copy_tags: true}}
    # two of them
    servers:
      - {{id: {ID}1, launch: {{private_ip: 10.0.1.15, tags: {{"Cost centre": "0815", "On": "yes"}}}}}}   # primary
      - id: {ID}2
        # a standby
        launch:
          subnet: subnet-0bbbbbbbbbbbbbbb1   # as the primary
          tags:
            Owner: dba   # them
          start: false
          iops: 4000

    health_checks: [{{type: ssm_online}}]
  # and then
  - {{name: web, servers: [{{id: {ID}3, launch: {{start: false, byol: false}}}}], launch: {{instance_profile: drs-db}}}}
# the end
"""
    )
    file = tmp_path / "plan.yaml"
    file.write_text(made)
    assert load_plan(file).plan.waves[0].servers[0].launch.tags == {"Cost centre": "0815", "On": "yes"}
    windows = with_launch_settings(PLAN.replace("\n", "\r\n"), CHANGES)
    assert windows == made.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # A value of several lines is replaced whole, and a comment in it would go.
        (PLAN.replace("Owner: dba", "Owner: a\n            # why\n            Team: x"), "a comment stands inside"),
        (PLAN.replace(f"- {{id: {ID}1}}", f"- &a {{id: {ID}1}}"), "waves[0].servers[0] is shared by an anchor"),
        (PLAN.replace("version: 1", "version: 1\nversion: 1"), "has errors"),
    ],
)
def test_what_a_machine_should_not_write_is_left_to_people(text: str, reason: str) -> None:
    with pytest.raises(NotEditableError) as refused:
        with_launch_settings(text, {(0, 0): {"start": True}, (0, 1): {"tags": {"Owner": "b"}}})
    assert reason in str(refused.value)
