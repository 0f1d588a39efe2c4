"""What a person sees while a plan runs: one line a wave, from Airflow's task states and the simulator's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drs_provider.plan.steps import LAUNCH, activity_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from drs_provider.plan import RecoveryPlan

__all__ = ["RunProgress", "WaveProgress"]

_PHASES = {
    "JOB_START": "job started",
    "CLEANUP_START": "cleaning up the last drill",
    "SNAPSHOT_START": "taking snapshots",
    "SNAPSHOT_END": "snapshots taken",
    "CONVERSION_START": "converting",
    "CONVERSION_END": "converted",
    "LAUNCH_START": "launching",
    "LAUNCH_END": "launched",
    "LAUNCH_FAILED": "launch failed",
    "JOB_END": "launched",
}
_BEGUN = ("running", "deferred", "success", "failed")
_STYLES = {"done": "green", "failed": "bold red", "skipped": "dim", "waiting": "dim", "not reached": "dim"}
_BAR_WIDTH = 20


@dataclass
class WaveProgress:
    """Where one wave is.

    :param name: the wave.
    :param state: what it is doing, such as ``waiting``, ``launching``, ``settling``, ``done`` or ``failed``.
    :param servers: how many servers its jobs launch; 0 before the launch.
    :param launched: how many of them are launched.
    :param phase: the last thing that the job log said.
    """

    name: str
    state: str = "waiting"
    servers: int = 0
    launched: int = 0
    phase: str = ""

    def __str__(self) -> str:
        parts = [f"{self.name}: {self.state}"]
        if self.servers:
            parts.append(f"{self.launched}/{self.servers} servers launched")
        if self.phase and self.state == "launching":
            parts.append(self.phase)
        return ", ".join(parts)


@dataclass
class RunProgress:
    """Where every wave of a run is.

    :param plan: the plan.
    """

    plan: RecoveryPlan
    waves: dict[str, WaveProgress] = field(init=False)
    ending: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.waves = {wave.name: WaveProgress(wave.name) for wave in self.plan.waves}

    def update(self, task_states: Mapping[str, str | None], log: Iterable[Mapping[str, Any]]) -> None:
        """Take in new states.

        :param task_states: Airflow's state of each task, by task id.
        :param log: the simulator's whole log.
        """
        wave_of_server: dict[str, str] = {}
        servers: dict[str, set[str]] = {name: set() for name in self.waves}
        launched: dict[str, set[str]] = {name: set() for name in self.waves}
        for entry in log:
            if entry.get("operation") == "StartRecovery" and not entry.get("error"):
                wave = str((entry["params"].get("tags") or {}).get("drs-provider:wave"))
                for server in entry["params"].get("sourceServers", ()):
                    wave_of_server[server["sourceServerID"]] = wave
                    servers.get(wave, set()).add(server["sourceServerID"])
            elif (wave := wave_of_server.get(entry.get("server") or "", "")) in self.waves:
                self.waves[str(wave)].phase = _PHASES.get(entry.get("event", ""), self.waves[str(wave)].phase)
                if entry.get("event") == "LAUNCH_END":
                    launched[str(wave)].add(entry["server"])
        for name, progress in self.waves.items():
            progress.servers, progress.launched = len(servers[name]), len(launched[name])
            progress.state = _wave_state(name, task_states)
        self.ending = next(
            # The report fails with its run.
            (task for task in ("report", "terminate") if task_states.get(task) in _BEGUN),
            "",
        )

    @property
    def ending_text(self) -> str:
        """What the run does behind its waves; empty before."""
        return {"terminate": "terminating the drill's instances", "report": "writing the report"}.get(self.ending, "")

    def lines(self) -> list[str]:
        """Return one plain line a wave, and one for the end of the run when it has come to that."""
        return [*(str(progress) for progress in self.waves.values()), *filter(None, [self.ending_text])]

    def render(self) -> RenderableType:
        """Return the waves as a table for a live terminal."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2), show_header=False)
        for progress in self.waves.values():
            filled = _BAR_WIDTH * progress.launched // progress.servers if progress.servers else 0
            table.add_row(
                Text(progress.name, style="bold"),
                Text(progress.state, style=_STYLES.get(progress.state, "yellow")),
                Text("█" * filled, style="green") + Text("░" * (_BAR_WIDTH - filled), style="dim"),
                f"{progress.launched}/{progress.servers}" if progress.servers else "",
                Text(progress.phase if progress.state == "launching" else "", style="dim"),
            )
        if self.ending:
            table.add_row("", Text(self.ending_text, style="dim"), "", "", "")
        return table


def _wave_state(wave: str, task_states: Mapping[str, str | None]) -> str:
    prefix = f"{wave}."
    states = {
        task_id.removeprefix(prefix): state
        for task_id, state in task_states.items()
        if task_id.startswith(prefix) and task_id != f"{prefix}rollback"
    }
    values = set(states.values())
    if task_states.get(f"{prefix}rollback") in ("running", "deferred"):
        return "rolling back"
    if "failed" in values:
        return "failed"
    if values and values <= {"upstream_failed"}:
        return "not reached"
    if values and values <= {"success", "skipped"}:
        return "skipped" if states.get(LAUNCH) == "skipped" else "done"
    for task_id, state in states.items():
        if state in ("running", "deferred", "awaiting_input", "up_for_retry", "queued"):
            return activity_of(task_id)
    return "waiting" if not values & {"success"} else "working"
