"""What earlier drills took, from their reports (``report.json``): phases of servers, scripts, checks, approvals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from drs_provider.estimate.likely import Likely
from drs_provider.evidence.record import Phase, RunRecord, Server, Wave

__all__ = ["History", "read_history"]

MOST_RUNS = 20
"""Older reports say less about the next drill."""

Times = defaultdict[tuple[str, ...], list[float]]


@dataclass
class History:
    """What the reports say, in seconds.

    :param runs: how many there are.
    :param rehearsals: how many reports of rehearsals were left out.
    :param problems: reports that could not be read.
    """

    runs: int = 0
    rehearsals: int = 0
    problems: list[str] = field(default_factory=list)
    _phases: Times = field(default_factory=lambda: defaultdict(list))
    _scripts: Times = field(default_factory=lambda: defaultdict(list))
    _checks: Times = field(default_factory=lambda: defaultdict(list))
    _approvals: Times = field(default_factory=lambda: defaultdict(list))
    _begin: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[RunRecord], systems: Mapping[str, str], *, simulated: bool = False) -> History:
        """Learn from reports of runs that began; of rehearsals only where they are asked for.

        :param records: reports, the newest count.
        :param simulated: learn from rehearsals too: the phases of their servers' launches, in simulated time.
        :param systems: the operating systems of source servers, by id: those that no drill has launched yet are
            expected to take what others of their system took.
        """
        history = cls()
        everything = list(records)
        real = [record for record in everything if simulated or record.run.simulation is None]
        history.rehearsals = len(everything) - len(real)
        held = (record for record in real if record.run.state != "missed" and not record.refused)
        newest = sorted(held, key=lambda record: record.run.started or record.generated)[-MOST_RUNS:]
        for record in newest:
            history.runs += 1
            history._learn(record, systems)
        return history

    def phase(self, server: str, system: str, phase: str) -> Likely | None:
        """What a phase took for a server, or else for servers of its system; None where nobody knows."""
        found = self._phases.get((server, phase)) or self._phases.get((f"<{system}>", phase))
        return Likely.measured(found) if found else None

    def script(self, plan: str, wave: str, name: str, document: str) -> Likely | None:
        """What a script's task took: this one's, or else any with its document."""
        found = self._scripts.get((plan, wave, name)) or self._scripts.get((document,))
        return Likely.measured(found) if found else None

    def check(self, plan: str, wave: str, name: str) -> Likely | None:
        """What a health check's task took."""
        found = self._checks.get((plan, wave, name))
        return Likely.measured(found) if found else None

    def approval(self, plan: str, wave: str) -> Likely | None:
        """How long a person took to say go."""
        found = self._approvals.get((plan, wave))
        return Likely.measured(found) if found else None

    @property
    def begin(self) -> Likely | None:
        """From the start of the clock to the end of preflight."""
        return Likely.measured(self._begin) if self._begin else None

    def _learn(self, record: RunRecord, systems: Mapping[str, str]) -> None:
        plan = record.plan.name
        if record.run.simulation:
            # What is left of its times is Airflow's own, on the machine of the rehearsal.
            self._learn_servers(record, systems, record.run.simulated_speed or 1.0)
            return
        if record.preflight.ended and record.clock_started and record.preflight.state == "success":
            self._begin.append((record.preflight.ended - record.clock_started).total_seconds())
        for approval in record.approvals:
            if approval.seconds is not None and approval.decision == "approved":
                self._approvals[plan, approval.where].append(approval.seconds)
        for wave in record.waves:
            self._learn_steps(plan, wave)
        self._learn_servers(record, systems, 1.0)

    def _learn_servers(self, record: RunRecord, systems: Mapping[str, str], speed: float) -> None:
        for server in (server for wave in record.waves for server in wave.servers):
            for phase, seconds in _phases_of(server):
                self._phases[server.source_server_id, phase].append(seconds * speed)
                if server.source_server_id in systems:
                    self._phases[f"<{systems[server.source_server_id]}>", phase].append(seconds * speed)

    def _learn_steps(self, plan: str, wave: Wave) -> None:
        for script in wave.scripts:
            if script.state == "success" and script.seconds is not None:
                self._scripts[plan, wave.name, script.name].append(script.seconds)
                self._scripts[script.document,].append(script.seconds)
        for check in wave.health_checks:
            if check.state == "success" and check.seconds is not None:
                self._checks[plan, wave.name, check.name].append(check.seconds)


def _phases_of(server: Server) -> Iterable[tuple[str, float]]:
    """The phases of a server that launched at the first try."""
    if server.launch_status != "LAUNCHED" or server.attempts > 1:
        return
    by_kind: dict[str, Phase] = {phase.kind: phase for phase in server.phases}
    for kind in ("snapshot", "conversion", "launch"):
        seconds = by_kind[kind].seconds if kind in by_kind else None
        if seconds is not None:
            yield kind, seconds
    before, after = by_kind.get("snapshot"), by_kind.get("conversion")
    if before and after and before.ended and after.started:
        yield "preparation", (after.started - before.ended).total_seconds()


def read_history(folder: str, plan: str, systems: Mapping[str, str], *, simulated: bool = False) -> History:
    """Read the reports below a folder, of whichever plan: the same servers take the same time.

    :param folder: a folder; or a URL that Airflow's object storage reaches, of which only the reports of this plan are
        read.
    :param plan: the plan's name.
    :param systems: see :meth:`History.of`.
    :param simulated: see :meth:`History.of`.
    :raises FileNotFoundError: there is no report.
    """
    records: list[RunRecord] = []
    problems: list[str] = []
    if "://" in folder:
        from drs_provider.evidence.storage import reports_of

        records, problems = reports_of(plan, folder)
    else:
        for path in sorted(Path(folder).rglob("report.json")):
            try:
                records.append(RunRecord.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                problems.append(f"{path}: {str(error).splitlines()[0]}")
    if not records:
        more = f" that could be read: {problems[0]}" if problems else ""
        raise FileNotFoundError(f"no report.json below {folder}{more}")
    history = History.of(records, systems, simulated=simulated)
    if not history.runs:
        why = (
            f"{history.rehearsals} of rehearsals, --simulated counts them"
            if history.rehearsals
            else "refused or missed"
        )
        raise FileNotFoundError(f"no report of a run that began below {folder} ({why})")
    history.problems = problems
    return history
