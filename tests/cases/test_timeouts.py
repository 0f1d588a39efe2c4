"""A time-out that is over before what it waits for."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import forecast
from drs_provider.estimate.site import ServerFacts, Site
from drs_provider.plan import RecoveryPlan
from tests.cases.world import ONE, REGION, Case, of


def _estimate(case: Case, *options: str, plan: dict[str, Any] | None = None) -> tuple[int, str]:
    file = case.folder / "plan.yaml"
    if plan:
        file = case.reports / "plan.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load((case.folder / "plan.yaml").read_text()), **plan}))
    scenario = ["--scenario", str(case.folder / "scenario.yaml")]
    result = CliRunner().invoke(app, ["estimate", str(file), *scenario, *options])
    return result.exit_code, result.stdout


@of("short-timeout")
def test_estimate_says_that_the_wave_gives_up_too_early(case: Case) -> None:
    code, text = _estimate(case)
    assert code == 1
    assert "the launch of dc01 (Windows) takes about 23m18s" in text
    assert "the wave gives up after 15m (launch_timeout)" in text
    code, text = _estimate(case, "--format", "json")
    (short,) = json.loads(text)["short_timeouts"]
    assert (short["wave"], short["what"], short["limit_seconds"], short["gives_up"]) == (
        "windows",
        "launch_timeout",
        900,
        True,
    )


@of("short-timeout")
@pytest.mark.parametrize(
    ("wave", "status", "words"),
    [
        ({"launch_timeout": "30m"}, 0, "may give up after 30m"),
        ({"launch_timeout": "60m"}, 0, None),
        (
            {"launch_timeout": "60m", "health_checks": [{"type": "instance_status", "timeout": "1m"}]},
            1,
            "the wave gives up after 1m (timeout of the health check instance_status)",
        ),
    ],
    ids=["at worst", "enough", "a health check's"],
)
def test_estimate_compares_each_time_out(case: Case, wave: dict[str, Any], status: int, words: str | None) -> None:
    waves = [{"name": "windows", "servers": [{"id": ONE}], **wave}]
    code, text = _estimate(case, plan={"waves": waves})
    assert code == status
    assert ("give" in text.partition("\nFrom ")[0].partition("Note:")[2] or "Time-out:" in text) == (words is not None)
    assert words is None or words in text


@of("short-timeout")
def test_check_warns_of_it(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    (finding,) = answer["findings"]
    assert (finding["code"], finding["severity"], finding["wave"]) == ("launch-timeout-short", "warning", "windows")
    assert "Windows takes about 23m" in finding["message"]
    assert "gives up after 15m" in finding["message"]


def test_a_live_job_of_25_windows_servers_lies_within_the_estimate() -> None:
    """It took 28 min 46 s."""
    servers = [{"id": f"s-{number:017x}"} for number in range(1, 26)]
    plan = RecoveryPlan.model_validate(
        {
            "version": 1,
            "name": "site",
            "target": {"region": REGION},
            "waves": [{"name": "all", "servers": servers, "launch_timeout": "1h"}],
        }
    )
    known = tuple({"sourceServerID": one["id"], "tags": {}, "sourceProperties": {}} for one in servers)
    facts = {one["id"]: ServerFacts("windows") for one in servers}
    found = forecast(plan, Durations(Site("the account", known, facts, spread=True)))
    assert found.rto.low < 1726 < found.rto.high
    assert found.rto.typical == pytest.approx(1726, rel=0.05)
    assert found.timeouts == ()
