"""What has to be changed in an account until it has a recovery plan of DRS as wanted; nothing, the second time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drs_provider.exporters.drs_native import NativePlan, NativeStep
from drs_provider.importers.drs_native import find_native_plan, native_steps

__all__ = ["NativeChanges", "apply_changes", "find_changes"]


@dataclass(frozen=True)
class NativeChanges:
    """The way from what an account has to what is wanted.

    :param arn: the plan of that name, None where there is none yet.
    :param describe: whether its description has to change.
    :param delete: its steps that are not wanted as they are, as ListRecoveryPlanSteps shows them.
    :param create: steps that it does not have.
    :param reorder: whether the steps that stay stand in another order.
    """

    arn: str | None
    describe: bool
    delete: tuple[Mapping[str, Any], ...]
    create: tuple[NativeStep, ...]
    reorder: bool

    def lines(self) -> list[str]:
        """Return the changes in words; empty where the account has the plan as wanted."""
        found = [] if self.arn else ["create the recovery plan"]
        found += ["change its description"] if self.describe else []
        found += [f"delete the step {step['stepName']}" for step in self.delete]
        found += [f"create the step {step.name}" for step in self.create]
        return found + (["put the steps into their order"] if self.reorder else [])


def find_changes(drs: Any, wanted: NativePlan) -> NativeChanges:
    """Compare the account with what is wanted.

    :param drs: a boto3 client of DRS that knows recovery plans.
    :param wanted: the plan; its name says which.
    """
    found = find_native_plan(drs, wanted.name)
    if found is None:
        return NativeChanges(None, False, (), wanted.steps, False)
    left = Counter(_identity(step.name, step.configuration) for step in wanted.steps)
    kept, delete = [], []
    for step in native_steps(drs, found["recoveryPlanArn"]):
        identity = _identity(step["stepName"], step["configuration"])
        if left[identity]:
            left[identity] -= 1
            kept.append(identity)
        else:
            delete.append(step)
    create = []
    for wanted_step in wanted.steps:
        identity = _identity(wanted_step.name, wanted_step.configuration)
        if left[identity]:
            left[identity] -= 1
            create.append(wanted_step)
    after = [*kept, *(_identity(step.name, step.configuration) for step in create)]
    order = [_identity(step.name, step.configuration) for step in wanted.steps]
    describe = (found.get("description") or "") != wanted.description
    return NativeChanges(found["recoveryPlanArn"], describe, tuple(delete), tuple(create), after != order)


def apply_changes(drs: Any, wanted: NativePlan, changes: NativeChanges) -> str:
    """Make the changes, and return the plan's ARN.

    Steps are deleted before others are created: a server stands in one step of a plan only. If it breaks off, the same
    call again goes on from what is there.

    :raises botocore.exceptions.ClientError: AWS refuses; ConflictException while the plan is being executed.
    """
    arn = changes.arn
    if arn is None:
        arn = str(
            drs.create_recovery_plan(name=wanted.name, description=wanted.description)["recoveryPlan"][
                "recoveryPlanArn"
            ]
        )
    if changes.describe:
        drs.update_recovery_plan(recoveryPlanArn=arn, description=wanted.description)
    for step in changes.delete:
        drs.delete_recovery_plan_step(recoveryPlanStepArn=step["recoveryPlanStepArn"])
    for new in changes.create:
        drs.create_recovery_plan_step(recoveryPlanArn=arn, stepName=new.name, configuration=dict(new.configuration))
    if changes.reorder:
        by_identity: dict[str, list[str]] = {}
        for step in native_steps(drs, arn):
            identity = _identity(step["stepName"], step["configuration"])
            by_identity.setdefault(identity, []).append(step["recoveryPlanStepArn"])
        ordered = [by_identity[_identity(step.name, step.configuration)].pop(0) for step in wanted.steps]
        drs.reorder_recovery_plan_steps(recoveryPlanArn=arn, orderedStepArns=ordered)
    return arn


def _identity(name: str, configuration: Mapping[str, Any]) -> str:
    """A step as text that is equal for equal steps: the order of its servers says nothing, CRITICAL is the default."""
    servers = (configuration.get("serverStepConfiguration") or {}).get("servers")
    if servers is None:
        return json.dumps([name, configuration.get("waitStepConfiguration")], sort_keys=True)
    return json.dumps([name, sorted([each["serverArn"], each.get("impactLevel") or "CRITICAL"] for each in servers)])
