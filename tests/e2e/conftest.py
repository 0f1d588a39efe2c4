"""One Airflow and one simulator for the tests that do not break anything; their runs go on side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import safety_plans, stop_plans
from tests.e2e.git_plans import PlanRepository
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

MARKED_AT_THE_CALL = """
version: 1
name: marked_at_the_call
target: {region: us-west-2}
waves: [{name: only, servers: [{tags: {Tier: wire}}]}]
"""

PICTURED = """
version: 1
name: pictured
description: An order platform; its graph is a diamond
target: {region: us-west-2}
waves:
  - {name: databases, servers: [{tags: {Tier: databases}}], health_checks: [{type: instance_status}]}
  - {name: orders, depends_on: [databases], servers: [{tags: {Tier: orders}}]}
  - {name: search, depends_on: [databases], servers: [{tags: {Tier: search}}]}
  - name: storefront
    depends_on: [orders, search]
    servers: [{tags: {Tier: storefront}}]
    post_launch: [{name: warm-cache, run_command: AWS-RunShellScript, parameters: {commands: [/opt/warm]}}]
"""

VERSIONED = """
version: 1
name: versioned
target: {region: us-west-2}
waves:
  - {name: first, servers: [{tags: {Tier: v1}}]}
  - {name: second, depends_on: [first], approval: {message: Go on?}, servers: [{tags: {Tier: v2}}]}
"""

# The last two's jobs take long enough for who waits for them to be killed meanwhile.
KILLED = [*servers("killed", 3), *servers("waited", 2, durations={"conversion": 4800})]

SCENARIO: dict[str, Any] = {
    "region": REGION,
    "account": "123456789012",
    "servers": [
        *(server for tier in ("one", "two", "three", "db", "app", "web") for server in servers(tier, 2)),
        *servers("bad", 1, outcome="failed"),
        *(
            server
            for tier in ("badapp", "badweb", "mail", "only", "first", "second", "wire")
            for server in servers(tier, 1)
        ),
        *(server for tier in ("v1", "v2", "v3", "v4") for server in servers(tier, 1)),
        *servers("databases", 2),
        *(server for tier in ("orders", "search", "storefront") for server in servers(tier, 2)),
        *KILLED,
        *(
            server
            for plans in (safety_plans.SERVERS, stop_plans.SERVERS)
            for tier, details in plans.items()
            for server in servers(tier, 1, **details)
        ),
    ],
    "topics": [safety_plans.TOPIC],
    "documents": {
        "Undo-Base": {"kind": "Automation", "duration": 10, "outcome": "Success"},
        **safety_plans.DOCUMENTS,
    },
}


# Forty plans cost the processor and the scheduler half a core where nothing happens, which the runs go without.
CALM = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
}


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> PlanRepository:
    """A git repository with one plan, which the stack's Airflow reads."""
    made = PlanRepository(tmp_path_factory.mktemp("repository") / "plans")
    made.commit("versioned", VERSIONED)
    return made


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, repository: PlanRepository) -> Iterator[Stack]:
    """A running Airflow with all the plans above, the broken one among them."""
    plans = {
        "parallel": PARALLEL,
        "sequential": SEQUENTIAL,
        "failing": FAILING,
        "broken": BROKEN,
        "edited": EDITED,
        "marked_at_the_call": MARKED_AT_THE_CALL,
        "pictured": PICTURED,
        **stop_plans.PLANS,
        **safety_plans.PLANS,
    }
    folder = tmp_path_factory.mktemp("stack")
    built = Stack(
        folder,
        SCENARIO,
        plans,
        settings={**repository.settings(folder / "bundles"), **safety_plans.SETTINGS, **CALM},
        dags=Path(__file__).parent / "dags",
    )
    with built.running():
        yield built
