"""The form that Airflow's UI shows when a person starts a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["run_params"]


def run_params(plan: RecoveryPlan) -> dict[str, Param]:
    """Return the run parameters of a plan's DAG, each with its form field.

    :param plan: the plan; its name and waves stand in the form.
    """
    waves = [wave.name for wave in plan.waves]
    return {
        "mode": Param(
            "drill",
            type="string",
            enum=["drill", "recovery"],
            title="Mode",
            values_display={"drill": "Drill: rehearse, then clean up", "recovery": "RECOVERY: the real thing"},
            description="A drill launches a copy of every server from the same launch template, so into the same "
            "subnet as a recovery, and terminates the copies afterwards. A recovery is real, and its instances stay.",
        ),
        "confirm": Param(
            "",
            type=["null", "string"],
            title="Confirm a real recovery",
            description=f"Only for a recovery: type the plan's name, {plan.name}.",
        ),
        "waves": Param(
            [],
            # Nullable, so that the form does not mark it as needed.
            type=["null", "array"],
            items={"type": "string", "enum": waves},
            examples=waves,
            title="Waves",
            description="The waves to run. Empty: all of them. Waves left out count as done.",
        ),
        "snapshot_time": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Point in time",
            description="Recover each server to its last snapshot at or before this time. Empty: the latest data.",
        ),
        "skip_scripts": Param(
            False,
            type="boolean",
            title="Skip scripts",
            description="Launch the servers without the scripts before and after each wave.",
        ),
        "keep_drill_instances": Param(
            False,
            type="boolean",
            title="Keep drill instances",
            description="Leave the instances of a drill running. You pay for them until you terminate them.",
        ),
        "stop_drill": Param(
            False,
            type="boolean",
            title="Stop a drill in progress",
            description="Only for a recovery: a drill of this plan that is in progress stops, terminates what it "
            "launched, and makes way. Otherwise the recovery waits for its end.",
        ),
        "override": Param(
            None,
            type=["null", "object"],
            properties={
                "findings": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "reason": {"type": "string", "minLength": 1},
            },
            required=["findings", "reason"],
            additionalProperties=False,
            title="Override preflight findings",
            description='Only for a recovery: go on although preflight found something, such as {"findings": '
            '["replication-lag"], "reason": "the source site is gone"}. It is recorded in the report.',
        ),
        "replace_instances": Param(
            [],
            type=["null", "array"],
            items={"type": "string", "pattern": "^i-[0-9a-f]{8}([0-9a-f]{9})?$"},
            title="Replace live instances",
            description="DRS deletes a server's previous instance when it launches the next one. Ids of instances that "
            "may go, such as i-0123456789abcdef0; without this, a server with a live instance of a recovery, or of "
            "another drill, is not launched. It is recorded in the report.",
        ),
        "take_over": Param(
            "",
            type=["null", "string"],
            maxLength=256,
            title="Take over an installation",
            description="Only when another Airflow is lost: its [drs_provider] installation. Jobs that it started for "
            "this plan, mode and run id count as this run's own.",
        ),
        "break_glass": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Break glass",
            description="Only for a recovery that no approver answers: the reason why it goes on without approvals. "
            "Counts only if you are one of the installation's break_glass_users. Everybody is notified, and it stands "
            "at the top of the report.",
        ),
    }
