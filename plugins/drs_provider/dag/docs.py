"""The page that Airflow's UI shows of a plan: its waves as a graph and as a table, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.markdown import code, escape
from drs_provider.plan.durations import format_duration

if TYPE_CHECKING:
    from drs_provider.plan import LoadedPlan, ServerSelector, Wave

__all__ = ["plan_page"]


def plan_page(loaded: LoadedPlan) -> str:
    """Return a plan's page as Markdown with a Mermaid graph.

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
        f"Recovers into **{plan.target.region}** through the connection {code(plan.target.aws_conn_id)}."
        + (f" Objectives: **{', '.join(objectives)}**." if objectives else ""),
        "",
        "```mermaid",
        "graph LR",
        *(f'  {_node(wave.name)}["{wave.name}"]' for wave in plan.waves),
        *(f"  {_node(need)} --> {_node(wave.name)}" for wave in plan.waves for need in wave.depends_on),
        "```",
        "",
        "| wave | starts after | servers | scripts before | scripts after | health checks |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(wave) for wave in plan.waves),
        "",
        f"Plan file {code(loaded.path.name)}, hash `{loaded.hash[:12]}`.",
    ]
    return "\n".join(lines)


def _node(wave: str) -> str:
    # Mermaid reserves words such as "end"; a prefix keeps every wave name usable.
    return "wave_" + wave.replace("-", "_m_")


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
