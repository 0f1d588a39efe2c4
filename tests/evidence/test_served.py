"""Reports in Airflow's API server: for whoever may read the runs of the DAG, and for nobody else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api import security
from fastapi.testclient import TestClient

from drs_provider.evidence.pages import pages
from drs_provider.evidence.storage import write_report
from drs_provider.links.report import RecoveryReportLink, report_url


class AuthManager:
    """Lets one user read the runs of one DAG."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None, str]] = []

    def is_authorized_dag(self, *, method: str, access_entity: Any, details: Any, user: Any) -> bool:
        self.asked.append((method, access_entity.value, details.id, user.name))
        return user.name == "auditor" and details.id == "three-tier-web"


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

    def get(path: str, user: str = "auditor") -> Any:
        app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(name=user)
        return TestClient(app).get(path)

    yield SimpleNamespace(get=get, run=quote(record.run.run_id, safe=""), manager=manager, record=record)
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
