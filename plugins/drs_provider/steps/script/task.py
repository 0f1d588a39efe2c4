"""A script before or after a wave's launch: its task in the DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drs_provider.tasks.delegation import AUTOMATION_LINK, COMMAND_LINK, RecoveryTask

if TYPE_CHECKING:
    from drs_provider.plan import Script
    from drs_provider.plan.steps import Step

__all__ = ["RunAutomation", "RunCommand", "RunScript"]


class RunScript(RecoveryTask):
    """Runs a script before or after the wave's launch; ``of`` makes it a command or an automation.

    :param script: the script.
    :param section: ``pre_launch`` or ``post_launch``.
    """

    def __init__(self, *, script: Script, section: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.script = script
        self.section = section

    @classmethod
    def of(cls, step: Step, **kwargs: Any) -> RecoveryTask:
        """Return the task of one script; ``automation`` or ``run_command`` decides which it is."""
        kind = RunAutomation if step.script is not None and step.script.automation else RunCommand
        known: dict[str, Any] = {"script": step.script, "section": step.section}
        return kind(**known, **kwargs)

    @property
    def work_arguments(self) -> dict[str, Any]:
        """What the work needs to know beside the plan and the wave."""
        return {"script": self.script, "section": self.section}


class RunCommand(RunScript):
    """Runs an SSM command on the wave's recovery instances, or on those that the script names."""

    work_path = "drs_provider.steps.script.work.CommandWork"
    operator_extra_links = (COMMAND_LINK,)


class RunAutomation(RunScript):
    """Runs an SSM Automation runbook."""

    work_path = "drs_provider.steps.script.work.AutomationWork"
    operator_extra_links = (AUTOMATION_LINK,)
