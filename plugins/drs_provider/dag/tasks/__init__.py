"""The tasks of a recovery plan's DAG. They know plans on one side and the provider on the other."""

from __future__ import annotations

from drs_provider.dag.tasks.confirm import ApproveWave, ConfirmRun
from drs_provider.dag.tasks.health import check_instances
from drs_provider.dag.tasks.launch import LaunchWave
from drs_provider.dag.tasks.preflight import Preflight
from drs_provider.dag.tasks.report import WriteReport
from drs_provider.dag.tasks.rollback import RollBackWave
from drs_provider.dag.tasks.scripts import RunAutomation, RunCommand, run_script
from drs_provider.dag.tasks.settle import SettleWave
from drs_provider.dag.tasks.terminate import TerminateDrill
from drs_provider.dag.tasks.wait_for_launch import WaitForLaunch

__all__ = [
    "ApproveWave",
    "ConfirmRun",
    "LaunchWave",
    "Preflight",
    "RollBackWave",
    "RunAutomation",
    "RunCommand",
    "SettleWave",
    "TerminateDrill",
    "WaitForLaunch",
    "WriteReport",
    "check_instances",
    "run_script",
]
