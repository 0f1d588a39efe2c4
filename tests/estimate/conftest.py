"""Plans and scenarios as data, and the estimate of a plan against a scenario file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import Forecast, forecast
from drs_provider.estimate.overhead import USUAL
from drs_provider.estimate.site import scenario_site
from drs_provider.plan import RecoveryPlan

NO_OVERHEAD = USUAL.scaled(0.0)


def server(number: int, tier: str, **details: Any) -> dict[str, Any]:
    """A source server of a scenario, selected by its tier."""
    return {"id": f"s-{number:017d}", "hostname": f"h{number}", "tags": {"Tier": tier}, **details}


def wave(name: str, *after: str, **keys: Any) -> dict[str, Any]:
    """A wave whose servers are those of the tier of its name."""
    return {"name": name, "depends_on": list(after), "servers": [{"tags": {"Tier": name}}], **keys}


def plan_of(*waves: dict[str, Any], **keys: Any) -> RecoveryPlan:
    """A plan with these waves."""
    data = {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "waves": list(waves), **keys}
    return RecoveryPlan.model_validate(data)


@pytest.fixture
def predict(tmp_path: Path) -> Callable[..., Forecast]:
    """The estimate of a plan against a scenario; without Airflow's time unless it is given."""

    def run(plan: RecoveryPlan, scenario: dict[str, Any], **options: Any) -> Forecast:
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump({"region": "us-west-2", **scenario}))
        durations = Durations(scenario_site(path, plan), **options.pop("durations", {}))
        return forecast(plan, durations, **{"overhead": NO_OVERHEAD, **options})

    return run
