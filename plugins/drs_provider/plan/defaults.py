"""The plan's defaults, and where they take effect: on each wave and each script that does not give its own value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from drs_provider.plan import rules
from drs_provider.plan.health import HealthCheck
from drs_provider.plan.launch import LaunchSettings, settings_over
from drs_provider.plan.scalars import Pause, PlanModel, Share, Span, Text, Values
from drs_provider.plan.waves import Approval, Listed, Modes, OnFailure, ParametersByMode, Script, ScriptTargets, Wave

__all__ = ["Defaults", "effective_waves"]

WAVE_KEYS = (
    "min_launched", "launch_timeout", "retries", "on_failure", "rollback", "approval", "settle", "pre_launch",
    "post_launch", "health_checks", "max_replication_lag",
)  # fmt: skip
"""The keys of a wave that ``defaults`` can give as a whole; of ``launch``, each key for itself. A script's keys stand
there with the prefix ``script_``."""

SCRIPT_KEYS = ("parameters", "parameters_by_mode", "timeout", "modes", "targets", "on_failure")


class Defaults(PlanModel):
    """Values for the waves and the scripts that do not give their own."""

    min_launched: Share | None = Field(None, description="Every wave's min_launched.")
    launch_timeout: Span | None = Field(None, description="Every wave's launch_timeout.")
    retries: int | None = Field(None, ge=0, le=10, description="Every wave's retries.")
    on_failure: OnFailure | None = Field(None, description="Every wave's on_failure.")
    rollback: Listed[Script] | None = Field(None, description="Every wave's rollback scripts.")
    approval: Approval | None = Field(None, description="Every wave's approval.")
    settle: Pause | None = Field(None, description="Every wave's settle.")
    pre_launch: Listed[Script] | None = Field(None, description="Every wave's pre_launch scripts.")
    post_launch: Listed[Script] | None = Field(None, description="Every wave's post_launch scripts.")
    health_checks: Listed[HealthCheck] | None = Field(None, description="Every wave's health_checks.")
    max_replication_lag: Span | None = Field(None, description="Every wave's max_replication_lag.")
    launch: LaunchSettings = Field(LaunchSettings(), description="How every server is launched.")
    script_parameters: dict[Text, Values] | None = Field(None, description="Every script's parameters.")
    script_parameters_by_mode: ParametersByMode | None = Field(None, description="Every script's parameters_by_mode.")
    script_timeout: Span | None = Field(None, description="Every script's timeout.")
    script_modes: Modes | None = Field(None, description="Every script's modes.")
    script_targets: ScriptTargets | None = Field(None, description="The targets of every run_command script.")
    script_on_failure: Literal["stop", "continue"] | None = Field(None, description="Every script's on_failure.")

    @model_validator(mode="after")
    def _rules(self) -> Defaults:
        rules.enforce(rules.of_defaults(self))
        return self


def effective_waves(waves: Iterable[Wave], defaults: Defaults, rpo: timedelta | None) -> tuple[Wave, ...]:
    """The waves as they will run.

    :param waves: as the file gives them.
    :param defaults: the plan's ``defaults``.
    :param rpo: the recovery point objective, the ``max_replication_lag`` if neither wave nor ``defaults`` has one.
    :return: the waves in the same order, with nothing left to look up in ``defaults``.
    """
    for_waves = {key: value for key in WAVE_KEYS if (value := getattr(defaults, key)) is not None}
    for_scripts = {key: value for key in SCRIPT_KEYS if (value := getattr(defaults, f"script_{key}")) is not None}
    if rpo is not None:
        for_waves.setdefault("max_replication_lag", rpo)
    return tuple(_effective_wave(wave, for_waves, for_scripts, defaults.launch) for wave in waves)


def _effective_wave(wave: Wave, for_waves: dict[str, Any], for_scripts: dict[str, Any], launch: LaunchSettings) -> Wave:
    given = wave.model_fields_set
    changes = {key: value for key, value in for_waves.items() if key not in given or getattr(wave, key) is None}
    if launch.given:
        changes["launch"] = settings_over(wave.launch, launch)
    for section in ("pre_launch", "post_launch", "rollback"):
        scripts = changes.get(section, getattr(wave, section))
        if scripts:
            changes[section] = tuple(_effective_script(script, section, for_scripts) for script in scripts)
    return wave.model_copy(update=changes) if changes else wave


def _effective_script(script: Script, section: str, for_scripts: dict[str, Any]) -> Script:
    given = script.model_fields_set
    changes = {key: value for key, value in for_scripts.items() if key not in given or getattr(script, key) is None}
    if script.run_command is None:
        changes.pop("targets", None)
    elif script.targets is None and section == "post_launch":
        changes.setdefault("targets", "recovery_instances")
    return script.model_copy(update=changes) if changes else script
