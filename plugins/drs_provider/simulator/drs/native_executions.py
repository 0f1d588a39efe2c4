"""Executions of DRS's own recovery plans: steps one after the other; skip, retry, cancel.

A step of servers starts one job, and fails where a CRITICAL server was not launched. A failed step fails the execution;
retrying or skipping the step takes it up again. What was launched is never cleaned up.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from drs_provider.simulator import call_context, permissions
from drs_provider.simulator.clock import Timer
from drs_provider.simulator.drs.exceptions import Conflict, DrsError, NotFound, Validation
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.native_plans import checked_configuration, same_kind, step_server_ids
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.timestamps import live_timestamp

__all__ = ["Execution", "ExecutionStep", "NativeExecutions"]

_ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
_TO_START = 1.0


@dataclass
class ExecutionStep:
    """One step of an execution, which began as a copy of the plan's."""

    arn: str
    name: str
    configuration: dict[str, Any]
    created_at: float
    updated_at: float
    status: str = "NOT_STARTED"
    attempt: int = 1
    error: tuple[str, str] | None = None
    job_id: str | None = None

    def describe(self, index: int) -> dict[str, Any]:
        """As GetRecoveryPlanExecutionStep shows it."""
        return {
            **self.summary(index),
            "attempt": self.attempt,
            "createdAt": live_timestamp(self.created_at),
            "updatedAt": live_timestamp(self.updated_at),
        }

    def summary(self, index: int) -> dict[str, Any]:
        """As ListRecoveryPlanExecutionSteps shows it."""
        shown: dict[str, Any] = {
            "recoveryPlanExecutionStepArn": self.arn,
            "stepName": self.name,
            "stepIndex": index,
            "status": self.status,
            "configuration": self._shown_configuration(),
        }
        if self.error:
            shown["errorDetail"] = {"code": self.error[0], "message": self.error[1]}
        return shown

    def _shown_configuration(self) -> dict[str, Any]:
        if "waitStepConfiguration" in self.configuration:
            return self.configuration
        job = {"jobID": self.job_id} if self.job_id else {}
        servers = self.configuration["serverStepConfiguration"]["servers"]
        return {"executionServerStepConfiguration": {"servers": [{**server, **job} for server in servers]}}


@dataclass
class Execution:
    """One execution of a plan."""

    arn: str
    plan_arn: str
    mode: str
    started_at: float
    tags: dict[str, str]
    moments: dict[str, float]
    steps: list[ExecutionStep]
    status: str = "CREATED"
    completed_at: float | None = None
    error: tuple[str, str] | None = None
    timer: Timer | None = None
    #: Whoever started it, and with whose permissions its jobs launch.
    who: permissions.Caller | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in _ENDED

    def describe(self) -> dict[str, Any]:
        """As GetRecoveryPlanExecution shows it."""
        shown = {**self.summary(), "tags": dict(self.tags)}
        if self.completed_at is not None:
            shown["completedAt"] = live_timestamp(self.completed_at)
        return shown

    def summary(self) -> dict[str, Any]:
        """As ListRecoveryPlanExecutions shows it."""
        shown: dict[str, Any] = {
            "recoveryPlanExecutionArn": self.arn,
            "recoveryPlanArn": self.plan_arn,
            "mode": self.mode,
            "status": self.status,
            "startedAt": live_timestamp(self.started_at),
        }
        if self.error:
            shown["errorDetail"] = {"code": self.error[0], "message": self.error[1]}
        return shown


class NativeExecutions(Component):
    """The operations on executions."""

    def start_recovery_plan_execution(self, request: Request) -> dict[str, Any]:
        """StartRecoveryPlanExecution; one execution of a plan at a time; idempotent by `clientToken`."""
        plan = self.backend.native_plans.plan(request["recoveryPlanArn"])
        known = self.backend.native_plans.by_token(f"execution/{plan.arn}", request)
        if known is not None:
            return {"recoveryPlanExecution": self.execution(known).describe()}
        self.backend.native_plans.refuse_executing(plan)
        if not plan.steps or self.backend.native_plans.plan_status(plan) != "ACTIVE":
            raise Conflict(f"Recovery plan {plan.arn} has no steps, or is not valid", resourceId=plan.arn)
        moments = {}
        for entry in request.get("sourceServers") or ():
            if entry["sourceServerID"] not in plan.server_ids():
                raise Validation(f"Source server {entry['sourceServerID']} is not in the plan", reason="other")
            moments[entry["sourceServerID"]] = self.backend.recoveries.moment(
                entry["sourceServerID"], entry["recoverySnapshotID"]
            )
        now = self.backend.clock.now()
        arn = self.backend.native_plans.arn("recovery-plan-execution/rpe-")
        steps = [
            ExecutionStep(f"{arn}/step/rpes-{uuid.uuid4().hex[:17]}", step.name, step.configuration, now, now)
            for step in plan.steps
        ]
        execution = Execution(arn, plan.arn, request["mode"], now, dict(request.get("tags") or {}), moments, steps)
        execution.who = call_context.caller.get()
        self.backend.executions[arn] = execution
        self.backend.native_plans.remember(f"execution/{plan.arn}", request, arn)
        self.backend.clock.call_in(_TO_START, lambda: self._go_on(execution))
        return {"recoveryPlanExecution": execution.describe()}

    def get_recovery_plan_execution(self, request: Request) -> dict[str, Any]:
        """GetRecoveryPlanExecution."""
        return {"recoveryPlanExecution": self.execution(request["recoveryPlanExecutionArn"]).describe()}

    def list_recovery_plan_executions(self, request: Request) -> dict[str, Any]:
        """ListRecoveryPlanExecutions, newest first, by plan or status."""
        found = [
            execution
            for execution in reversed(self.backend.executions.values())
            if request.get("recoveryPlanArn") in (None, execution.plan_arn)
            and request.get("status") in (None, execution.status)
        ]
        return self.backend.paged(
            request, found, lambda one: one.arn, lambda one: one.summary(), "recoveryPlanExecutions"
        )

    def delete_recovery_plan_execution(self, request: Request) -> dict[str, Any]:
        """DeleteRecoveryPlanExecution of an ended one."""
        execution = self.execution(request["recoveryPlanExecutionArn"])
        if not execution.ended:
            raise Conflict(f"Execution {execution.arn} is {execution.status}", resourceId=execution.arn)
        del self.backend.executions[execution.arn]
        return {"recoveryPlanExecutionArn": execution.arn}

    def cancel_recovery_plan_execution(self, request: Request) -> dict[str, Any]:
        """CancelRecoveryPlanExecution: what has not begun is skipped; a running job is waited for."""
        execution = self.execution(request["recoveryPlanExecutionArn"])
        if execution.status not in ("CREATED", "IN_PROGRESS"):
            raise Conflict(f"Execution {execution.arn} is {execution.status}", resourceId=execution.arn)
        for step in execution.steps:
            if step.status in ("NOT_STARTED", "WAITING"):
                self._set(step, "SKIPPED")
        if execution.timer is not None:
            execution.timer.cancel()
        execution.status = "CANCELLING"
        if not any(step.status == "EXECUTING" for step in execution.steps):
            self.backend.clock.call_in(_TO_START, lambda: self._end(execution, "CANCELLED"))
        return {"recoveryPlanExecution": execution.describe()}

    def list_recovery_plan_execution_steps(self, request: Request) -> dict[str, Any]:
        """ListRecoveryPlanExecutionSteps, in order, by status."""
        execution = self.execution(request["recoveryPlanExecutionArn"])
        status = (request.get("filter") or {}).get("status")
        found = [item for item in enumerate(execution.steps, 1) if status in (None, item[1].status)]
        return self.backend.paged(
            request,
            found,
            lambda item: item[1].arn,
            lambda item: item[1].summary(item[0]),
            "recoveryPlanExecutionSteps",
        )

    def get_recovery_plan_execution_step(self, request: Request) -> dict[str, Any]:
        """GetRecoveryPlanExecutionStep."""
        _, index, step = self._execution_step(request["recoveryPlanExecutionStepArn"])
        return {"recoveryPlanExecutionStep": step.describe(index)}

    def update_recovery_plan_execution_step(self, request: Request) -> dict[str, Any]:
        """UpdateRecoveryPlanExecutionStep: skip one that has not begun or has failed, or change what has not begun."""
        execution, index, step = self._execution_step(request["recoveryPlanExecutionStepArn"])
        changes = self._changed_configuration(request)
        if request.get("status") not in (None, "SKIPPED"):
            raise Validation("Only SKIPPED is accepted as a status")
        if (request.get("status") is None) == (changes is None):
            raise Validation("Either status or one of servers and waitDurationMinutes is needed")
        if changes is not None:
            if step.status != "NOT_STARTED":
                raise Conflict(f"Step {step.arn} is {step.status}, not NOT_STARTED", resourceId=step.arn)
            if not same_kind(changes, step.configuration):
                raise Validation("The type of a step cannot be changed", reason="other")
            for server_id in step_server_ids(changes):
                self.backend.server(server_id)
            step.configuration = changes
            step.updated_at = self.backend.clock.now()
        else:
            if step.status not in ("NOT_STARTED", "FAILED"):
                raise Conflict(f"Step {step.arn} is {step.status}", resourceId=step.arn)
            failed = step.status == "FAILED"
            self._set(step, "SKIPPED")
            if failed:
                self._take_up(execution)
        return {"recoveryPlanExecutionStep": step.describe(index)}

    def retry_recovery_plan_execution_step(self, request: Request) -> dict[str, Any]:
        """RetryRecoveryPlanExecutionStep of a failed step of servers: those that are not launched yet, again."""
        execution, index, step = self._execution_step(request["recoveryPlanExecutionStepArn"])
        if step.status != "FAILED" or "waitStepConfiguration" in step.configuration:
            raise Conflict(f"Step {step.arn} is {step.status}, not a failed step of servers", resourceId=step.arn)
        step.attempt += 1
        step.error = None
        self._set(step, "NOT_STARTED")
        self._take_up(execution)
        return {"recoveryPlanExecutionStep": step.describe(index)}

    def execution(self, arn: str) -> Execution:
        """An execution, or `NotFound`."""
        if arn not in self.backend.executions:
            raise NotFound("RecoveryPlanExecution", arn)
        return self.backend.executions[arn]

    def _execution_step(self, arn: str) -> tuple[Execution, int, ExecutionStep]:
        execution = self.backend.executions.get(arn.split("/step/")[0])
        for index, step in enumerate(execution.steps if execution else (), 1):
            if step.arn == arn and execution is not None:
                return execution, index, step
        raise NotFound("RecoveryPlanExecutionStep", arn)

    def _changed_configuration(self, request: Request) -> dict[str, Any] | None:
        if request.get("servers"):
            return checked_configuration({"serverStepConfiguration": {"servers": request["servers"]}})
        if request.get("waitDurationMinutes"):
            wait = {"waitDurationMinutes": request["waitDurationMinutes"]}
            return checked_configuration({"waitStepConfiguration": wait})
        return None

    def _take_up(self, execution: Execution) -> None:
        """Go on with an execution that failed, unless another one of the plan runs."""
        if execution.ended:
            plan = self.backend.plans.get(execution.plan_arn)
            if plan is not None:
                self.backend.native_plans.refuse_executing(plan)
            execution.status, execution.error, execution.completed_at = "IN_PROGRESS", None, None
            self.backend.clock.call_in(_TO_START, lambda: self._go_on(execution))

    def _go_on(self, execution: Execution) -> None:
        """Begin the next step, or end."""
        if execution.status not in ("CREATED", "IN_PROGRESS"):
            return
        execution.status = "IN_PROGRESS"
        step = next((step for step in execution.steps if step.status == "NOT_STARTED"), None)
        if step is None:
            self._end(execution, "COMPLETED")
            return
        wait = step.configuration.get("waitStepConfiguration")
        if wait is not None:
            self._set(step, "WAITING")
            execution.timer = self.backend.clock.call_in(
                wait["waitDurationMinutes"] * 60, lambda: self._step_ended(execution, step, "COMPLETED")
            )
            return
        self._set(step, "EXECUTING")
        try:
            job = self._launch_step(execution, step)
        except DrsError as error:
            self._step_ended(execution, step, "FAILED", (error.code, error.message))
            return
        step.job_id = job.id
        job.on_end.append(lambda: self._judge(execution, step, job))

    def _launch_step(self, execution: Execution, step: ExecutionStep) -> Job:
        ids = step_server_ids(step.configuration)
        if step.job_id is not None and step.job_id in self.backend.jobs:
            launched = {one.source_server_id for one in self.backend.jobs[step.job_id].participants if one.launched}
            ids = [server_id for server_id in ids if server_id not in launched] or ids
        for server_id in ids:
            self.backend.recoveries.launchable(server_id)
        with call_context.acting_as(execution.who):
            return self.backend.recoveries.launch(
                ids,
                initiated_by="START_DRILL" if execution.mode == "DRILL" else "START_RECOVERY",
                tags=execution.tags,
                moments={server_id: at for server_id, at in execution.moments.items() if server_id in ids},
            )

    def _judge(self, execution: Execution, step: ExecutionStep, job: Job) -> None:
        levels = {
            server["serverArn"].rsplit("/", 1)[1]: server["impactLevel"]
            for server in step.configuration["serverStepConfiguration"]["servers"]
        }
        failed = [one.source_server_id for one in job.participants if not one.launched]
        critical = [server_id for server_id in failed if levels.get(server_id) == "CRITICAL"]
        if critical:
            message = f"Critical servers failed to launch: {', '.join(critical)}"
            self._step_ended(execution, step, "FAILED", ("CRITICAL_SERVER_FAILED", message))
        else:
            self._step_ended(execution, step, "COMPLETED")

    def _step_ended(
        self, execution: Execution, step: ExecutionStep, status: str, error: tuple[str, str] | None = None
    ) -> None:
        step.error = error
        self._set(step, status)
        if execution.status == "CANCELLING":
            self._end(execution, "CANCELLED")
        elif status == "FAILED":
            execution.error = error
            self._end(execution, "FAILED")
        else:
            self._go_on(execution)

    def _end(self, execution: Execution, status: str) -> None:
        execution.status = status
        execution.completed_at = self.backend.clock.now()

    def _set(self, step: ExecutionStep, status: str) -> None:
        step.status = status
        step.updated_at = self.backend.clock.now()
