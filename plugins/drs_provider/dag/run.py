"""One run of a recovery plan as its tasks see it: the checked run parameters and the run's identity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, cast

from drs_provider.plan import dependents

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script

__all__ = ["Mode", "Override", "RecoveryRun", "RunParameterError"]

Mode = Literal["drill", "recovery"]

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}([0-9a-f]{9})?")

PARAMETERS = (
    "mode",
    "confirm",
    "waves",
    "snapshot_time",
    "skip_scripts",
    "keep_drill_instances",
    "override",
    "take_over",
    "replace_instances",
    "stop_drill",
    "break_glass",
)


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
    def from_context(cls, context: Mapping[str, Any]) -> RecoveryRun:
        """Read a run from Airflow's task context.

        :raises RunParameterError: when a parameter cannot be read.
        """
        dag_run = context["dag_run"]
        return cls.from_parameters(dag_run.dag_id, dag_run.run_id, context["params"])

    @classmethod
    def from_parameters(cls, dag_id: str, run_id: str, parameters: Mapping[str, Any]) -> RecoveryRun:
        """Read a run from its parameters.

        :raises RunParameterError: when a parameter cannot be read.
        """
        mode = parameters.get("mode") or "drill"
        if mode not in ("drill", "recovery"):
            raise RunParameterError(f"mode is {mode!r}; expected drill or recovery")
        return cls(
            dag_id=dag_id,
            run_id=run_id,
            mode=cast("Mode", mode),
            confirm=str(parameters.get("confirm") or ""),
            waves=_names("waves", parameters.get("waves")),
            snapshot_time=_parse_time(parameters.get("snapshot_time")),
            skip_scripts=_flag("skip_scripts", parameters.get("skip_scripts")),
            keep_drill_instances=_flag("keep_drill_instances", parameters.get("keep_drill_instances")),
            override=_parse_override(parameters.get("override")),
            take_over=str(parameters.get("take_over") or "").strip(),
            replace_instances=_parse_instances(parameters.get("replace_instances")),
            stop_drill=_flag("stop_drill", parameters.get("stop_drill")),
            break_glass=str(parameters.get("break_glass") or "").strip() or None,
        )

    def as_record(self) -> dict[str, Any]:
        """Return what the run was asked to do as plain values, for the record of its confirmation."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("dag_id", "run_id")
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
        mistakes = [_unknown("run parameter", key, PARAMETERS) for key in conf if key not in PARAMETERS]
        if parameters is not None:
            mistakes += _not_applied(conf, parameters)
        names = [wave.name for wave in plan.waves]
        mistakes += [_unknown("wave", wave, names) for wave in sorted(self.waves) if wave not in names]
        if self.mode == "recovery":
            if scheduled:
                mistakes.append("a scheduled run is always a drill; start a recovery by hand")
            if self.confirm != plan.name:
                typed = f"it is {self.confirm!r}" if self.confirm else "it is empty"
                mistakes.append(
                    f"a real recovery starts only when the parameter confirm is the plan's name, {plan.name!r}; {typed}"
                )
        elif self.override:
            mistakes.append("override is for real recoveries; a drill must show the findings, not pass over them")
        if self.stop_drill and self.is_drill:
            mistakes.append("stop_drill is for real recoveries; a drill waits for the one before it")
        if self.break_glass and self.is_drill:
            mistakes.append("break_glass is for real recoveries; a drill can wait for its approvals")
        if self.snapshot_time and self.snapshot_time > datetime.now(timezone.utc):
            mistakes.append(f"snapshot_time {self.snapshot_time.isoformat()} lies in the future")
        if mistakes:
            raise RunParameterError("This run was refused, and nothing was started:\n- " + "\n- ".join(mistakes))


def _not_applied(conf: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """Return a mistake where Airflow gave the tasks other parameters than the run was triggered with.

    With ``[core] dag_run_conf_overrides_params`` off, Airflow hands every task the defaults: a recovery that a person
    triggered would run as a drill.
    """
    ignored = [key for key in PARAMETERS if key in conf and conf[key] != parameters.get(key)]
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


def _unknown(kind: str, name: object, known: tuple[str, ...] | list[str]) -> str:
    nearest = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def _names(parameter: str, value: object) -> frozenset[str]:
    if value in (None, "", [], ()):
        return frozenset()
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in names):
        return frozenset(names)
    raise RunParameterError(f'{parameter} is {value!r}; expected a list of names, such as ["database", "app"]')


def _flag(parameter: str, value: object) -> bool:
    if value in (None, ""):
        return False
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if isinstance(value, bool):
        return value
    raise RunParameterError(f"{parameter} is {value!r}; expected true or false")


def _parse_time(value: object) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        # Python 3.10 does not read the "Z" that Airflow's form sends.
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise RunParameterError(
            f"snapshot_time is {value!r}; expected a date and time such as 2026-11-23T06:00:00+00:00"
        ) from None
    try:
        # In UTC, as everything that it is compared with: a time at the edge of the calendar has none.
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except OverflowError:
        raise RunParameterError(f"snapshot_time {value!r} lies outside of the calendar") from None


def _parse_override(value: object) -> Override | None:
    if not value:
        return None
    findings = value.get("findings") if isinstance(value, Mapping) else None
    reason = value.get("reason") if isinstance(value, Mapping) else None
    if not isinstance(findings, (list, tuple)) or not findings or not isinstance(reason, str) or not reason.strip():
        raise RunParameterError(
            'override must name the findings and the reason, such as {"findings": ["replication-lag"], '
            '"reason": "the source site is gone"}'
        )
    return Override(frozenset(map(str, findings)), reason.strip())


def _parse_instances(value: object) -> frozenset[str]:
    if not value:
        return frozenset()
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(one, str) and _INSTANCE_ID.fullmatch(one) for one in value
    ):
        raise RunParameterError(
            f"replace_instances is {value!r}; expected a list of instance ids such as i-0123456789abcdef0"
        )
    return frozenset(value)
