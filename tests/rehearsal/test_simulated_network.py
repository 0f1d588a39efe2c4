"""In a rehearsal, checks that the worker makes itself pass; elsewhere nothing is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from drs_provider.rehearsal.simulated_network import install

# Airflow's own way to the listeners of its plugins.
ASK = """
import asyncio, sys, time
from airflow.listeners.listener import get_listener_manager
from drs_provider.triggers.health import HttpHealthTrigger, TcpPortTrigger
get_listener_manager().hook.on_starting(component=object())
common = dict(instance_ids=["i-1"], deadline=time.time() + 60, probe_timeout=1)
for trigger in (TcpPortTrigger(port=9, **common), HttpHealthTrigger(port=9, path="/", **common)):
    print("ANSWER", asyncio.run(trigger.probe("127.0.0.1")))
"""


def answers(home: Path) -> list[str]:
    env = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins")}
    done = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("ANSWER").strip() for line in done.stdout.splitlines() if line.startswith("ANSWER")]


def test_checks_pass_in_a_rehearsal_and_nowhere_else(tmp_path: Path) -> None:
    port, page = answers(tmp_path)
    assert "127.0.0.1" in port and "127.0.0.1" in page, "nothing listens there"
    install(tmp_path / "plugins")
    assert answers(tmp_path) == ["", ""]
