"""One policy for asking AWS again, and one way through its pages."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.calls import BlockingCalls, run_blocking


def test_pauses_double_to_the_longest_and_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    pauses = Backoff(1060.0, first=2.0, longest=10.0)
    taken = []
    while not pauses.is_over:
        taken.append((pauses.pause, pauses.take()))
        now[0] += taken[-1][0]
    assert [planned for planned, _ in taken] == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]
    assert all(0.8 * planned <= seconds <= 1.2 * planned for planned, seconds in taken)
    pauses.until += 100.0
    assert not pauses.is_over


class Pages:
    """A client with three pages, of which the second is empty and is throttled once."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.asked: list[dict[str, Any]] = []

    def list_things(self, **params: Any) -> dict[str, Any]:
        self.asked.append(params)
        if len(self.asked) == 2:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "ListThings")
        at = params.get(self.token)
        return {None: {"Things": [1], self.token: "a"}, "a": {"Things": [], self.token: "b"}, "b": {"Things": [2]}}[at]


@pytest.mark.parametrize("token", ["nextToken", "NextToken", "Marker"])
def test_pages_are_read_to_the_last_with_patience(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("drs_provider.aws.calls.pause_for", slept.append)
    client = Pages(token)
    assert run_blocking(BlockingCalls(client, patience=60).read_all("list_things", "Things", size=1)) == [1, 2]
    assert [asked.get(token) for asked in client.asked] == [None, "a", "a", "b"]
    assert len(slept) == 1
    with pytest.raises(ClientError, match="Rate exceeded"):
        run_blocking(BlockingCalls(Pages(token)).read_all("list_things", "Things"))
