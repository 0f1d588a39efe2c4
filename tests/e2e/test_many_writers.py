"""Several people change something at the same moment, on an Airflow whose database is SQLite."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PEOPLE, CHANGES = 6, 10


def test_changes_at_the_same_moment_are_all_made(stack: Stack) -> None:
    def change(person: int) -> list[str]:
        api = stack.as_user("admin")
        keys = [f"person-{person}-{number}" for number in range(CHANGES)]
        for key in keys:
            api.call("POST", "/variables", json={"key": key, "value": "changed"})
        return keys

    with ThreadPoolExecutor(PEOPLE) as people:
        made = [key for keys in people.map(change, range(PEOPLE)) for key in keys]
    kept = {each["key"] for each in stack.api.call("GET", "/variables", params={"limit": 100})["variables"]}
    assert set(made) <= kept
    assert len(made) == PEOPLE * CHANGES
