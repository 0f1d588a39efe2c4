"""DRS's own recovery plans, with their limits."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

IDS = [f"s-{number:017d}" for number in range(4)]


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    servers = [{"id": one, "hostname": f"h{one[-1]}"} for one in IDS]
    servers[1]["outcome"] = ["failed", "launched"]  # type: ignore[assignment]
    drs_simulator.load({"servers": servers})
    return boto3.client("drs", "us-west-2", config=Config(parameter_validation=False))


def code(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**request)
    return str(error.value.response["Error"]["Code"])


def arn(server: str) -> str:
    return f"arn:aws:drs:us-west-2:123456789012:source-server/{server}"


def of_servers(*servers: str, level: str | None = None) -> dict[str, Any]:
    impact = {} if level is None else {"impactLevel": level}
    return {"serverStepConfiguration": {"servers": [{"serverArn": arn(one), **impact} for one in servers]}}


def wait(minutes: int) -> dict[str, Any]:
    return {"waitStepConfiguration": {"waitDurationMinutes": minutes}}


def plan_of(drs: Any, *steps: dict[str, Any]) -> str:
    made = drs.create_recovery_plan(name="plan")["recoveryPlan"]["recoveryPlanArn"]
    for number, configuration in enumerate(steps):
        drs.create_recovery_plan_step(recoveryPlanArn=made, stepName=f"s{number}", configuration=configuration)
    return str(made)


def execute(drs: Any, plan: str, **more: Any) -> str:
    started = drs.start_recovery_plan_execution(recoveryPlanArn=plan, mode="DRILL", **more)
    return str(started["recoveryPlanExecution"]["recoveryPlanExecutionArn"])


def status(drs: Any, execution: str) -> tuple[str, list[str]]:
    shown = drs.get_recovery_plan_execution(recoveryPlanExecutionArn=execution)["recoveryPlanExecution"]
    return shown["status"], [step["status"] for step in steps_of(drs, execution)]


def steps_of(drs: Any, execution: str) -> list[dict[str, Any]]:
    listed = drs.list_recovery_plan_execution_steps(recoveryPlanExecutionArn=execution)
    found: list[dict[str, Any]] = listed["recoveryPlanExecutionSteps"]
    return found


def test_steps_run_one_after_the_other(drs_simulator, drs):
    execution = execute(drs, plan_of(drs, of_servers(IDS[0]), wait(2), of_servers(IDS[2], IDS[3])))
    assert status(drs, execution) == ("CREATED", ["NOT_STARTED"] * 3)
    drs_simulator.advance(2)
    assert status(drs, execution) == ("IN_PROGRESS", ["EXECUTING", "NOT_STARTED", "NOT_STARTED"])
    server = steps_of(drs, execution)[0]["configuration"]["executionServerStepConfiguration"]["servers"][0]
    assert server["impactLevel"] == "CRITICAL"
    job = drs.describe_jobs(filters={"jobIDs": [server["jobID"]]})["items"][0]
    assert job["initiatedBy"] == "START_DRILL"
    drs_simulator.advance(560)
    assert status(drs, execution) == ("IN_PROGRESS", ["COMPLETED", "WAITING", "NOT_STARTED"])
    drs_simulator.advance(130)
    assert status(drs, execution) == ("IN_PROGRESS", ["COMPLETED", "COMPLETED", "EXECUTING"])
    drs_simulator.advance(600)
    assert status(drs, execution) == ("COMPLETED", ["COMPLETED"] * 3)
    assert len(drs.describe_recovery_instances()["items"]) == 3, "nothing is cleaned up"


def test_a_critical_server_fails_its_step_and_an_optional_one_does_not(drs_simulator, drs):
    plan = plan_of(drs, of_servers(IDS[1]), of_servers(IDS[0]))
    execution = execute(drs, plan)
    drs_simulator.advance(700)
    assert status(drs, execution) == ("FAILED", ["FAILED", "NOT_STARTED"])
    step = steps_of(drs, execution)[0]["recoveryPlanExecutionStepArn"]
    drs.retry_recovery_plan_execution_step(recoveryPlanExecutionStepArn=step)
    drs_simulator.advance(1400)
    assert status(drs, execution) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    shown = drs.get_recovery_plan_execution_step(recoveryPlanExecutionStepArn=step)["recoveryPlanExecutionStep"]
    assert shown["attempt"] == 2

    drs_simulator.reset()
    execution = execute(drs, plan_of(drs, of_servers(IDS[0], IDS[1], level="OPTIONAL")))
    drs_simulator.advance(700)
    assert status(drs, execution) == ("COMPLETED", ["COMPLETED"])


def test_a_failed_step_can_be_skipped_and_a_pending_one_changed(drs_simulator, drs):
    execution = execute(drs, plan_of(drs, of_servers(IDS[1]), wait(100), of_servers(IDS[0])))
    first, second, _ = (step["recoveryPlanExecutionStepArn"] for step in steps_of(drs, execution))
    drs.update_recovery_plan_execution_step(recoveryPlanExecutionStepArn=second, waitDurationMinutes=1)
    drs_simulator.advance(700)
    drs.update_recovery_plan_execution_step(recoveryPlanExecutionStepArn=first, status="SKIPPED")
    drs_simulator.advance(62)
    assert status(drs, execution) == ("IN_PROGRESS", ["SKIPPED", "COMPLETED", "EXECUTING"])
    for request in ({"status": "SKIPPED"}, {"waitDurationMinutes": 5}):
        refused = code(drs.update_recovery_plan_execution_step, recoveryPlanExecutionStepArn=second, **request)
        assert refused == "ConflictException"


def test_cancelling_waits_for_the_running_job(drs_simulator, drs):
    execution = execute(drs, plan_of(drs, of_servers(IDS[0]), wait(1)))
    drs_simulator.advance(100)
    drs.cancel_recovery_plan_execution(recoveryPlanExecutionArn=execution)
    assert status(drs, execution) == ("CANCELLING", ["EXECUTING", "SKIPPED"])
    assert code(drs.delete_recovery_plan_execution, recoveryPlanExecutionArn=execution) == "ConflictException"
    drs_simulator.advance(600)
    assert status(drs, execution) == ("CANCELLED", ["COMPLETED", "SKIPPED"])
    drs.delete_recovery_plan_execution(recoveryPlanExecutionArn=execution)


def test_a_busy_server_fails_the_step(drs_simulator, drs):
    drs.start_recovery(sourceServers=[{"sourceServerID": IDS[0]}])
    execution = execute(drs, plan_of(drs, of_servers(IDS[0])))
    drs_simulator.advance(2)
    assert status(drs, execution) == ("FAILED", ["FAILED"])
    assert steps_of(drs, execution)[0]["errorDetail"]["code"] == "ConflictException"


def test_the_limits(drs_simulator, drs):
    plan = plan_of(drs, *(wait(1) for _ in range(20)))
    create = drs.create_recovery_plan_step
    assert code(create, recoveryPlanArn=plan, stepName="x", configuration=wait(1)) == "ServiceQuotaExceededException"
    for configuration in (wait(0), wait(121), {}, {**wait(1), **of_servers(IDS[0])}, of_servers(IDS[0], IDS[0])):
        drs_simulator.reset()
        plan = plan_of(drs)
        assert code(create, recoveryPlanArn=plan, stepName="x", configuration=configuration) == "ValidationException"
    many = of_servers(*(f"s-{number:017d}" for number in range(101)))
    assert code(create, recoveryPlanArn=plan, stepName="x", configuration=many) == "ValidationException"
    unknown = of_servers("s-" + "9" * 17)
    assert code(create, recoveryPlanArn=plan, stepName="x", configuration=unknown) == "ResourceNotFoundException"
    assert code(drs.start_recovery_plan_execution, recoveryPlanArn=plan, mode="DRILL") == "ConflictException"
    assert code(drs.create_recovery_plan, name="plan") == "ConflictException"


def test_one_execution_of_a_plan_at_a_time_and_client_tokens(drs_simulator, drs):
    plan = plan_of(drs, wait(1))
    execution = execute(drs, plan, clientToken="same")
    assert execute(drs, plan, clientToken="same") == execution
    assert code(drs.start_recovery_plan_execution, recoveryPlanArn=plan, mode="DRILL") == "ConflictException"
    drs_simulator.advance(70)
    other = execute(drs, plan)
    listed = drs.list_recovery_plan_executions(recoveryPlanArn=plan)["recoveryPlanExecutions"]
    assert [one["recoveryPlanExecutionArn"] for one in listed] == [other, execution]
    done = drs.list_recovery_plan_executions(status="COMPLETED")["recoveryPlanExecutions"]
    assert [one["recoveryPlanExecutionArn"] for one in done] == [execution]


def test_steps_are_inserted_reordered_and_never_change_their_kind(drs):
    plan = plan_of(drs, wait(1), wait(2))
    inserted = drs.create_recovery_plan_step(
        recoveryPlanArn=plan, stepName="first", stepOrder=1, configuration=of_servers(IDS[0])
    )["recoveryPlanStep"]

    def order() -> list[str]:
        return [one["stepName"] for one in drs.list_recovery_plan_steps(recoveryPlanArn=plan)["recoveryPlanSteps"]]

    assert order() == ["first", "s0", "s1"]
    arns = [
        one["recoveryPlanStepArn"] for one in drs.list_recovery_plan_steps(recoveryPlanArn=plan)["recoveryPlanSteps"]
    ]
    drs.reorder_recovery_plan_steps(recoveryPlanArn=plan, orderedStepArns=arns[::-1])
    assert order() == ["s1", "s0", "first"]
    for wrong in (arns[:2], [*arns[:2], arns[0]]):
        assert (
            code(drs.reorder_recovery_plan_steps, recoveryPlanArn=plan, orderedStepArns=wrong) == "ValidationException"
        )
    step = inserted["recoveryPlanStepArn"]
    refused = code(drs.update_recovery_plan_step, recoveryPlanStepArn=step, configuration=wait(1))
    assert refused == "ValidationException"
    again = of_servers(IDS[0])
    refused = code(drs.create_recovery_plan_step, recoveryPlanArn=plan, stepName="x", configuration=again)
    assert refused == "ValidationException", "a server stands in one step of a plan"


def test_a_plan_whose_server_is_gone_is_invalid(drs):
    plan = plan_of(drs, of_servers(IDS[3]))
    drs.disconnect_source_server(sourceServerID=IDS[3])
    drs.delete_source_server(sourceServerID=IDS[3])
    assert drs.get_recovery_plan(recoveryPlanArn=plan)["recoveryPlan"]["status"] == "INVALID"
    assert code(drs.start_recovery_plan_execution, recoveryPlanArn=plan, mode="DRILL") == "ConflictException"
