"""The tasks of a recovery plan's DAG: what each is of, what links it shows, and which operator does its work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from drs_provider.dag.delegation import RecoveryTask, WorkLink
from drs_provider.links.report import RecoveryReportLink
from drs_provider.plan import HttpCheck, TcpCheck

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from drs_provider.plan import HealthCheck, Script, Wave

__all__ = [
    "ApproveWave",
    "CheckHealth",
    "ConfirmRun",
    "LaunchWave",
    "Preflight",
    "RollBackWave",
    "RunAutomation",
    "RunCommand",
    "RunScript",
    "SettleWave",
    "TerminateDrill",
    "WaitForLaunch",
    "WriteReport",
    "run_script",
]

JOB_LINK = WorkLink("Recovery job in DRS", "drs_provider.links.drs", "DrsJobLink")
INSTANCES_LINK = WorkLink("Recovery instances in DRS", "drs_provider.links.drs", "DrsRecoveryInstancesLink")
COMMAND_LINK = WorkLink("SSM command", "drs_provider.links.ssm", "SsmCommandLink")
AUTOMATION_LINK = WorkLink("SSM automation", "drs_provider.links.ssm", "SsmAutomationLink")


class _WaveTask(RecoveryTask):
    """A task of a wave."""

    wave: Wave


class ConfirmRun(RecoveryTask):
    """The run's first task: checks its parameters, records the plan, and holds a real recovery until it is approved."""

    def make_work(self) -> BaseOperator:
        """Return the gate of the run."""
        from drs_provider.dag.work.confirm import ConfirmWork

        return ConfirmWork(task_id=self.task_id, loaded=self.loaded)


class Preflight(RecoveryTask):
    """Checks servers, replication, snapshots, quotas, launch configuration, documents and rights."""

    def make_work(self) -> BaseOperator:
        """Return the checks."""
        from drs_provider.dag.work.preflight import PreflightWork

        return PreflightWork(task_id=self.task_id, loaded=self.loaded)


class ApproveWave(_WaveTask):
    """Waits until a person says go before a wave."""

    def make_work(self) -> BaseOperator:
        """Return the gate of the wave."""
        from drs_provider.dag.work.confirm import ApproveWork

        return ApproveWork(task_id=self.task_id, loaded=self.loaded, wave=self.wave)


class LaunchWave(_WaveTask):
    """Resolves the wave's servers, checks their lag, and launches each exactly once."""

    operator_extra_links = (JOB_LINK,)

    def make_work(self) -> BaseOperator:
        """Return the launch."""
        from drs_provider.dag.work.launch import LaunchWork

        return LaunchWork(task_id=self.task_id, loaded=self.loaded, wave=self.wave)


class WaitForLaunch(_WaveTask):
    """Waits until every job of the wave has ended, judges its servers, and launches failed ones again."""

    operator_extra_links = (JOB_LINK,)

    def make_work(self) -> BaseOperator:
        """Return the wait."""
        from drs_provider.dag.work.wait_for_launch import WaitForLaunchWork

        return WaitForLaunchWork(task_id=self.task_id, loaded=self.loaded, wave=self.wave)


class SettleWave(_WaveTask):
    """Waits for ``settle`` after the wave's launch, in the triggerer."""

    def make_work(self) -> BaseOperator:
        """Return the pause."""
        from drs_provider.dag.work.settle import SettleWork

        return SettleWork(task_id=self.task_id, loaded=self.loaded, wave=self.wave)


class CheckHealth(_WaveTask):
    """Waits until every instance of the wave passes a check.

    :param check: the check, as the plan says it.
    """

    def __init__(self, *, check: HealthCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check
        if isinstance(check, (TcpCheck, HttpCheck)) and check.via == "ssm":
            self.operator_extra_links = (COMMAND_LINK,)

    def make_work(self) -> BaseOperator:
        """Return the wait of this kind of check."""
        from drs_provider.dag.work.health import health_work

        return health_work(self.check, task_id=self.task_id, loaded=self.loaded, wave=self.wave)


class RunScript(_WaveTask):
    """Runs a script before or after the wave's launch.

    :param script: the script.
    :param section: ``pre_launch`` or ``post_launch``.
    """

    def __init__(self, *, script: Script, section: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.script = script
        self.section = section

    def make_work(self) -> BaseOperator:
        """Return the run of this kind of script."""
        from drs_provider.dag.work.scripts import script_work

        return script_work(self.script, task_id=self.task_id, section=self.section, loaded=self.loaded, wave=self.wave)


class RunCommand(RunScript):
    """Runs an SSM command on the wave's recovery instances, or on those that the script names."""

    operator_extra_links = (COMMAND_LINK,)


class RunAutomation(RunScript):
    """Runs an SSM Automation runbook."""

    operator_extra_links = (AUTOMATION_LINK,)


def run_script(script: Script, **kwargs: Any) -> RunScript:
    """Return the task of one script; ``automation`` or ``run_command`` decides which it is.

    :param script: the script.
    :param kwargs: the task's ``task_id``, ``section``, ``loaded``, ``wave`` and so on.
    """
    return (RunAutomation if script.automation else RunCommand)(script=script, **kwargs)


class RollBackWave(_WaveTask):
    """Ends what this run launched for the wave, then runs the wave's rollback scripts in order.

    :param watched: ids of the tasks whose failure unwinds the wave: its own, or all tasks of the recovery.
    """

    operator_extra_links = (INSTANCES_LINK,)
    ends_the_run = True

    def __init__(self, *, watched: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched = frozenset(watched)

    def make_work(self) -> BaseOperator:
        """Return the unwinding."""
        from drs_provider.dag.work.rollback import RollbackWork

        return RollbackWork(task_id=self.task_id, loaded=self.loaded, wave=self.wave, watched=self.watched)


class TerminateDrill(RecoveryTask):
    """Terminates the instances that this drill launched, as ``drill.terminate`` and ``drill.keep_for`` say."""

    operator_extra_links = (INSTANCES_LINK,)
    ends_the_run = True

    def make_work(self) -> BaseOperator:
        """Return the end of the drill."""
        from drs_provider.dag.work.terminate import TerminateWork

        return TerminateWork(task_id=self.task_id, loaded=self.loaded)


class WriteReport(RecoveryTask):
    """Writes the report of the run, and fails when the run did."""

    operator_extra_links = (RecoveryReportLink(),)
    ends_the_run = True

    def make_work(self) -> BaseOperator:
        """Return who writes it."""
        from drs_provider.dag.work.report import ReportWork

        return ReportWork(task_id=self.task_id, loaded=self.loaded)
