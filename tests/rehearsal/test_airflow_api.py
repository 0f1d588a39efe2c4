"""A question that got no answer is asked again; a change is not."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import httpx
import pytest

from drs_provider.rehearsal import airflow_api
from drs_provider.rehearsal.airflow_api import AirflowApi


class Server:
    """Answers every so many requests only."""

    def __init__(self, silent: int) -> None:
        self.silent = silent
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(200, json={"access_token": "token"})
        self.asked.append((request.method, request.url.path))
        if len(self.asked) <= self.silent:
            raise httpx.ReadTimeout("timed out", request=request)
        return httpx.Response(200, json={"state": "running", "dag_run_id": "one"})


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a client of a server that is silent a number of times."""
    monkeypatch.setattr(airflow_api._ASK_AGAIN, "sleep", lambda seconds: None)

    def make(silent: int) -> tuple[AirflowApi, Server]:
        server = Server(silent)
        api = AirflowApi("http://127.0.0.1:1")
        api._client = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(server))
        return api, server

    return make


def test_a_question_is_asked_three_times(ask: Any) -> None:
    api, server = ask(2)
    assert api.run("shop", "one")["state"] == "running"
    assert len(server.asked) == 3
    api, server = ask(3)
    with pytest.raises(httpx.ReadTimeout):
        api.run("shop", "one")
    assert len(server.asked) == 3


def test_a_change_is_asked_for_once(ask: Any) -> None:
    api, server = ask(1)
    with pytest.raises(httpx.ReadTimeout):
        api.trigger("shop")
    assert server.asked == [("POST", "/api/v2/dags/shop/dagRuns")]


@pytest.mark.parametrize(
    ("dag", "there"),
    [
        ({"is_stale": False, "last_parsed_time": "2026-01-01T12:00:01.5Z"}, True),
        ({"is_stale": False, "last_parsed_time": "2026-01-01T11:59:59Z"}, False),
        ({"is_stale": False, "last_parsed_time": None}, False),
        ({"is_stale": True, "last_parsed_time": "2026-01-01T12:00:01Z"}, False),
    ],
)
def test_a_dag_of_an_earlier_time_is_not_yet_there(ask: Any, dag: dict[str, Any], there: bool) -> None:
    """A home that is kept has it in its database, and may start a run of it before the new plan is read."""
    api, _ = ask(0)
    api.call = lambda method, path: dag
    assert api.has_dag("shop", datetime(2026, 1, 1, 12, tzinfo=timezone.utc)) is there
    assert api.has_dag("shop") is not dag["is_stale"]
