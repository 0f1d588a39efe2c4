"""Run an SSM automation document: started once, its approvals shown, its outputs returned."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, conf
from botocore.exceptions import ClientError

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.calls import TRANSIENT, patience_of, run_blocking
from drs_provider.aws.faults import classify, error_code, error_text
from drs_provider.aws.pauses import pause_for
from drs_provider.aws.ssm.commands import without_values
from drs_provider.aws.ssm.reads import read_automation
from drs_provider.aws.ssm.status import Automation, Progress
from drs_provider.durations import seconds_of
from drs_provider.hooks.ssm import SsmHook
from drs_provider.links.ssm import SsmAutomationLink
from drs_provider.operators.task_identity import TaskIdentity
from drs_provider.operators.triggerer_absence import OutlivesTriggerer
from drs_provider.triggers.automation import SsmAutomationTrigger, wait_for_automation
from drs_provider.triggers.posts import WaitFailed, WorkerPost
from drs_provider.triggers.waiting import deferral_timeout

__all__ = ["SsmAutomationOperator"]


class SsmAutomationOperator(OutlivesTriggerer, AwsBaseOperator[SsmHook]):
    """Start an SSM automation and wait until it has succeeded (StartAutomationExecution).

    Its client token is made of the task's identity, so it is started once, whatever is killed and whenever: a retry
    after a crash goes on with the execution that is there, a retry after the automation failed starts it again, a clear
    of the task starts it anew. The task's log says which it was. While the automation waits for an approval, the log
    and the task's link point to the console.

    :param document_name: the automation document, by name or ARN. (templated)
    :param parameters: the document's parameters, each a list of texts. Their values are never written to logs. They
        have to be the same in every try, so nothing that changes with the clock. (templated)
    :param document_version: such as ``"3"`` or ``"$LATEST"``; by default the document's default. (templated)
    :param timeout: seconds, or a ``timedelta``, from the start to the end, approvals included. Then the automation is
        cancelled and the task fails.
    :param tags: tags of the execution, needs ``ssm:AddTagsToResource``. (templated)
    :param start_options: further parameters of StartAutomationExecution, such as ``Targets`` and
        ``TargetParameterName``. (templated)
    :param poll_interval: seconds between two looks.
    :param wait_for_completion: with ``False`` the task ends when the automation is started; an
        :class:`~drs_provider.sensors.ssm.SsmAutomationSensor` can wait for it.
    :param deferrable: wait in the triggerer.
    :param stop_on_kill: cancel the automation when the task is killed, or marked while it is deferred.
    :returns: ``{"automation_execution_id", "status", "instances": {}, "outputs": {"step.output": [text]}}``
    :raises AirflowException: when the automation ends otherwise, with its message and that of the steps that failed.
    """

    aws_hook_class = SsmHook
    template_fields: Sequence[str] = aws_template_fields(
        "document_name", "document_version", "parameters", "tags", "start_options"
    )
    template_fields_renderers = {"parameters": "json", "tags": "json", "start_options": "json"}
    operator_extra_links = (SsmAutomationLink(),)
    ui_color = "#d0dce8"

    def __init__(
        self,
        *,
        document_name: str,
        parameters: Mapping[str, Sequence[str] | str] | None = None,
        document_version: str | None = None,
        timeout: float | timedelta = 3600,
        tags: Mapping[str, str] | None = None,
        start_options: Mapping[str, Any] | None = None,
        poll_interval: float = 10.0,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        stop_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.document_name = document_name
        self.parameters = parameters
        self.document_version = document_version
        self.timeout = timeout
        self.tags = tags
        self.start_options = start_options
        self.poll_interval = poll_interval
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.stop_on_kill = stop_on_kill
        self._killed = False
        self._execution_id: str | None = None

    def execute(self, context: Any) -> dict[str, Any]:
        """Start or adopt, wait, return the outputs."""
        self.before_sending(context)
        automation = self._start_or_adopt(self.task_identity(context))
        SsmAutomationLink.publish(context, self, self.hook, automation.execution_id)
        if self._killed:
            self._stop(automation.execution_id)
            raise AirflowException("The task was killed")
        if not self.wait_for_completion:
            return automation.as_xcom()
        console_url = SsmAutomationLink.url(self.hook, automation.execution_id)
        # By the clock of SSM: an adopted automation does not get its time anew.
        deadline = (automation.started or time.time()) + seconds_of(self.timeout)
        if self.deferrable and not automation.progress.ended:
            trigger = SsmAutomationTrigger(
                automation_execution_id=automation.execution_id,
                console_url=console_url,
                stop_on_kill=self.stop_on_kill,
                # Asset events come from workers only.
                end_task=not self.outlets,
                deadline=deadline,
                poll_interval=self.poll_interval,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            )
            self.defer(
                trigger=trigger,
                method_name="execute_complete",
                kwargs={"automation_execution_id": automation.execution_id},
                timeout=deferral_timeout(trigger),
            )
        try:
            return run_blocking(
                wait_for_automation(
                    WorkerPost(self.hook, lambda: self._killed),
                    automation.execution_id,
                    console_url=console_url,
                    deadline=deadline,
                    seconds=self.poll_interval,
                    log=self.log,
                )
            ).as_xcom()
        except WaitFailed as failure:
            if failure.timed_out:
                self._stop(automation.execution_id)
            raise AirflowException(str(failure)) from None

    def execute_complete(self, context: Any, event: dict[str, Any] | None, automation_execution_id: str) -> Any:
        """Take the trigger's event: return its value, or raise what it says."""
        if event and event.get("status") == "success":
            return event["value"]
        if event and event.get("timed_out"):
            self._stop(automation_execution_id)
        raise AirflowException((event or {}).get("message") or "The trigger ended without a result")

    def on_kill(self) -> None:
        """Cancel the automation, unless told otherwise."""
        self._killed = True
        if self._execution_id:
            self._stop(self._execution_id)

    def task_identity(self, context: Any) -> TaskIdentity:
        """Return of what the client token is made; for a task that knows more of its run than its ids."""
        return TaskIdentity.of(context)

    def before_sending(self, context: Any) -> None:
        """Do nothing; for a task that has something to check right before the automation is started."""

    def sent_parameters(self, given: Mapping[str, Sequence[str] | str]) -> Mapping[str, Sequence[str] | str]:
        """Return the parameters as they are sent; for a task that looks up values which must be kept nowhere."""
        return given

    def _start_or_adopt(self, identity: TaskIdentity) -> Automation:
        """Return this try's automation: that of an earlier try while it runs or succeeded, otherwise a new one.

        The n-th try of a generation makes at most the n-th attempt, so one that has just failed in the last place left
        for it is this try's own failure.
        """
        calls = self.hook.calls()
        for attempt in range(1, identity.tries + 1):
            execution_id = self._start(identity.token(attempt))
            automation = run_blocking(read_automation(calls, execution_id))
            if automation.started is not None and automation.started < identity.since:
                self.log.info("Automation %s is that of a run which had the same id, and was deleted", execution_id)
                execution_id = self._start(identity.token(attempt, anew=True))
                automation = run_blocking(read_automation(calls, execution_id))
            if automation.progress is not Progress.FAILED or attempt == identity.tries:
                break
            self.log.info(
                "Attempt %d, automation %s, ended as %s: starting attempt %d",
                attempt,
                execution_id,
                automation.status,
                attempt + 1,
            )
        self._execution_id = execution_id
        verb = "is" if identity.tries == 1 else "was started by this try or adopted from an earlier one, and is"
        self.log.info("Automation %s of %s %s %s", execution_id, self.document_name, verb, automation.status)
        return automation

    def _start(self, token: str) -> str:
        """Start the automation, or get the id of the one that was started with this token."""
        request: dict[str, Any] = {
            "DocumentName": self.document_name,
            "ClientToken": token,
            **(self.start_options or {}),
        }
        parameters = self.sent_parameters(self.parameters or {})
        if parameters:
            request["Parameters"] = {k: [v] if isinstance(v, str) else list(v) for k, v in parameters.items()}
        if self.document_version:
            request["DocumentVersion"] = self.document_version
        if self.tags:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        client: Any = self.hook.conn
        pauses = Backoff(time.time() + patience_of(300.0))
        while True:
            try:
                return str(client.start_automation_execution(**request)["AutomationExecutionId"])
            except Exception as error:
                failure = without_values(error, parameters)
            # The token makes it harmless to ask again, whatever became of the first request.
            if classify(failure) in TRANSIENT and not isinstance(failure, ValueError) and not pauses.is_over:
                self.log.warning("%s; asking again in %.0f s", error_text(failure), pauses.pause)
                pause_for(pauses.take())
                continue
            if isinstance(failure, ClientError) and error_code(failure) == "IdempotentParameterMismatch":
                raise AirflowException(
                    f"An earlier try of this task started {self.document_name} with other parameters. They have to be "
                    "the same in every try. Clear the task to run the automation again with the new ones."
                ) from None
            raise failure

    def _stop(self, execution_id: str) -> None:
        if not self.stop_on_kill:
            self.log.warning("Leaving automation %s alone", execution_id)
            return
        try:
            self.hook.stop_automation(execution_id)
            self.log.warning("Cancelled automation %s", execution_id)
        except Exception as error:  # the task fails already, for a better reason than this
            self.log.warning("Automation %s could not be cancelled: %s", execution_id, error_text(error))
