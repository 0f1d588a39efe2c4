"""One run of a recovery plan as its tasks see it: the checked run parameters and the run's identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from drs_provider.plan import dependents
from drs_provider.plan.nearest import nearest
from drs_provider.readiness.findings import override_problems
from drs_provider.run_parameters import RUN_PARAMETERS, asked_overrides, unknown_parameter

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script

__all__ = ["BY_HAND", "Mode", "Override", "RecoveryRun", "RunParameterError", "started_by"]

Mode = Literal["drill", "recovery"]


BY_HAND = frozenset({"manual", "operator_triggered"})
"""The types of runs that a person or another DAG started. Schedules, backfills and assets start drills only."""


def started_by(dag_run: Any) -> str:
    """Return Airflow's type of a run."""
    run_type = getattr(dag_run, "run_type", None) or "manual"
    return str(getattr(run_type, "value", run_type))


class RunParameterError(ValueError):
    """Run parameters that cannot be used; the message lists every mistake."""


@dataclass(frozen=True)
class Override:
    """Preflight findings that a person decided to go on with.

    :param findings: the codes of the findings.
    :param reason: why, in that person's words.
    """

    findings: frozenset[str]
    reason: str


@dataclass(frozen=True)
class RecoveryRun:
    """What a run was asked to do.

    :param dag_id: the DAG, which is the plan's name.
    :param run_id: Airflow's run id.
    :param mode: ``drill`` or ``recovery``.
    :param confirm: what the person typed to confirm a real recovery.
    :param waves: the waves to run; empty means all.
    :param snapshot_time: recover each server to its last snapshot at or before this time; None means the latest.
    :param skip_scripts: whether the scripts of the plan are left out.
    :param keep_drill_instances: whether drill instances are left running.
    :param override: the findings that a person decided to go on with, if any.
    :param take_over: the installation, lost by now, whose jobs of the same run id this run adopts; empty: none.
    :param replace_instances: ids of live instances that a launch of this run may replace.
    :param stop_drill: whether a drill that this recovery waits for is asked to stop.
    :param break_glass: why the run goes on without the plan's approvals, if it is to; counts only for those who may.
    :param ticket: the change or incident that the run belongs to.
    """

    dag_id: str
    run_id: str
    mode: Mode = "drill"
    confirm: str = ""
    waves: frozenset[str] = frozenset()
    snapshot_time: datetime | None = None
    skip_scripts: bool = False
    keep_drill_instances: bool = False
    override: Override | None = None
    take_over: str = ""
    replace_instances: frozenset[str] = frozenset()
    stop_drill: bool = False
    break_glass: str | None = None
    ticket: str = ""

    @property
    def is_drill(self) -> bool:
        """Whether the run is a drill."""
        return self.mode == "drill"

    @property
    def overridden(self) -> frozenset[str]:
        """The codes of the findings that a person decided to go on with."""
        return self.override.findings if self.override else frozenset()

    def selects(self, wave: str) -> bool:
        """Whether a wave takes part in this run."""
        return not self.waves or wave in self.waves

    def left_out_from_the_start(self, plan: RecoveryPlan) -> frozenset[str]:
        """Waves that this run leaves out, and before which none comes that it runs.

        One that stands behind a wave that runs is left out too, and passes on the wait for that wave.
        """
        selected = [wave.name for wave in plan.waves if self.selects(wave.name)]
        behind = {name for wave in selected for name in dependents(plan, wave)}
        return frozenset(wave.name for wave in plan.waves).difference(selected, behind)

    def runs(self, script: Script) -> bool:
        """Whether a script of a wave that takes part is run."""
        return not self.skip_scripts and self.mode in script.modes

    @classmethod
    def from_context(cls, context: Mapping[str, Any], plan: RecoveryPlan) -> RecoveryRun:
        """Read a run from Airflow's task context. A scheduled drill has the waves that the plan gives it.

        :raises RunParameterError: when a parameter cannot be read.
        """
        dag_run = context["dag_run"]
        run = cls.from_parameters(dag_run.dag_id, dag_run.run_id, context["params"])
        if plan.drill.waves and run.is_drill and not run.waves and started_by(dag_run) not in BY_HAND:
            return replace(run, waves=frozenset(plan.drill.waves))
        return run

    @classmethod
    def from_parameters(cls, dag_id: str, run_id: str, parameters: Mapping[str, Any]) -> RecoveryRun:
        """Read a run from its parameters.

        :raises RunParameterError: when parameters cannot be read; with every one of them.
        """
        values: dict[str, Any] = {}
        mistakes = []
        for parameter in RUN_PARAMETERS:
            value = parameters.get(parameter.name)
            try:
                values[parameter.name] = parameter.read(value)
            except ValueError as error:
                mistakes.append(f"{parameter.name} is {_shown(value)}; {error}")
        if mistakes:
            raise RunParameterError("\n- ".join(mistakes))
        findings, reason = asked_overrides(values)
        for name in ("override", "override_findings", "override_reason"):
            del values[name]
        override = Override(findings, reason) if findings or reason else None
        return cls(
            dag_id=dag_id,
            run_id=run_id,
            override=override,
            **{**values, "break_glass": values["break_glass"] or None},
        )

    def as_record(self) -> dict[str, Any]:
        """Return what the run was asked to do as plain values, for the record of its confirmation."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("dag_id", "run_id")
        }

    def as_conf(self) -> dict[str, Any]:
        """Return the parameters that start such a run again: those that differ from what an empty form gives."""
        record = self.as_record()
        if self.override:
            record["override_findings"] = sorted(self.override.findings)
            record["override_reason"] = self.override.reason
        empty = RecoveryRun(self.dag_id, self.run_id).as_record()
        return {
            parameter.name: record[parameter.name]
            for parameter in RUN_PARAMETERS
            if parameter.name != "override" and record.get(parameter.name) not in (None, empty.get(parameter.name))
        }

    def check(
        self,
        plan: RecoveryPlan,
        conf: Mapping[str, Any],
        *,
        scheduled: bool,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse what Airflow's form cannot refuse: rules across parameters, and unknown ones.

        :param plan: the plan that the run is of.
        :param conf: what was handed over when the run was triggered.
        :param scheduled: whether the schedule started the run.
        :param parameters: what Airflow made of ``conf``, which this run was read from; None: not compared.
        :raises RunParameterError: with every mistake.
        """
        mistakes = [wrong for key in conf if (wrong := unknown_parameter(key))]
        if parameters is not None:
            mistakes += _not_applied(conf, parameters)
        names = [wave.name for wave in plan.waves]
        mistakes += [
            f"unknown wave {wave!r}{nearest(wave, names) or '; the plan has ' + ', '.join(names[:20])}"
            for wave in sorted(self.waves)
            if wave not in names
        ]
        if self.is_drill:
            asked = self.as_conf()
            refusals = [each.drill_refusal for each in RUN_PARAMETERS if each.drill_refusal and each.name in asked]
            mistakes += dict.fromkeys(refusals)
        else:
            if scheduled:
                mistakes.append("a scheduled run is always a drill; start a recovery by hand")
            if self.confirm != plan.name:
                typed = f"it is {self.confirm!r}" if self.confirm else "it is empty"
                mistakes.append(
                    f"a real recovery starts only when the parameter confirm is the plan's name, {plan.name!r}; {typed}"
                )
            mistakes += override_problems(sorted(self.overridden))
            if self.override and not self.override.reason:
                mistakes.append("override_findings needs override_reason: why the recovery goes on in spite of them")
            if self.override and not self.override.findings:
                mistakes.append("override_reason needs override_findings: the codes of the findings to go on with")
        if self.snapshot_time and self.snapshot_time > datetime.now(timezone.utc):
            mistakes.append(f"snapshot_time {self.snapshot_time.isoformat()} lies in the future")
        if mistakes:
            raise RunParameterError("This run was refused, and nothing was started:\n- " + "\n- ".join(mistakes))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _not_applied(conf: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """Return a mistake where Airflow gave the tasks other parameters than the run was triggered with.

    With ``[core] dag_run_conf_overrides_params`` off, Airflow hands every task the defaults: a recovery that a person
    triggered would run as a drill.
    """
    names = [each.name for each in RUN_PARAMETERS]
    ignored = [key for key in names if key in conf and conf[key] != parameters.get(key)]
    if not ignored:
        return []
    asked = ", ".join(f"{key}={conf[key]!r}" for key in ignored)
    made = ", ".join(f"{key}={parameters.get(key)!r}" for key in ignored)
    return [
        f"the run was triggered with {asked}, but Airflow gave its tasks {made}: the setting [core] "
        "dag_run_conf_overrides_params is False. Set AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS=True for every "
        "component, then start the run again"
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Override):
        return {"findings": sorted(value.findings), "reason": value.reason}
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    return sorted(value) if isinstance(value, (frozenset, set)) else value
