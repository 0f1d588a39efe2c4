"""Recovery plans of DRS itself, read from an account: steps in a row, each of servers or a wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from drs_provider.aws.calls import BlockingCalls, run_blocking
from drs_provider.importers.report import ImportReport
from drs_provider.importers.source_plan import SourcePlan, SourceSelector, SourceWave

__all__ = [
    "NativePlanMissing",
    "NativePlansUnknown",
    "check_client",
    "find_native_plan",
    "native_steps",
    "read_drs_native",
]

_ARN = re.compile(r"arn:aws[a-z0-9-]*:drs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):\S+")


class NativePlansUnknown(RuntimeError):
    """The installed botocore knows nothing of DRS's own recovery plans."""


class NativePlanMissing(LookupError):
    """There is no recovery plan of that name or ARN."""


def region_of(name_or_arn: str) -> str | None:
    """Return the region in an ARN, None for a name."""
    match = _ARN.fullmatch(name_or_arn)
    return match["region"] if match else None


def check_client(drs: Any) -> None:
    """Check that a client knows the operations on recovery plans; botocore has them since about 1.43.85.

    :param drs: a boto3 client of DRS.
    :raises NativePlansUnknown: it does not; the message says what to do.
    """
    if "ListRecoveryPlans" not in drs.meta.service_model.operation_names:
        import botocore

        raise NativePlansUnknown(
            f"botocore {botocore.__version__} does not know the recovery plans of DRS (CreateRecoveryPlan and others), "
            "as on MWAA: run this where botocore is 1.43.85 or newer (pip install --upgrade boto3)"
        )


def find_native_plan(drs: Any, name_or_arn: str) -> dict[str, Any] | None:
    """Return a plan as GetRecoveryPlan shows it, None where there is none of that name or ARN.

    :param drs: a boto3 client of DRS.
    :param name_or_arn: the plan's name, unique in account and region, or its ARN.
    """
    plans = _all(drs, "list_recovery_plans", "recoveryPlans")
    for plan in plans:
        if name_or_arn in (plan["name"], plan["recoveryPlanArn"]):
            found: dict[str, Any] = drs.get_recovery_plan(recoveryPlanArn=plan["recoveryPlanArn"])["recoveryPlan"]
            return found
    return None


def _all(drs: Any, operation: str, key: str, **params: Any) -> list[dict[str, Any]]:
    return run_blocking(BlockingCalls(drs).read_all(operation, key, **params))


def native_steps(drs: Any, plan_arn: str) -> list[dict[str, Any]]:
    """Return a plan's steps in their order (ListRecoveryPlanSteps, to the last page)."""
    steps = _all(drs, "list_recovery_plan_steps", "recoveryPlanSteps", recoveryPlanArn=plan_arn)
    return sorted(steps, key=lambda step: int(step["stepOrder"]))


def read_drs_native(drs: Any, name_or_arn: str, region: str, report: ImportReport) -> SourcePlan:
    """Read one plan of an account.

    :param drs: a boto3 client of DRS.
    :param name_or_arn: the plan's name or ARN.
    :param region: the client's region.
    :param report: takes what was decided and left out, and what is wrong.
    :raises NativePlansUnknown: botocore does not know such plans.
    :raises NativePlanMissing: there is no such plan.
    :raises botocore.exceptions.ClientError: AWS refuses a call.
    """
    check_client(drs)
    found = find_native_plan(drs, name_or_arn)
    if found is None:
        known = ", ".join(sorted(plan["name"] for plan in _all(drs, "list_recovery_plans", "recoveryPlans")))
        raise NativePlanMissing(f"DRS has no recovery plan {name_or_arn} in {region}; it has {known or 'none'}")
    plan = SourcePlan(
        name=found["name"],
        where=found["recoveryPlanArn"],
        origin=f'Imported from the DRS recovery plan "{found["name"]}", {found["recoveryPlanArn"]}.',
        region=region,
        description=found.get("description") or "",
    )
    tags = ", ".join(f"{key}={value}" for key, value in sorted((found.get("tags") or {}).items()))
    if tags:
        report.leave_out(plan.where, f"tags of the DRS plan: {tags}")
    if found.get("status") == "INVALID":
        said = report.decide(plan.where, "DRS calls this plan INVALID: a server of it is gone")
        plan.remark("", f"{said}; preflight will name it.")
    for step in native_steps(drs, found["recoveryPlanArn"]):
        _add_step(plan, step, report)
    if not plan.waves:
        report.refuse(plan.where, "has no step of servers; expected at least one")
    return plan


def _add_step(plan: SourcePlan, step: Mapping[str, Any], report: ImportReport) -> None:
    where = f"{plan.where} step {step['stepOrder']}"
    configuration = step["configuration"]
    if "waitStepConfiguration" in configuration:
        _add_wait(
            plan, step["stepName"], int(configuration["waitStepConfiguration"]["waitDurationMinutes"]), where, report
        )
        return
    servers = (configuration.get("serverStepConfiguration") or {}).get("servers")
    if not servers:
        report.refuse(where, f"is neither of servers nor a wait, but {', '.join(configuration) or 'empty'}")
        return
    wave = SourceWave(key=str(len(plan.waves)), name=step["stepName"], where=where)
    if plan.waves:
        wave.depends_on = [plan.waves[-1].key]
    for server in servers:
        identity = str(server["serverArn"]).rpartition("/")[2]
        optional = server.get("impactLevel") == "OPTIONAL"
        wave.servers.append(SourceSelector(id=identity, critical=not optional))
    if any(not selector.critical for selector in wave.servers):
        wave.remark("servers", report.decide(where, "OPTIONAL servers are critical: false here") + ".")
    plan.waves.append(wave)


def _add_wait(plan: SourcePlan, name: str, minutes: int, where: str, report: ImportReport) -> None:
    if not plan.waves:
        text = report.leave_out(
            where, f'"{name}" waits {minutes} min before the first servers: a plan file waits after a wave'
        )
        plan.remark("waves", f"Not carried over: {text}.")
        return
    wave = plan.waves[-1]
    wave.settle += timedelta(minutes=minutes)
    said = report.decide(where, f'the wait "{name}" of {minutes} min is the settle time of the wave before it')
    wave.remark("settle", f"{said[0].upper()}{said[1:]}.")
