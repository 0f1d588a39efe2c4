"""A plan that is unpaused after weeks holds no drill before its next moment, and records the missed ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from tests.e2e.stack import Flow, Stack
from tests.e2e.stop_plans import weekly

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

RAN = """
import sys
from datetime import datetime
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

moment = datetime.fromisoformat(sys.argv[1])
with create_session() as session:
    run = DagRun(dag_id="weekly", run_id=f"scheduled__{moment.isoformat()}", logical_date=moment, run_after=moment,
                 data_interval=(moment, moment), start_date=moment, run_type=DagRunType.SCHEDULED,
                 state=DagRunState.SUCCESS, triggered_by=DagRunTriggeredByType.TIMETABLE)
    run.end_date = moment
    session.add(run)
    dag = session.get(DagModel, "weekly")
    dag.is_paused = True
    # What Airflow notes after that run: the moment that comes next, long gone by.
    dag.next_dagrun = dag.next_dagrun_create_after = datetime.fromisoformat(sys.argv[2])
    dag.next_dagrun_data_interval_start = dag.next_dagrun_data_interval_end = dag.next_dagrun
"""


class Missed:
    """A plan that was paused over three moments of its schedule.

    :param stack: Airflow and the simulator.
    """

    def __init__(self, stack: Stack) -> None:
        zone = ZoneInfo("America/New_York")
        today = datetime.now(zone)
        # The moment of the schedule is that of yesterday, as on a Friday for a plan that drills on Thursdays.
        self.last = (today - timedelta(days=1)).replace(hour=6, minute=0, second=0, microsecond=0)
        self.moments = [(self.last - timedelta(weeks=weeks)).astimezone(timezone.utc) for weeks in (3, 2, 1, 0)]
        self.stack = stack

    def unpaused(self) -> Flow:
        """The plan is unpaused after its last run was three weeks ago."""
        self.stack.write_plan("weekly", weekly(f"{self.last:%a}".upper()))
        yield lambda: self.stack.api.has_dag("weekly")
        self.stack.api.call("PATCH", "/dags/weekly", json={"is_paused": True})
        moment, following = (each.isoformat() for each in self.moments[:2])
        ran = subprocess.Popen([sys.executable, "-c", RAN, moment, following], env=self.stack.airflow.env)
        yield lambda: ran.poll() is not None
        assert ran.returncode == 0
        # While it is paused the plan is parsed again and again, and Airflow skips to the last moment that was missed.
        yield lambda: self.next_moment() == self.moments[-1]
        self.stack.api.call("PATCH", "/dags/weekly", json={"is_paused": False})
        yield lambda: [run for run in self.made() if run["state"] in FINISHED_STATES]

    def next_moment(self) -> datetime | None:
        """The moment that Airflow makes up for."""
        written = self.stack.api.call("GET", "/dags/weekly")["next_dagrun_logical_date"]
        return datetime.fromisoformat(written.replace("Z", "+00:00")) if written else None

    def made(self) -> list[dict[str, str]]:
        """The runs of the plan but the one of three weeks ago."""
        runs = self.stack.api.call("GET", "/dags/weekly/dagRuns")["dag_runs"]
        return [run for run in runs if not run["dag_run_id"].endswith(self.moments[0].isoformat())]


@contextmanager
def side_by_side(stack: Stack) -> Iterator[tuple[Missed, dict[str, Flow]]]:
    """The plan, and what is done with it."""
    missed = Missed(stack)
    yield missed, {"weekly": missed.unpaused()}


def test_no_drill_starts_before_the_next_moment_and_the_missed_are_recorded(
    side_by_side: dict[str, Missed], stack: Stack
) -> None:
    missed = side_by_side[__name__]
    (run,) = missed.made()
    assert run["run_type"] == "scheduled"
    assert run["state"] == "success"
    states = stack.states("weekly", run["dag_run_id"])
    assert states == {
        "confirm": "success",
        "preflight": "skipped",
        "a.launch": "skipped",
        "a.wait_for_launch": "skipped",
        "terminate": "skipped",
        "report": "success",
    }
    assert stack.seen_of_plan("weekly") == [], "nothing was launched"
    report = stack.report("weekly", run["dag_run_id"])
    assert report["run"]["state"] == "missed"
    assert [datetime.fromisoformat(each) for each in report["run"]["missed"]] == missed.moments[1:]
    assert [each["event"] for each in report["notifications"]] == ["drill_missed"]
    assert [each["dag_run_id"] for each in missed.made()] == [run["dag_run_id"]], "and no other drill starts"
