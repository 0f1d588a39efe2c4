"""A plan that is unpaused after weeks holds no drill before its next moment, and records the missed ones."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.stack import Stack
from tests.e2e.stop_plans import weekly

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

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


def test_no_drill_starts_before_the_next_moment_and_the_missed_are_recorded(stack: Stack) -> None:
    zone = ZoneInfo("America/New_York")
    today = datetime.now(zone)
    # The moment of the schedule is that of yesterday, as on a Friday for a plan that drills on Thursdays.
    last = (today - timedelta(days=1)).replace(hour=6, minute=0, second=0, microsecond=0)
    moments = [(last - timedelta(weeks=weeks)).astimezone(timezone.utc) for weeks in (3, 2, 1, 0)]
    stack.write_plan("weekly", weekly(f"{last:%a}".upper()))
    stack.airflow.wait_for_dag("weekly")
    stack.api.call("PATCH", "/dags/weekly", json={"is_paused": True})
    moment, following = (each.isoformat() for each in moments[:2])
    subprocess.run([sys.executable, "-c", RAN, moment, following], env=stack.airflow.env, check=True, timeout=300)

    # While it is paused the plan is parsed again and again, and Airflow skips to the last moment that was missed.
    def next_moment() -> datetime | None:
        written = stack.api.call("GET", "/dags/weekly")["next_dagrun_logical_date"]
        return datetime.fromisoformat(written.replace("Z", "+00:00")) if written else None

    stack.until(lambda: next_moment() == moments[-1], "the moment that Airflow makes up for", 240)
    stack.api.call("PATCH", "/dags/weekly", json={"is_paused": False})

    def made() -> list[dict[str, str]]:
        runs = stack.api.call("GET", "/dags/weekly/dagRuns")["dag_runs"]
        return [run for run in runs if not run["dag_run_id"].endswith(moment)]

    stack.until(made, "the run that makes up for the missed moment", 240)
    (run,) = made()
    assert run["run_type"] == "scheduled"
    assert stack.wait("weekly", run["dag_run_id"], 240) == "success"
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
    assert [datetime.fromisoformat(each) for each in report["run"]["missed"]] == moments[1:]
    assert [each["event"] for each in report["notifications"]] == ["drill_missed"]
    assert [each["dag_run_id"] for each in made()] == [run["dag_run_id"]], "and no other drill starts"
