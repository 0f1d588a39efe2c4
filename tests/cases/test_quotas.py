"""25 waves side by side, of which 20 jobs run at a time."""

from __future__ import annotations

from datetime import datetime, timezone

import yaml

from drs_provider.aws.drs import launch as hook_launch
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.hooks.drs import DrsHook
from tests.cases.world import REGION, Case, of


@of("many-waves")
def test_launches_that_wait_for_a_job_are_a_warning_and_each_server_is_launched_once(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    (finding,) = answer["findings"]
    assert (finding["code"], finding["severity"]) == ("quota-jobs", "warning")
    assert "25 jobs; the quota is 20, so 5 launches wait until others have ended, about 9m" in finding["message"]
    run = case.run()
    assert run.state == "success"
    assert sorted(case.launched) == [f"s-{number:017x}" for number in range(1, 26)]
    assert len(run.report["termination"]["terminated"]) == 25


@of("many-waves")
def test_at_most_twenty_jobs_run_at_a_time(case: Case) -> None:
    """Every wave is asked to launch before any job has ended: AWS refuses none, and the last ones wait."""
    plan = case.plan()
    case.simulation.freeze()
    limit = 20
    started, refused = 0, 0
    for wave in plan.plan.waves:
        key = LaunchKey("parallel", "run0", wave.name)
        try:
            hook_launch.launch_once(
                DrsHook(aws_conn_id=None, region_name=REGION),
                key,
                [wave.servers[0].id],
                is_drill=True,
                since=datetime.now(timezone.utc),
                patience=hook_launch.NO_SLOT_PATIENCE,
            )
            started += 1
        except hook_launch.NoFreeSlot:
            refused += 1
    assert (started, refused) == (limit, 5)
    assert not [one for one in case.simulation.log if one.get("operation") == "StartRecovery" and one.get("error")]


@of("many-waves")
def test_more_servers_than_all_jobs_may_hold_wait_too(case: Case) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    case.simulation.load({**scenario, "quotas": {"servers_in_jobs": 10}}, speed=60)
    code, answer = case.check()
    assert code == 0
    (finding,) = [one for one in answer["findings"] if one["code"] == "quota-servers-in-jobs"]
    assert finding["severity"] == "warning"
    assert "15 servers wait" in finding["message"]
