"""The few calls of Airflow's public REST API (``/api/v2``) that a rehearsal needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from drs_provider.timestamps import parse_timestamp

__all__ = ["FINISHED_STATES", "AirflowApi"]

FINISHED_STATES = frozenset({"success", "failed"})

# A server that is busy answers the next time. What changes something is asked once: it may have happened already.
_ASK_AGAIN = Retrying(
    retry=retry_if_exception_type(httpx.TransportError), stop=stop_after_attempt(3), wait=wait_fixed(1), reraise=True
)


class AirflowApi:
    """A client of one Airflow API server.

    :param url: the server's address.
    :param username: a user of Airflow's simple auth manager; absent: the server lets everybody in as admin.
    :param password: that user's password.
    :param token: a token that was issued before, in the place of both.
    """

    def __init__(
        self, url: str, username: str | None = None, password: str | None = None, *, token: str | None = None
    ) -> None:
        self._login = {"username": username, "password": password} if username else None
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._issued = token
        if token:
            self._client.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Make one call below ``/api/v2`` and return its JSON.

        :raises httpx.HTTPStatusError: on an error answer; the message holds the server's explanation.
        :raises httpx.TransportError: when no answer came; a question (GET) was asked three times by then.
        """
        if method == "GET":
            return _ASK_AGAIN(self._call, method, path, **kwargs)
        return self._call(method, path, **kwargs)

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        if "Authorization" not in self._client.headers:
            self._authenticate()
        response = self._client.request(method, f"/api/v2{path}", **kwargs)
        if response.status_code == httpx.codes.UNAUTHORIZED and not self._issued:
            self._authenticate()
            response = self._client.request(method, f"/api/v2{path}", **kwargs)
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {response.status_code} {response.text}",
                request=response.request,
                response=response,
            )
        return response.json() if response.content else None

    def _authenticate(self) -> None:
        answer = (
            self._client.post("/auth/token", json=self._login) if self._login else self._client.get("/auth/token")
        ).raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def healthy(self) -> bool:
        """Whether the API server answers, tasks too.

        The part that tasks ask is made at its first question, for seconds: better now than in the run's first task.
        """
        try:
            return all(self._client.get(path).is_success for path in ("/api/v2/version", "/execution/health"))
        except httpx.HTTPError:
            return False

    def has_dag(self, dag_id: str, parsed_after: datetime | None = None) -> bool:
        """Whether a DAG exists and is not stale.

        :param dag_id: the DAG.
        :param parsed_after: a DAG that was last read before this moment does not count; absent: any does.
        """
        try:
            dag = self.call("GET", f"/dags/{dag_id}")
        except httpx.HTTPError:
            return False
        if dag.get("is_stale"):
            return False
        parsed = dag.get("last_parsed_time")
        return parsed_after is None or (parsed is not None and parse_timestamp(parsed) > parsed_after)

    def import_errors(self) -> list[dict[str, Any]]:
        """Return Airflow's list of import errors."""
        return list(self.call("GET", "/importErrors")["import_errors"])

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a DAG run and return its run id."""
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if run_id:
            body["dag_run_id"] = run_id
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a DAG run."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def task_instances(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the task instances of a run by task id."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self.call(
                "GET",
                f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
                params={"limit": 100, "offset": len(found)},
            )
            found |= {instance["task_id"]: instance for instance in page["task_instances"]}
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """Return the log lines of one try of a task."""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}")
        lines = []
        for entry in answer.get("content", []):
            text = entry.get("event", "") if isinstance(entry, dict) else str(entry)
            details = entry.get("error_detail") if isinstance(entry, dict) else None
            lines.append(text)
            lines += [f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details or ()]
        return lines

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return one XCom value of a task, None where there is none."""
        try:
            answer = self.call(
                "GET",
                f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}",
                params={"deserialize": "false"},
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise
        return answer["value"]

    def pending_approvals(self, dag_id: str, run_id: str) -> list[str]:
        """Return the ids of the tasks that wait for a person's answer."""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/hitlDetails", params={"response_received": "false"})
        return [detail["task_instance"]["task_id"] for detail in answer["hitl_details"]]

    def answer_approval(self, dag_id: str, run_id: str, task_id: str, option: str, **fields: str) -> None:
        """Answer a task that waits for a person with ``Approve`` or ``Reject``.

        :param fields: what the person filled in.
        """
        self.call(
            "PATCH",
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails",
            json={"chosen_options": [option], "params_input": fields},
        )
