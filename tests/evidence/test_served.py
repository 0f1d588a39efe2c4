"""Reports in Airflow's API server: for whoever may read the runs of the DAG, and for nobody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api import security
from airflow.models.log import Log
from fastapi.testclient import TestClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from drs_provider.evidence.pages import pages
from drs_provider.evidence.storage import existing_report_folder, reports_folder, write_report
from drs_provider.links.report import RecoveryReportLink, report_url


class AuthManager:
    """Lets one user read the runs of one DAG."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None, str]] = []

    def is_authorized_dag(self, *, method: str, access_entity: Any, details: Any, user: Any) -> bool:
        self.asked.append((method, access_entity.value, details.id, user.name))
        may = {"auditor": {"RUN", "AUDIT_LOG"}, "reader": {"RUN"}}.get(user.name, set())
        return access_entity.value in may and details.id == "three-tier-web"


@pytest.fixture
def visit(drill: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask for an address as a user; the report of the drill lies in the reports folder."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    record = drill.record()
    write_report(record)
    manager = AuthManager()
    monkeypatch.setattr(security, "get_auth_manager", lambda: manager)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda *args, **kwargs: None)
    app = pages()
    with create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}).connect() as base:
        Log.__table__.create(base)
        session = Session(base)
        monkeypatch.setattr("airflow.utils.session.create_session", lambda: nullcontext(session))
        yield from _visits(app, session, manager, record)


def _visits(app: Any, session: Session, manager: AuthManager, record: Any) -> Iterator[Any]:
    def get(path: str, user: str = "auditor") -> Any:
        app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(name=user)
        return TestClient(app).get(path)

    run = quote(record.run.run_id, safe="")
    yield SimpleNamespace(get=get, run=run, manager=manager, record=record, session=session)
    app.dependency_overrides.clear()


def test_a_reader_of_the_runs_sees_each_file(visit: Any) -> None:
    page = visit.get(f"/three-tier-web/{visit.run}")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "Recovered in" in page.text
    assert visit.get(f"/three-tier-web/{visit.run}?as=json").text == visit.record.to_json()
    assert visit.get(f"/three-tier-web/{visit.run}?as=markdown").text.startswith("# three-tier-web")
    assert visit.manager.asked[0] == ("GET", "RUN", "three-tier-web", "auditor")


@pytest.mark.parametrize("user", ["stranger", "auditor"])
def test_nobody_sees_more_than_their_dags(visit: Any, user: str) -> None:
    dag = "three-tier-web" if user == "stranger" else "payroll"
    assert visit.get(f"/{dag}/{visit.run}", user).status_code == 403


def test_who_cancelled_a_run_stands_in_the_page_of_who_may_see_it(visit: Any) -> None:
    def note(event: str, owner: str, run_id: str = visit.record.run.run_id, **more: Any) -> None:
        extra = json.dumps(more.pop("extra", {}))
        visit.session.add(Log(event, owner=owner, dag_id="three-tier-web", run_id=run_id, extra=extra, **more))

    note("patch_dag_run", "mallory", run_id="another", extra={"state": "failed"})
    note("patch_task_instance", "bob", task_id="app.<b>", extra={"new_state": "success"})
    note("patch_dag_run", "ursula", extra={"state": "failed", "note": "wrong site"})
    note("cli_migratedb", "janitor")
    visit.session.commit()
    # As it was cancelled.
    folder = Path(existing_report_folder(reports_folder(), "three-tier-web", visit.record.run.run_id))
    told = json.loads((folder / "report.json").read_text())
    told["run"].update(cancelled="never begun: web.launch", note="wrong site", state="failed")
    told["rto"]["achieved_seconds"] = None
    (folder / "report.json").write_text(json.dumps(told))
    page = visit.get(f"/three-tier-web/{visit.run}").text
    assert "<b>ursula</b> marked the run as failed, with the note: wrong site (20" in page
    assert '>bob</td><td data-label="What">marked app.&lt;b&gt; as success</td>' in page
    assert "Note on the run: wrong site." in page
    assert "mallory" not in page
    assert "janitor" not in page
    digest = hashlib.sha256((folder / "report.json").read_bytes()).hexdigest()
    assert digest in page
    stored = visit.get(f"/three-tier-web/{visit.run}", "reader")
    assert (stored.status_code, stored.text) == (200, (folder / "report.html").read_text())
    assert "ursula" not in stored.text


def test_a_run_without_a_report_says_where_it_was_looked_for(visit: Any) -> None:
    answer = visit.get("/three-tier-web/manual__none")
    assert answer.status_code == 404
    assert "There is no report of the run manual__none of three-tier-web at" in answer.text


@pytest.mark.parametrize("path", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "..", "a/../../../x"])
def test_no_path_leads_out_of_the_reports_folder(visit: Any, path: str) -> None:
    assert visit.get(f"/three-tier-web/{path}").status_code in (403, 404)


def test_the_link_of_the_task_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    run = SimpleNamespace(dag_id="shop", run_id="manual__2026-11-24T21:04:24+00:00")
    address = "https://airflow.example/drs-reports/shop/manual__2026-11-24T21%3A04%3A24%2B00%3A00"
    assert RecoveryReportLink().get_link(None, ti_key=run) == address == report_url(run.dag_id, run.run_id)  # type: ignore[arg-type]
