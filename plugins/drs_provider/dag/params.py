"""The form that Airflow's UI shows when a person starts a plan, made from the list of run parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from drs_provider.readiness.findings import CODES
from drs_provider.run_parameters import RUN_PARAMETERS

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.run_parameters import RunParameter

__all__ = ["run_params"]

_OVERRIDABLE = [code for code, kind in CODES.items() if kind.overridable and kind.severity == "error"]


def run_params(plan: RecoveryPlan) -> dict[str, Param]:
    """Return the run parameters of a plan's DAG, each with its form field.

    :param plan: the plan; its name and waves stand in the form.
    """
    choices = {"waves": [wave.name for wave in plan.waves], "findings": _OVERRIDABLE}
    return {each.name: _field(each, plan.name, choices) for each in RUN_PARAMETERS}


def _field(parameter: RunParameter, plan: str, choices: dict[str, list[str]]) -> Param:
    more: dict[str, Any] = dict(parameter.schema)
    if parameter.choices:
        # An array with examples is a field with several choices.
        more["examples"] = choices[parameter.choices]
        if parameter.restrict:
            more["items"] = {"type": "string", "enum": choices[parameter.choices]}
    if parameter.section:
        more["section"] = parameter.section
    return Param(parameter.default, title=parameter.title, description=parameter.form_text(plan), **more)
