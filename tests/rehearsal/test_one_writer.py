"""An API server on SQLite makes one change at a time, and answers questions meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

from drs_provider.rehearsal.one_writer import OneWriter


async def within(methods: list[str]) -> tuple[int, list[str]]:
    """Send requests at once to an application that takes a while; return the most at a time, and how they ended."""
    going = most = 0
    ended: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal going, most
        going += 1
        most = max(most, going)
        # A change takes more turns of the loop than a question.
        for _ in range(2 if scope["method"] == "GET" else 6):
            await asyncio.sleep(0)
        going -= 1
        ended.append(scope["method"])

    one_writer = OneWriter(application)
    await asyncio.gather(*(one_writer({"type": "http", "method": method}, None, None) for method in methods))  # type: ignore[arg-type]
    return most, ended


def test_changes_are_made_one_after_the_other() -> None:
    assert asyncio.run(within(["POST", "PATCH", "DELETE", "PUT"])) == (1, ["POST", "PATCH", "DELETE", "PUT"])


def test_who_only_reads_waits_for_no_change() -> None:
    assert asyncio.run(within(["POST", "GET", "POST", "GET"])) == (3, ["GET", "GET", "POST", "POST"])


def test_an_error_lets_the_next_one_go_on() -> None:
    answered: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/broken":
            raise ValueError("broken")
        answered.append(scope["path"])

    async def both() -> None:
        one_writer = OneWriter(application)
        requests = [{"type": "http", "method": "POST", "path": path} for path in ("/broken", "/well")]
        await asyncio.gather(*(one_writer(each, None, None) for each in requests), return_exceptions=True)  # type: ignore[arg-type]

    asyncio.run(both())
    assert answered == ["/well"]


def test_a_server_that_starts_or_stops_is_let_through() -> None:
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(OneWriter(application)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
