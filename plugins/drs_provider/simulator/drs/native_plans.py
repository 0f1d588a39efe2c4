"""DRS's own recovery plans: at most 20 linear steps, each of servers or a wait."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from drs_provider.simulator.drs.exceptions import Conflict, NotFound, QuotaExceeded, Validation
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.timestamps import live_timestamp

__all__ = ["MAX_STEPS", "NativePlans", "PlanStep", "RecoveryPlan", "checked_configuration", "same_kind"]

MAX_STEPS = 20
_MAX_PLANS = 100


@dataclass
class PlanStep:
    """One step; its order is its place in the plan."""

    arn: str
    name: str
    configuration: dict[str, Any]
    created_at: float
    updated_at: float

    def describe(self, order: int) -> dict[str, Any]:
        """As GetRecoveryPlanStep shows it."""
        return {
            "recoveryPlanStepArn": self.arn,
            "stepOrder": order,
            "stepName": self.name,
            "configuration": self.configuration,
            "createdAt": live_timestamp(self.created_at),
            "updatedAt": live_timestamp(self.updated_at),
        }


@dataclass
class RecoveryPlan:
    """One native plan."""

    arn: str
    name: str
    description: str | None
    created_at: float
    updated_at: float
    tags: dict[str, str]
    steps: list[PlanStep] = field(default_factory=list)

    def server_ids(self) -> set[str]:
        """The ids of all its servers."""
        return {server_id for step in self.steps for server_id in step_server_ids(step.configuration)}


class NativePlans(Component):
    """The operations on plans and steps."""

    #: Answers to create calls by client token, so that a repeated call creates nothing.
    tokens: dict[tuple[str, str], str]

    def create_recovery_plan(self, request: Request) -> dict[str, Any]:
        """CreateRecoveryPlan; idempotent by `clientToken`."""
        known = self.by_token("plan", request)
        if known is None:
            if any(plan.name == request["name"] for plan in self.backend.plans.values()):
                raise Conflict(f"A recovery plan with the name {request['name']} exists")
            if len(self.backend.plans) >= _MAX_PLANS:
                raise QuotaExceeded(f"Maximum number of recovery plans ({_MAX_PLANS}) exceeded", quota_code="")
            now = self.backend.clock.now()
            known = self.arn("recovery-plan/rp-")
            self.backend.plans[known] = RecoveryPlan(
                known, request["name"], request.get("description"), now, now, dict(request.get("tags") or {})
            )
            self.remember("plan", request, known)
        return {"recoveryPlan": self._show_plan(self.plan(known))}

    def get_recovery_plan(self, request: Request) -> dict[str, Any]:
        """GetRecoveryPlan."""
        return {"recoveryPlan": self._show_plan(self.plan(request["recoveryPlanArn"]))}

    def list_recovery_plans(self, request: Request) -> dict[str, Any]:
        """ListRecoveryPlans."""

        def summary(plan: RecoveryPlan) -> dict[str, Any]:
            shown = self._show_plan(plan)
            return {name: shown[name] for name in ("recoveryPlanArn", "name", "status", "createdAt", "updatedAt")}

        return self.backend.paged(
            request, list(self.backend.plans.values()), lambda plan: plan.arn, summary, "recoveryPlans"
        )

    def update_recovery_plan(self, request: Request) -> dict[str, Any]:
        """UpdateRecoveryPlan: name, description."""
        plan = self.plan(request["recoveryPlanArn"])
        name = request.get("name", plan.name)
        if any(other.name == name and other is not plan for other in self.backend.plans.values()):
            raise Conflict(f"A recovery plan with the name {name} exists")
        plan.name, plan.description = name, request.get("description", plan.description)
        plan.updated_at = self.backend.clock.now()
        return {"recoveryPlan": self._show_plan(plan)}

    def delete_recovery_plan(self, request: Request) -> dict[str, Any]:
        """DeleteRecoveryPlan, unless it is being executed."""
        plan = self.plan(request["recoveryPlanArn"])
        self.refuse_executing(plan)
        del self.backend.plans[plan.arn]
        return {"recoveryPlanArn": plan.arn}

    def create_recovery_plan_step(self, request: Request) -> dict[str, Any]:
        """CreateRecoveryPlanStep: at `stepOrder`, moving those after it, or at the end."""
        plan = self.plan(request["recoveryPlanArn"])
        known = self.by_token(plan.arn, request)
        if known is None:
            if len(plan.steps) >= MAX_STEPS:
                raise QuotaExceeded(f"Maximum number of steps in a recovery plan ({MAX_STEPS}) exceeded", quota_code="")
            order = request.get("stepOrder", len(plan.steps) + 1)
            if order > len(plan.steps) + 1:
                raise Validation(f"stepOrder {order} leaves a gap: the plan has {len(plan.steps)} steps")
            configuration = self._allowed(plan, request["configuration"], None)
            now = self.backend.clock.now()
            known = f"{plan.arn}/step/rps-{uuid.uuid4().hex[:17]}"
            plan.steps.insert(order - 1, PlanStep(known, request["stepName"], configuration, now, now))
            plan.updated_at = now
            self.remember(plan.arn, request, known)
        return {"recoveryPlanStep": self._show_step(known)}

    def get_recovery_plan_step(self, request: Request) -> dict[str, Any]:
        """GetRecoveryPlanStep."""
        return {"recoveryPlanStep": self._show_step(request["recoveryPlanStepArn"])}

    def list_recovery_plan_steps(self, request: Request) -> dict[str, Any]:
        """ListRecoveryPlanSteps, in order."""
        steps = list(enumerate(self.plan(request["recoveryPlanArn"]).steps, 1))
        return self.backend.paged(
            request, steps, lambda item: item[1].arn, lambda item: item[1].describe(item[0]), "recoveryPlanSteps"
        )

    def update_recovery_plan_step(self, request: Request) -> dict[str, Any]:
        """UpdateRecoveryPlanStep: name or configuration; a step of servers never becomes a wait."""
        plan, step = self._step(request["recoveryPlanStepArn"])
        if request.get("configuration"):
            configuration = self._allowed(plan, request["configuration"], step)
            if not same_kind(configuration, step.configuration):
                raise Validation("The type of a step cannot be changed", reason="other")
            step.configuration = configuration
        step.name = request.get("stepName", step.name)
        step.updated_at = plan.updated_at = self.backend.clock.now()
        return {"recoveryPlanStep": self._show_step(step.arn)}

    def delete_recovery_plan_step(self, request: Request) -> dict[str, Any]:
        """DeleteRecoveryPlanStep."""
        plan, step = self._step(request["recoveryPlanStepArn"])
        self.refuse_executing(plan)
        plan.steps.remove(step)
        plan.updated_at = self.backend.clock.now()
        return {"recoveryPlanStepArn": step.arn}

    def reorder_recovery_plan_steps(self, request: Request) -> dict[str, Any]:
        """ReorderRecoveryPlanSteps: the whole list, each step once."""
        plan = self.plan(request["recoveryPlanArn"])
        steps = {step.arn: step for step in plan.steps}
        wanted = request["orderedStepArns"]
        if sorted(wanted) != sorted(steps):
            raise Validation("orderedStepArns must name every step of the plan exactly once")
        plan.steps = [steps[arn] for arn in wanted]
        plan.updated_at = self.backend.clock.now()
        return {"recoveryPlanSteps": [step.describe(order) for order, step in enumerate(plan.steps, 1)]}

    def plan(self, arn: str) -> RecoveryPlan:
        """A plan, or `NotFound`."""
        if arn not in self.backend.plans:
            raise NotFound("RecoveryPlan", arn)
        return self.backend.plans[arn]

    def plan_status(self, plan: RecoveryPlan) -> str:
        """ACTIVE, or INVALID where a server of it is gone."""
        return "ACTIVE" if plan.server_ids() <= set(self.backend.servers) else "INVALID"

    def refuse_executing(self, plan: RecoveryPlan) -> None:
        """Refuse while an execution of the plan has not ended."""
        for execution in self.backend.executions.values():
            if execution.plan_arn == plan.arn and not execution.ended:
                raise Conflict(f"Recovery plan {plan.arn} is being executed", resourceId=plan.arn)

    def _show_plan(self, plan: RecoveryPlan) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "recoveryPlanArn": plan.arn,
            "name": plan.name,
            "status": self.plan_status(plan),
            "createdAt": live_timestamp(plan.created_at),
            "updatedAt": live_timestamp(plan.updated_at),
            "tags": dict(plan.tags),
        }
        if plan.description is not None:
            shown["description"] = plan.description
        return shown

    def _show_step(self, arn: str) -> dict[str, Any]:
        plan, step = self._step(arn)
        return step.describe(plan.steps.index(step) + 1)

    def _step(self, arn: str) -> tuple[RecoveryPlan, PlanStep]:
        for plan in self.backend.plans.values():
            for step in plan.steps:
                if step.arn == arn:
                    return plan, step
        raise NotFound("RecoveryPlanStep", arn)

    def _allowed(self, plan: RecoveryPlan, configuration: Request, own: PlanStep | None) -> dict[str, Any]:
        """The configuration with defaults in place: known servers, each in one step of the plan only."""
        checked = checked_configuration(configuration)
        elsewhere = {one for step in plan.steps if step is not own for one in step_server_ids(step.configuration)}
        for server_id in step_server_ids(checked):
            self.backend.server(server_id)
            if server_id in elsewhere:
                raise Validation(f"Source server {server_id} stands in another step of the plan", reason="other")
        return checked

    def by_token(self, scope: str, request: Request) -> str | None:
        return self.backend.tokens.get((scope, request.get("clientToken") or ""))

    def remember(self, scope: str, request: Request, arn: str) -> None:
        if request.get("clientToken"):
            self.backend.tokens[scope, request["clientToken"]] = arn

    def arn(self, prefix: str) -> str:
        return f"arn:aws:drs:{self.backend.region_name}:{self.backend.account_id}:{prefix}{uuid.uuid4().hex[:17]}"


def checked_configuration(configuration: Request) -> dict[str, Any]:
    """A step's configuration: servers or a wait, and not both.

    :raises Validation: it is neither, both, or names a server twice.
    """
    servers = (configuration.get("serverStepConfiguration") or {}).get("servers")
    wait = configuration.get("waitStepConfiguration")
    if servers is None and wait is not None:
        return {"waitStepConfiguration": {"waitDurationMinutes": wait["waitDurationMinutes"]}}
    if servers is None or wait is not None:
        raise Validation("A step has either a serverStepConfiguration or a waitStepConfiguration")
    if len({server["serverArn"] for server in servers}) != len(servers):
        raise Validation("A source server may stand in a step only once")
    return {
        "serverStepConfiguration": {
            "servers": [
                {"serverArn": server["serverArn"], "impactLevel": server.get("impactLevel") or "CRITICAL"}
                for server in servers
            ]
        }
    }


def step_server_ids(configuration: Request) -> list[str]:
    """The ids of the servers of a step, none for a wait."""
    servers = (configuration.get("serverStepConfiguration") or {}).get("servers") or []
    return [server["serverArn"].rsplit("/", 1)[1] for server in servers]


def same_kind(one: Request, other: Request) -> bool:
    """Whether both are servers, or both a wait."""
    return set(one) == set(other)
