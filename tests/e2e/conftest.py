"""One Airflow and one simulator for the tests that do not break anything; their runs go on side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import REGION, Stack, servers

PARALLEL = """
version: 1
name: parallel
target: {region: us-west-2}
waves:
  - {name: one, servers: [{tags: {Tier: one}}]}
  - {name: two, servers: [{tags: {Tier: two}}]}
  - {name: three, servers: [{tags: {Tier: three}}]}
"""

SEQUENTIAL = """
version: 1
name: sequential
target: {region: us-west-2}
objectives: {rto: 45m, rpo: 5m}
waves:
  - {name: database, servers: [{tags: {Tier: db}}]}
  - {name: app, depends_on: [database], servers: [{tags: {Tier: app}}]}
  - {name: web, depends_on: [app], servers: [{tags: {Tier: web}}]}
"""

FAILING = """
version: 1
name: failing
target: {region: us-west-2}
defaults: {retries: 0}
waves:
  - {name: database, servers: [{tags: {Tier: bad}}]}
  - {name: app, depends_on: [database], servers: [{tags: {Tier: badapp}}]}
  - {name: web, depends_on: [app], servers: [{tags: {Tier: badweb}}]}
  - {name: mail, servers: [{tags: {Tier: mail}}]}
"""

SCHEDULED = """
version: 1
name: scheduled
target: {region: us-west-2}
drill: {schedule: "* * * * *"}
waves:
  - {name: only, servers: [{tags: {Tier: only}}]}
"""

BROKEN = """
version: 1
name: broken
target: {region: us-west-2}
waves:
  - name: web
    depends_on: [databse]
    servers: [{tags: {Tier: web}}]
"""

EDITED = """
version: 1
name: edited
target: {region: us-west-2}
waves:
  - {name: first, servers: [{tags: {Tier: first}}]}
  - {name: second, depends_on: [first], launch_timeout: 30m, servers: [{tags: {Tier: second}}]}
"""

# The last two's jobs take long enough for who waits for them to be killed meanwhile.
KILLED = [*servers("killed", 3), *servers("waited", 2, durations={"conversion": 2400})]

SCENARIO: dict[str, Any] = {
    "region": REGION,
    "account": "123456789012",
    "servers": [
        *(server for tier in ("one", "two", "three", "db", "app", "web") for server in servers(tier, 2)),
        *servers("bad", 1, outcome="failed"),
        *(server for tier in ("badapp", "badweb", "mail", "only", "first", "second") for server in servers(tier, 1)),
        *KILLED,
    ],
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running Airflow with all the plans above, the broken one among them."""
    plans = {
        "parallel": PARALLEL,
        "sequential": SEQUENTIAL,
        "failing": FAILING,
        "broken": BROKEN,
        "edited": EDITED,
    }
    built = Stack(tmp_path_factory.mktemp("stack"), SCENARIO, plans, dags=Path(__file__).parent / "dags")
    with built.running():
        yield built
