"""A script whose failure the plan passes over does not pass over a gate, or over a request to stop."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.requests.model import RunRequest
from drs_provider.runs import stopping
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.script import work as scripts
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

SERVER = "s-00000000000000001"
NOW = datetime.now(timezone.utc)
REQUEST = RunRequest(
    kind="stop_drill", dag_id="shop", from_run="recovery__1", by="alice", at=NOW, reason="a recovery waits"
)
AUTOMATION = {"automation": "Shop-Open"}
COMMAND = {"run_command": "AWS-RunShellScript", "parameters": {"commands": ["true"]}}


@pytest.fixture
def site(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulation:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    documents = {"Shop-Open": {"kind": "Automation", "duration": 1}}
    servers = [{"id": SERVER, "hostname": "one"}]
    drs_simulator.load({"region": "us-west-2", "servers": servers, "documents": documents}, speed=60)
    return drs_simulator


@pytest.mark.parametrize("script", [AUTOMATION, COMMAND], ids=["automation", "command"])
@pytest.mark.parametrize("meanwhile", ["closed", "asked to stop"])
def test_what_happens_between_its_beginning_and_its_sending_stops_it(
    site: Simulation, monkeypatch: pytest.MonkeyPatch, script: dict[str, Any], meanwhile: str
) -> None:
    wave = {"name": "web", "servers": [{"id": SERVER}], "post_launch": [{"name": "open", "on_failure": "continue"}]}
    wave["post_launch"][0].update(script)  # type: ignore[index]
    run = InProcessRun(build_dag(loaded_plan(wave)), {"mode": "drill"}, random.Random(1))
    begin = scripts._ScriptWork.begin_script

    def begin_script(self: Any, context: Any) -> None:
        begin(self, context)
        if meanwhile == "closed":
            run.xcoms["confirm"]["closing"] = {"state": "success", "at": NOW.isoformat()}
        else:
            monkeypatch.setattr(stopping, "pending_request", lambda *_: REQUEST)

    monkeypatch.setattr(scripts._ScriptWork, "begin_script", begin_script)
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    assert run.states["web.post_launch.open"] == "failed"
    said = run.xcoms["web.post_launch.open"]["evidence"]["reason"]
    assert ("this run ended with success" if meanwhile == "closed" else "stops for a recovery") in said
    assert not [one for one in site.log if one.get("operation") in ("SendCommand", "StartAutomationExecution")]
