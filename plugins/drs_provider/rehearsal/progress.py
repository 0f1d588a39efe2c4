"""What a person sees while a plan runs: one line a wave, from Airflow's task states and the simulator's events."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from drs_provider.pace import Pace
from drs_provider.plan.steps import LAUNCH, WAIT_FOR_LAUNCH, activity_of, steps_of, work_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from drs_provider.plan import RecoveryPlan, Wave

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
_WORKING = ("running", "deferred", "awaiting_input", "up_for_retry", "queued")
_ASKING = ("deferred", "awaiting_input")
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
    :param until: until when it waits, or what a person has to do; empty where it waits for nothing.
    """

    name: str
    state: str = "waiting"
    servers: int = 0
    launched: int = 0
    phase: str = ""
    until: str = ""

    def __str__(self) -> str:
        parts = [f"{self.name}: {self.state}"]
        if self.servers:
            parts.append(f"{self.launched}/{self.servers} servers launched")
        return ", ".join([*parts, *filter(None, [self.detail])])

    @property
    def detail(self) -> str:
        """What is going on in the wave's job, and until when."""
        return ", ".join(filter(None, [self.phase if self.state == "launching" else "", self.until]))


@dataclass
class _Launches:
    """What the simulator's log says of launches.

    :param servers: the source servers that each wave's jobs launch.
    :param launched: those that are launched.
    :param phases: the last thing that the job log said, by wave.
    :param called: when each wave called StartRecovery last.
    :param ended: when the last launch job ended.
    """

    servers: dict[str, set[str]] = field(default_factory=dict)
    launched: dict[str, set[str]] = field(default_factory=dict)
    phases: dict[str, str] = field(default_factory=dict)
    called: dict[str, datetime | None] = field(default_factory=dict)
    ended: datetime | None = None

    @classmethod
    def of(cls, log: Iterable[Mapping[str, Any]]) -> _Launches:
        found, wave_of_server, launch_jobs = cls(), dict[str, str](), set[Any]()
        for entry in log:
            event = entry.get("event")
            if entry.get("operation") == "StartRecovery" and not entry.get("error"):
                wave = str((entry["params"].get("tags") or {}).get("drs-provider:wave"))
                found.called[wave] = _moment(entry)
                for server in entry["params"].get("sourceServers", ()):
                    wave_of_server[server["sourceServerID"]] = wave
                    found.servers.setdefault(wave, set()).add(server["sourceServerID"])
            elif event and (launching := wave_of_server.get(entry.get("server") or "")):
                launch_jobs.add(entry.get("job"))
                found.phases[launching] = _PHASES.get(event, found.phases.get(launching, ""))
                if event == "LAUNCH_END":
                    found.launched.setdefault(launching, set()).add(entry["server"])
            if event == "JOB_END" and entry.get("job") in launch_jobs:
                found.ended = _moment(entry)
        return found


@dataclass
class RunProgress:
    """Where every wave of a run is.

    :param plan: the plan.
    :param parameters: the run parameters.
    :param pace: what becomes of the plan's pauses and deadlines.
    :param how_to_approve: what a person has to do for an approval, by the task that asks; absent where nobody has to.
    """

    plan: RecoveryPlan
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    how_to_approve: Mapping[str, str] = field(default_factory=dict)
    waves: dict[str, WaveProgress] = field(init=False)
    beginning: str = field(default="", init=False)
    """What the run waits for before its waves; empty where it does not."""
    ending: str = field(default="", init=False)
    """What the run does behind its waves; empty before."""
    _began: dict[str, datetime] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.waves = {wave.name: WaveProgress(wave.name) for wave in self.plan.waves}

    @property
    def mode(self) -> str:
        """The mode of the run."""
        return str(self.parameters.get("mode") or "drill")

    def update(
        self,
        task_states: Mapping[str, str | None],
        log: Iterable[Mapping[str, Any]],
        started: Mapping[str, datetime] | None = None,
    ) -> None:
        """Take in new states.

        :param task_states: Airflow's state of each task, by task id.
        :param log: the simulator's whole log.
        :param started: when each task started, by task id, where that is known.
        """
        for task_id, moment in (started or {}).items():
            # Airflow may give a task that resumes another start; what it waits for began before.
            self._began.setdefault(task_id, moment)
        launches = _Launches.of(log)
        skip_scripts = self.parameters.get("skip_scripts") is True
        for wave in self.plan.waves:
            progress = self.waves[wave.name]
            progress.servers = len(launches.servers.get(wave.name, ()))
            progress.launched = len(launches.launched.get(wave.name, ()))
            progress.phase = launches.phases.get(wave.name, "")
            work = work_of(wave, self.mode, skip_scripts=skip_scripts)
            left_out = {step.name for step in steps_of(wave)}.difference(work)
            progress.state, task = _wave_state(wave.name, task_states, left_out)
            progress.until = self._until(wave, task, launches.called.get(wave.name)) if task else ""
        self.beginning = ""
        if task_states.get("confirm") in _ASKING:
            self.beginning = ", ".join(["confirm: waiting for approval", *self._how_to_approve("confirm")])
        self.ending = self._ending(task_states, launches)

    def lines(self) -> list[str]:
        """Return one plain line a wave, and one for what comes before or after them when the run is there."""
        return [line for _, line in self.named_lines()]

    def named_lines(self) -> list[tuple[str, str]]:
        """Return the lines with the wave that each is about, empty for the run."""
        around = self.beginning or self.ending
        waves = [(name, str(progress)) for name, progress in self.waves.items()]
        return [*waves, *([("", around)] if around else [])]

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
                Text(progress.detail, style="dim"),
            )
        if around := self.beginning or self.ending:
            table.add_row("", Text(around, style="dim"), "", "", "")
        return table

    def _until(self, wave: Wave, task: str, called: datetime | None) -> str:
        """Return until when a wave waits in a task, or what a person has to do."""
        began = self._began.get(f"{wave.name}.{task}")
        step = next((step for step in steps_of(wave) if step.name == task), None)
        if step is None:
            return ""
        if step.kind == "approve":
            return ", ".join(self._how_to_approve(f"{wave.name}.approve"))
        if step.kind == "settle" and began:
            return f"until {_clock(began + self.pace.pause(wave.settle))}: {self.pace.text(wave.settle)}"
        if task in (LAUNCH, WAIT_FOR_LAUNCH) and called:
            return f"gives up at {_clock(called + self.pace.deadline(wave.launch_timeout))}"
        if step.check and began:
            return f"gives up at {_clock(began + self.pace.deadline(step.check.timeout))}"
        return ""

    def _how_to_approve(self, task_id: str) -> list[str]:
        return [self.how_to_approve[task_id]] if task_id in self.how_to_approve else []

    def _ending(self, task_states: Mapping[str, str | None], launches: _Launches) -> str:
        # The report fails with its run.
        if task_states.get("report") in _BEGUN:
            return "writing the report"
        if task_states.get("terminate") not in _BEGUN or self.mode != "drill" or not launches.servers:
            return ""
        drill = self.plan.drill
        if self.parameters.get("keep_drill_instances") is True or drill.terminate == "never":
            return ""
        kept = launches.ended + self.pace.pause(drill.keep_for) if launches.ended and drill.keep_for else None
        if kept and kept > datetime.now(timezone.utc):
            return f"keeping the drill's instances until {_clock(kept)}: keep_for {self.pace.text(drill.keep_for)}"
        return "terminating the drill's instances"


def _wave_state(wave: str, task_states: Mapping[str, str | None], left_out: Container[str]) -> tuple[str, str]:
    """Return what a wave does, and the task in which it does it; empty where there is none.

    :param left_out: the steps of the wave that the run does not do: their tasks only find that out.
    """
    prefix = f"{wave}."
    states = {
        task_id.removeprefix(prefix): state
        for task_id, state in task_states.items()
        if task_id.startswith(prefix) and task_id != f"{prefix}rollback"
    }
    values = set(states.values())
    if task_states.get(f"{prefix}rollback") in ("running", "deferred"):
        return "rolling back", ""
    if "failed" in values:
        return "failed", ""
    if values and values <= {"upstream_failed"}:
        return "not reached", ""
    if values == {"skipped"} and "failed" in (task_states.get("confirm"), task_states.get("preflight")):
        return "not reached", ""
    if values and values <= {"success", "skipped"}:
        return "skipped" if states.get(LAUNCH) == "skipped" else "done", ""
    for task_id, state in states.items():
        if state in _WORKING and task_id not in left_out:
            return activity_of(task_id), task_id
    return "waiting" if not values & {"success"} else "working", ""


def _moment(entry: Mapping[str, Any]) -> datetime | None:
    seconds = entry.get("t")
    return datetime.fromtimestamp(seconds, timezone.utc) if isinstance(seconds, (int, float)) else None


def _clock(moment: datetime) -> str:
    """Return the time of day on this machine's clock."""
    return moment.astimezone().strftime("%H:%M:%S")
