"""Ten varied plans: what ``drs-plan estimate`` predicts of each, against what its rehearsal took.

One private Airflow and one simulator serve all the plans. A plan of its own, run first and alone, measures how slow
this machine's Airflow is; that one factor goes into the predictions, which are made before the ten runs. Settling,
and Airflow, take real time at any speed of the simulator, and the prediction knows that: so the figures are seconds of
the wall clock, at a speed at which DRS is most of them.

    python benchmarks/check_estimates.py [--speed 10] [--every 10] [--limit 15]

Exits with 1 where a prediction is further off than the limit, in percent, or a run did not succeed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import Forecast, forecast
from drs_provider.estimate.overhead import USUAL, Overhead
from drs_provider.estimate.site import scenario_site
from drs_provider.evidence.record import RunRecord
from drs_provider.plan import RecoveryPlan, load_plan
from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from drs_provider.rehearsal.environment import simulator_credentials
from drs_provider.rehearsal.private_airflow import PrivateAirflow
from drs_provider.rehearsal.simulator_process import SimulatorProcess

REGION = "us-west-2"
STATUS, AGENT = {"type": "instance_status"}, {"type": "ssm_online"}
PROBE = {"type": "http", "path": "/healthz", "port": 80, "via": "ssm"}


SECONDS = (20, 30, 60, 120)


def script(name: str, seconds: int) -> dict[str, Any]:
    """A command on the launched instances, of which the scenario says how long it takes."""
    return {"name": name, "run_command": f"Own-Command-{seconds}"}


def runbook(name: str, document: str) -> dict[str, Any]:
    """An automation of the scenario."""
    return {"name": name, "automation": document}


class Builder:
    """Collects plans and the servers that they need."""

    def __init__(self) -> None:
        self.plans: dict[str, dict[str, Any]] = {}
        self.servers: list[dict[str, Any]] = []

    def plan(self, name: str, **waves: dict[str, Any]) -> None:
        """Add a plan. Of each wave ``count``, ``after`` and ``server`` are meant for this, the rest for the plan."""
        built = []
        for wave, given in waves.items():
            tag = f"{name}-{wave}"
            for _ in range(given.get("count", 1)):
                number = len(self.servers)
                server = {"id": f"s-{number:017d}", "hostname": f"h{number}", "tags": {"Wave": tag}}
                self.servers.append({**server, **given.get("server", {})})
            keys = {key: value for key, value in given.items() if key not in ("count", "after", "server")}
            built.append(
                {"name": wave, "depends_on": given.get("after", []), "servers": [{"tags": {"Wave": tag}}], **keys}
            )
        self.plans[name] = {"version": 1, "name": name, "target": {"region": REGION}, "waves": built}


def campaign() -> tuple[Builder, dict[str, Any]]:
    """The plans, the measuring one first, and the scenario that serves them all."""
    build = Builder()
    slow = {"durations": {"conversion": 400, "launch": 350}}
    quick = {"durations": {"conversion": 90, "launch": 150}}
    windows = {"os": "windows"}
    build.plan("measure", only={"server": quick, "post_launch": [script("start", 30)], "health_checks": [STATUS]})
    build.plan("single", only={"count": 3})
    build.plan("checked", only={"count": 2, "health_checks": [STATUS, AGENT, PROBE]})
    build.plan("chain", db={"count": 2}, app={"after": ["db"], "count": 4}, web={"after": ["app"], "server": quick})
    build.plan("parallel", a={"server": quick}, b={}, c={"server": slow}, d={"count": 3})
    build.plan(
        "diamond",
        db={"post_launch": [script("start", 60)]},
        left={"after": ["db"], "server": slow},
        right={"after": ["db"], "server": quick, "settle": "20s"},
        top={"after": ["left", "right"], "server": quick},
    )
    build.plan(
        "scripts",
        all={
            "pre_launch": [runbook("fence", "Own-Fence")],
            "post_launch": [script("first", 120), script("second", 30), runbook("third", "Own-Warm")],
        },
    )
    build.plan("windows", dc={"server": windows, "health_checks": [AGENT]}, files={"after": ["dc"], "server": quick})
    build.plan("chunks", big={"count": 45, "server": quick}, next={"after": ["big"], "count": 2})
    build.plan("pauses", one={"settle": "40s"}, two={"after": ["one"], "settle": "30s", "server": quick})
    build.plan(
        "uneven",
        long={"server": {"durations": {"conversion": 900, "launch": 600}}},
        short={"server": quick},
        after={"after": ["short"], "health_checks": [STATUS], "post_launch": [script("go", 20)]},
        late={"after": ["after"], "server": quick},
    )
    documents = {
        "Own-Fence": {"kind": "Automation", "duration": 90},
        "Own-Warm": {"kind": "Automation", "duration": 45},
        **{f"Own-Command-{seconds}": {"kind": "Command", "duration": seconds} for seconds in SECONDS},
    }
    scenario = {"region": REGION, "servers": build.servers, "documents": documents, "quotas": {"servers_per_job": 20}}
    return build, scenario


class Campaign:
    """An Airflow and a simulator with the plans of a campaign.

    :param folder: a folder for all that it writes.
    :param speed: how many times faster than real time AWS is.
    """

    def __init__(self, folder: Path, speed: float) -> None:
        self.speed = speed
        build, scenario = campaign()
        self.files = {}
        (folder / "plans").mkdir(parents=True)
        for name, data in build.plans.items():
            self.files[name] = folder / "plans" / f"{name}.yaml"
            self.files[name].write_text(yaml.safe_dump(data, sort_keys=False))
        self.scenario = folder / "scenario.yaml"
        self.scenario.write_text(yaml.safe_dump(scenario))
        self.simulator = SimulatorProcess(folder / "simulator", self.scenario, speed=speed)
        credentials = simulator_credentials(self.simulator.endpoint_url, REGION)
        # As drs-plan rehearse sets it: the plans' pauses are as fast as AWS.
        settings = {**credentials, "AIRFLOW__DRS_PROVIDER__REHEARSAL_SPEED": f"{speed:g}"}
        self.airflow = PrivateAirflow(folder / "airflow", folder / "plans", settings)

    def plan(self, name: str) -> RecoveryPlan:
        """The plan of that name."""
        return load_plan(self.files[name]).plan

    def predict(self, name: str, overhead: Overhead) -> Forecast:
        """The estimate of a plan."""
        plan = self.plan(name)
        return forecast(plan, Durations(scenario_site(self.scenario, plan)), overhead=overhead, speed=self.speed)

    def machine_factor(self) -> float:
        """How many times as slow as usual this machine's Airflow is, by what a run took beside DRS and scripts.

        Only from preflight on: the first run of an Airflow that has just started begins slowly.
        """
        report = self.finish("measure", self.start("measure"))
        assert report.preflight.ended is not None and report.recovered is not None
        measured = (report.recovered - report.preflight.ended).total_seconds()
        without = self.predict("measure", USUAL.scaled(0.0)).rto.typical
        usual = self.predict("measure", USUAL).rto.typical - USUAL.begin.typical
        return (measured - without) / (usual - without)

    def start(self, name: str) -> str:
        """Start a drill, and return its run id."""
        self.airflow.wait_for_dag(name)
        return self.airflow.api.trigger(name, {"mode": "drill"})

    def finish(self, name: str, run_id: str) -> RunRecord:
        """Wait for the end of a run, and return its report."""
        api = self.airflow.api
        while api.run(name, run_id)["state"] not in FINISHED_STATES:
            self.airflow.supervise()
            time.sleep(1)
        written = str(api.xcom(name, run_id, "report", "report_folder") or "")
        report = RunRecord.model_validate_json((Path(written.removeprefix("file://")) / "report.json").read_bytes())
        if report.rto.achieved_seconds is None:
            raise SystemExit(f"{name}: the run did not recover: {report.rto.remark}")
        return report


def main() -> int:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--speed", type=float, default=10, help="how many times faster than real time AWS is")
    parser.add_argument("--every", type=float, default=10, help="seconds between the starts of two runs")
    parser.add_argument("--limit", type=float, default=15, help="the most that a prediction may be off, in percent")
    parser.add_argument("--plans", help="only these, separated by commas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="check-estimates-", ignore_cleanup_errors=True) as folder:
        runs = Campaign(Path(folder), options.speed)
        names = options.plans.split(",") if options.plans else [name for name in runs.files if name != "measure"]
        try:
            runs.simulator.start()
            runs.airflow.start()
            factor = runs.machine_factor()
            print(f"This machine's Airflow takes {factor:.2f} times the usual time.\n", flush=True)
            predicted = {name: runs.predict(name, USUAL.scaled(factor)) for name in names}
            started = {}
            for name in names:
                started[name] = runs.start(name)
                time.sleep(options.every)
            measured = {}
            for name, run_id in started.items():
                measured[name] = runs.finish(name, run_id).rto.achieved_seconds or 0.0
                print(_row(name, predicted[name], measured[name]), file=sys.stderr, flush=True)
        finally:
            runs.airflow.stop()
            runs.simulator.stop()
    return _table(predicted, measured, options.limit)


def _percent_off(estimate: Forecast, measured: float) -> float:
    return (estimate.rto.typical - measured) / measured * 100


def _row(name: str, estimate: Forecast, measured: float) -> str:
    servers, jobs = sum(wave.servers for wave in estimate.waves), sum(wave.jobs for wave in estimate.waves)
    times = f"{estimate.rto.typical:.1f} s | {measured:.1f} s | {_percent_off(estimate, measured):+.1f} %"
    return f"| {name} | {len(estimate.waves)} | {servers} | {jobs} | {times} |"


def _table(predicted: dict[str, Forecast], measured: dict[str, float], limit: float) -> int:
    print("| plan | waves | servers | jobs | predicted | measured | off |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, estimate in predicted.items():
        print(_row(name, estimate, measured[name]))
    worst = max(abs(_percent_off(estimate, measured[name])) for name, estimate in predicted.items())
    print(f"\nThe prediction that is furthest off is {worst:.1f} % off; the limit is {limit:g} %.")
    return 0 if worst <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
