"""The page that Airflow's UI shows of a plan: its waves as a table and as a drawing, its drills, where it comes from.

Airflow renders Markdown with tables, without HTML and without Mermaid; a drawing is text in a block of code. Nothing in
it may depend on the moment: a page that differs makes a new version of the DAG at each parse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.durations import format_duration
from drs_provider.markdown import code, escape
from drs_provider.plan.drawing import tree

if TYPE_CHECKING:
    from drs_provider.plan import LoadedPlan, RecoveryPlan, ServerSelector, Wave

__all__ = ["plan_page"]


def plan_page(loaded: LoadedPlan) -> str:
    """Return a plan's page as Markdown: what matters first.

    :param loaded: the plan with its file and its hash.
    """
    plan = loaded.plan
    objectives = [
        f"{name} {format_duration(value)}"
        for name, value in (("RTO", plan.objectives.rto), ("RPO", plan.objectives.rpo))
        if value is not None
    ]
    lines = [
        f"## {plan.name}",
        "",
        escape(plan.description or ""),
        "",
        f"Recovers into {_places(plan)}." + (f" Objectives: **{', '.join(objectives)}**." if objectives else ""),
        "",
        _drills(plan),
        "",
        "| wave | starts after | servers | scripts before | scripts after | health checks |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(wave) for wave in plan.waves),
        "",
        "```text",
        *tree(plan),
        "```",
        "",
        f"Plan file {code(loaded.path.name)}, hash `{loaded.hash[:12]}`.",
    ]
    return "\n".join(lines)


def _places(plan: RecoveryPlan) -> str:
    """Return where the plan's waves are launched, and through which connections."""
    return ", ".join(
        f"**{escape(str(place))}** through the connection {code(place.aws_conn_id)}"
        for place in plan.targets_of(plan.waves)
    )


def _drills(plan: RecoveryPlan) -> str:
    """Return when drills start, in words and in the plan's own time zone."""
    drill = plan.drill
    if drill.schedule is None:
        return "Drills start by hand only: no schedule."
    without = f", not on {', '.join(map(str, drill.not_on))}" if drill.not_on else ""
    when = f"**{escape(_in_words(drill.schedule))}**, {escape(drill.timezone)} time{escape(without)}"
    return f"Drills: {when} ({code(drill.schedule)})."


def _in_words(schedule: str) -> str:
    try:
        from cron_descriptor import ExpressionDescriptor  # type: ignore[import-untyped]

        return str(ExpressionDescriptor(schedule, use_24hour_time_format=True).get_description())
    except Exception:
        # A preset such as @weekly, or a descriptor that is not there: the schedule stands behind it anyway.
        return schedule.removeprefix("@")


def _row(wave: Wave) -> str:
    cells = [
        f"**{wave.name}** {escape(wave.description or '')}".strip(),
        ", ".join(wave.depends_on) or "at once",
        ", ".join(_selector(selector) for selector in wave.servers),
        ", ".join(script.name for script in wave.pre_launch) or "none",
        ", ".join(script.name for script in wave.post_launch) or "none",
        ", ".join(check.type for check in wave.health_checks) or "none",
    ]
    return "| " + " | ".join(cells) + " |"


def _selector(selector: ServerSelector) -> str:
    if selector.group:
        text = f"group {selector.group}"
    elif selector.tags:
        text = " and ".join(f"{key}={value}" for key, value in selector.tags.items())
    else:
        text = str(selector.id or selector.instance or selector.name or selector.hostname)
    return escape(text) + ("" if selector.critical else " (not critical)")
