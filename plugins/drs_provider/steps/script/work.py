"""The scripts before and after a wave's launch: SSM commands and automations, as the plan names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from drs_provider.evidence.not_tested import why_left_out
from drs_provider.operators.automation import SsmAutomationOperator
from drs_provider.operators.ssm import SsmScriptOperator
from drs_provider.plan import Targets
from drs_provider.plan.steps import LAUNCH, WAIT_FOR_LAUNCH
from drs_provider.runs.custody import ENDED_STATES
from drs_provider.runs.stopping import DrillStoppedError
from drs_provider.steps.script.event import ScriptEvent
from drs_provider.tasks.advice import after_failure
from drs_provider.tasks.failure_log import TaskFailedError
from drs_provider.tasks.recovery_work import (
    RecoveryWork,
    RefusedError,
    is_final,
    nothing_launched,
    pulled,
    reason_of,
    task_states,
)
from drs_provider.tasks.secret_values import with_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Script, Wave
    from drs_provider.plan.targets import NamedTarget

__all__ = ["AutomationWork", "CommandWork", "script_work"]


def script_work(script: Script, **kwargs: Any) -> CommandWork | AutomationWork:
    """Return the work of one script.

    :param script: the script; ``automation`` or ``run_command`` decides which work it is.
    :param kwargs: the task's ``task_id``, ``section``, ``loaded``, ``wave`` and so on.
    """
    return AutomationWork(script=script, **kwargs) if script.automation else CommandWork(script=script, **kwargs)


class _ScriptWork(RecoveryWork):
    """What commands and automations share: when they are left out, and what their failure means."""

    wave: Wave
    script: Script
    section: str
    parameters: Mapping[str, Sequence[str] | str] | None
    """The operator's own."""

    @property
    def target(self) -> NamedTarget:
        """Where the script runs: the target that it names, else its wave's."""
        return self.loaded.plan.target_of(self.wave, self.script)

    def begin_script(self, context: Context) -> None:
        """Leave the script out where the run or its mode says so.

        :raises AirflowSkipException: when the script does not belong to this run.
        """
        try:
            run = self.begin(context)
        except AirflowFailException as refusal:
            self.leave_failure(context, str(refusal))
            raise
        if why := why_left_out(self.script, run.mode, skip_scripts=run.skip_scripts):
            # Airflow's own line of a skipped task does not say which script, and that nothing was sent.
            self.log.info("Skipped, and nothing was sent: script %s: %s", self.script.name, why)
            raise AirflowSkipException(why)
        self.note_start(context)

    def may_continue(self, context: Mapping[str, Any]) -> bool:
        """Continue a run that failed where the wave's launch was cleared with this script, and is still to come."""
        launch = f"{self.wave.name}.{LAUNCH}"
        return self.section == "pre_launch" and task_states(context).get(launch) not in ENDED_STATES

    def before_sending(self, context: Any) -> None:
        """Check once more, right before the script is sent: agents may have been waited for."""
        self.before_acting(context)

    def sent_parameters(self, given: Mapping[str, Sequence[str] | str]) -> Mapping[str, Sequence[str] | str]:
        """Return the parameters with the values that the plan refers to."""
        return with_secrets(given)

    def judged(self, context: Context, work: Callable[[], Any]) -> Any:
        """Do the work of the script; turn its failure into a final one, or pass over it where the plan says so.

        A script that failed is not run again by itself: it may not be safe to repeat. What is retried by Airflow is
        what is not the script's own failure, such as a worker that died; the next try finds the script again. One that
        AWS refuses to start has failed.
        """
        self.parameters = self.script.in_mode(self.run(context).mode).parameters
        try:
            return work()
        except AirflowSkipException:
            raise
        except (RefusedError, DrillStoppedError) as refusal:
            # on_failure is about the script: no plan goes on past a gate, or past a request to stop.
            self.leave_failure(context, str(refusal))
            raise
        except Exception as error:
            if not is_final(error, context, self.patience_over):
                raise
            reason = reason_of(error)
            self.leave_failure(context, reason)
            if self.script.on_failure == "continue":
                self.log.warning("The script failed, and the plan says to go on: %s", reason)
                return {"status": "Failed", "reason": reason, "instances": {}, "outputs": {}}
            remedy = after_failure(self.loaded.plan, self.run(context), self.wave.name)
            raise TaskFailedError(reason, remedy) from error

    def leave_failure(self, context: Context, reason: str) -> None:
        """Leave the event of a script that failed, or was not run."""
        self.leave_evidence(
            context,
            ScriptEvent(
                **self.times(context),
                status="Failed",
                wave=self.wave.name,
                name=self.script.name,
                section=self.section,
                script_kind="automation" if self.script.automation else "run_command",
                document=self.script.automation or self.script.run_command or "",
                reason=reason,
            ),
        )


class CommandWork(_ScriptWork, SsmScriptOperator):
    """Runs an SSM command on the wave's recovery instances, or on those that the script names.

    :param script: the script.
    :param section: ``pre_launch`` or ``post_launch``.
    :param loaded: the plan.
    :param wave: the wave.
    """

    # SSM has references of its own in double braces; nothing in a plan is an Airflow template.
    template_fields = ()

    def __init__(self, *, script: Script, section: str, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        targets = script.targets
        super().__init__(
            document_name=script.run_command or "",
            parameters=script.parameters,
            instances=list(targets.instance_ids) if isinstance(targets, Targets) and targets.instance_ids else None,
            target_tags=dict(targets.tags) if isinstance(targets, Targets) and targets.tags else None,
            timeout=script.timeout,
            deferrable=True,
            aws_conn_id=loaded.plan.target_of(wave, script).aws_conn_id,
            region_name=loaded.plan.target_of(wave, script).region,
            **kwargs,
        )
        self.script = script
        self.section = section
        self.loaded = loaded
        self.wave = wave

    def execute(self, context: Context) -> Any:
        """Send the command, or go on with the one that an earlier try sent, and wait for it."""
        self.begin_script(context)
        if not isinstance(self.script.targets, Targets):
            self.instances = pulled(context, f"{self.wave.name}.{WAIT_FOR_LAUNCH}")
            if nothing_launched(self.instances):
                self.log.warning("No server of the wave was launched: the script runs on none")
                return {"status": "Success", "instances": {}, "outputs": {}}
        return self.judged(context, lambda: super(CommandWork, self).execute(context))

    def run_now(self, context: Context) -> Any:
        """Run the command in this worker, to its end; for a task that runs several scripts."""
        return super().execute(context)

    def agents_online(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Send the command now that the agents answer."""
        return self.judged(context, lambda: super(CommandWork, self).agents_online(context, *args, **kwargs))

    def execute_complete(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Judge the command; only failures come here."""
        return self.judged(context, lambda: super(CommandWork, self).execute_complete(context, *args, **kwargs))


class AutomationWork(_ScriptWork, SsmAutomationOperator):
    """Runs an SSM Automation runbook.

    :param script: the script.
    :param section: ``pre_launch`` or ``post_launch``.
    :param loaded: the plan.
    :param wave: the wave.
    """

    template_fields = ()

    def __init__(self, *, script: Script, section: str, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(
            document_name=script.automation or "",
            parameters=script.parameters,
            timeout=script.timeout,
            deferrable=True,
            aws_conn_id=loaded.plan.target_of(wave, script).aws_conn_id,
            region_name=loaded.plan.target_of(wave, script).region,
            **kwargs,
        )
        self.script = script
        self.section = section
        self.loaded = loaded
        self.wave = wave

    def execute(self, context: Context) -> Any:
        """Start the automation, or go on with the one that an earlier try started, and wait for it."""
        self.begin_script(context)
        return self.judged(context, lambda: super(AutomationWork, self).execute(context))

    def run_now(self, context: Context) -> Any:
        """Run the automation in this worker, to its end; for a task that runs several scripts."""
        return super().execute(context)

    def execute_complete(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Judge the automation; only failures come here."""
        return self.judged(context, lambda: super(AutomationWork, self).execute_complete(context, *args, **kwargs))
