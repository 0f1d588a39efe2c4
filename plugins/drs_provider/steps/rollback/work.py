"""The unwinding of a wave: its instances are ended and its rollback scripts run, once the wave has failed for good."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    BaseOperator,
)
from airflow.providers.standard.triggers.temporal import DateTimeTrigger

from drs_provider.airflow_compat import run_as_task
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.aws.drs.launched_into import release, set_apart, stop_instances
from drs_provider.aws.drs.reads import is_complete
from drs_provider.aws.drs.termination import Termination, instances_to_end, wait_until_gone
from drs_provider.aws.faults import ActionFailed
from drs_provider.evidence.events import EVIDENCE_KEY, InstanceLeft, read_events, read_fact
from drs_provider.hooks.drs import DrsHook
from drs_provider.plan import dependents
from drs_provider.runs.custody import ENDED_STATES
from drs_provider.runs.rehearsing import pace
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.rollback.event import RollbackEvent
from drs_provider.steps.rollback.unwinding import UnwindingApproval
from drs_provider.steps.script.event import ScriptEvent, ScriptResult
from drs_provider.steps.script.work import script_work
from drs_provider.tasks.intents import next_look, read_intents
from drs_provider.tasks.once_up import waves_once_up
from drs_provider.tasks.recovery_work import (
    RecoveryWork,
    RunClosedError,
    is_final,
    jobs_since,
    pulled,
    reason_of,
    task_states,
)
from drs_provider.tasks.wave_jobs import WaveJobs
from drs_provider.triggers.drs import DrsJobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Script, Wave
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = ["RollbackWork"]

_TERMINATION_TIMEOUT = timedelta(minutes=30)
_SPARE = timedelta(minutes=15)
_LOOK_SECONDS = 5.0


class RollbackWork(RecoveryWork, BaseOperator):
    """Ends what this run launched for the wave, then runs the wave's rollback scripts in order.

    It runs when every task that it looks at is done, and does nothing where none of them failed. Ending twice does no
    harm, and scripts are found again by a second try, so the task can be repeated.

    :param loaded: the plan.
    :param wave: the wave.
    :param watched: ids of the tasks whose failure unwinds the wave: its own, or all tasks of the recovery.
    """

    template_fields = ()
    wave: Wave
    # What is terminated is what was launched, whatever the plan says now.
    acts_on_changed_plan = True
    ends_the_run = True
    gates = ("confirm",)
    closed_by = ("confirm", "preflight")

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, watched: Collection[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded
        self.wave = wave
        self.watched = frozenset(watched)

    def execute(self, context: Context) -> Any:
        """Decide whether the wave has to be unwound.

        :raises AirflowSkipException: when nothing failed, or the wave had not begun.
        """
        run = self.run(context)
        if not run.selects(self.wave.name):
            raise AirflowSkipException(f"This run leaves the wave {self.wave.name} out")
        states = task_states(context)
        failed = sorted(task for task in self.watched if states.get(task) == "failed")
        if not failed:
            raise AirflowSkipException("Nothing failed that would unwind this wave")
        if not _began(self.wave.name, states):
            raise AirflowSkipException("The wave had not begun: there is nothing to unwind")
        try:
            self.before_acting(context)
        except RunClosedError as closed:
            raise AirflowSkipException(f"{closed} The wave stays as it is.") from None
        self.require_approval(context, run, states)
        self.log.warning("Unwinding the wave %s, because of: %s", self.wave.name, ", ".join(failed))
        self.note_start(context)
        return self.after_answers(context)

    def after_answers(self, context: Context, event: Any = None) -> dict[str, Any] | None:
        """Wait until the outcome of every launch is known, and no job is in progress any more."""
        jobs = self._jobs(context)
        if jobs.open:
            calls = "; ".join(map(str, jobs.open))
            self.log.info("It is not known whether DRS accepted these calls; looking again: %s", calls)
            self.defer(trigger=DateTimeTrigger(next_look(jobs.open)), method_name="after_answers")
        if jobs.all_complete:
            return self.unwind(context)
        longest = pace().deadline(self.wave.launch_timeout)
        self.defer(
            trigger=DrsJobTrigger(
                job_ids=[str(job["jobID"]) for job in jobs.jobs],
                timeout=longest.total_seconds(),
                required=[],
                end_task=False,
                **self.aws,
            ),
            method_name="unwind",
            timeout=longest + _SPARE,
        )
        return None

    def require_approval(self, context: Context, run: RecoveryRun, states: Mapping[str, str | None]) -> None:
        """Ask before a recovery that was up is terminated: once for the whole unwinding.

        :raises TaskDeferred: while people are asked, by this task or by another rollback.
        :raises AirflowFailException: when nobody approved; everything stays.
        """
        if run.is_drill:
            return
        plan = self.loaded.plan
        waves = [wave for wave in plan.waves if run.selects(wave.name)] if self._unwinds_all else [self.wave]
        begun = [wave for wave in waves if _began(wave.name, states)]
        once_up = waves_once_up(context, begun, run, states)
        approval = self._approval([wave.name for wave in begun])
        if not once_up or approval.is_given(context, once_up):
            return
        names = {wave.name for wave in begun}
        # The first that no begun wave stands on: its rollback waits for no other.
        leader = next((wave for wave in begun if not names.intersection(dependents(plan, wave.name))), self.wave)
        if leader.name == self.wave.name:
            self.log.warning("Asking before anything is terminated: %s was up", ", ".join(once_up))
            self.note_start(context)
            with run_as_task(approval):
                approval.ask(context)
        elif states.get(f"{leader.name}.rollback") in ENDED_STATES:
            reason = f"the rollback was not approved (see {leader.name}.rollback): everything stays"
            self._stays(context, reason)
            raise AirflowFailException(f"The wave {self.wave.name} was not rolled back: {reason}.")
        else:
            self._wait_for_gates(f"waiting until people have answered in {leader.name}.rollback")

    @property
    def _unwinds_all(self) -> bool:
        return self.loaded.plan.recovery.on_failure == "rollback"

    def _approval(self, waves: Sequence[str]) -> UnwindingApproval:
        approval = UnwindingApproval(
            task_id=self.task_id,
            loaded=self.loaded,
            wave=self.wave,
            waves=waves,
            scope="" if self._unwinds_all else self.wave.name,
        )
        approval.gates, approval.closed_by = self.gates, self.closed_by
        return approval

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Judge the answer of the people who were asked, and go on with it."""
        run, states = self.run(context), task_states(context)
        waves = [wave.name for wave in self.loaded.plan.waves] if self._unwinds_all else [self.wave.name]
        approval = self._approval([name for name in waves if run.selects(name) and _began(name, states)])
        with run_as_task(approval):
            try:
                approval.execute_complete(context, event)
            except AirflowFailException as refusal:
                self._stays(context, f"{refusal} Everything stays.")
                raise
        return self.execute(context)

    def _stays(self, context: Context, reason: str) -> None:
        """Record that nothing was terminated."""
        left = sorted(server for server in self._jobs(context).alive)
        self._record(context, "failed", [], left, [], reason)

    def unwind(self, context: Context, event: Any = None) -> dict[str, Any]:
        """End the instances, run the scripts, and tell what came of both."""
        self.before_acting(context)
        self.require_approval(context, self.run(context), task_states(context))
        hook = DrsHook(**self.aws)
        jobs = self._jobs(context)
        instances = instances_to_end(hook, [], [str(job["jobID"]) for job in jobs.jobs])
        instances, there_before = set_apart(hook, instances, jobs.jobs)
        before = sorted(str(one["ec2InstanceID"]) for one in there_before)
        deadline = time.time() + _TERMINATION_TIMEOUT.total_seconds()
        try:
            overdue = {str(job["jobID"]) for job in jobs.jobs if not is_complete(job)}
            ended = Termination(hook, self.log).end(instances, deadline, overdue=overdue)
            stop_instances(hook, before, self.log)
            wait_until_gone(hook, ended, deadline, _LOOK_SECONDS, self.log, stopped=before)
            release(hook, before, there_before, self.log)
        except (AirflowException, ActionFailed) as error:
            left = [str(one.get("ec2InstanceID") or one["recoveryInstanceID"]) for one in instances] + before
            self._record(context, "failed", [], left, [], str(error))
            raise
        scripts = self._run_scripts(context)
        failed = [script.name for script in scripts if script.status != "Success"]
        if failed:
            self._record(context, "failed", ended, [], scripts, f"scripts failed: {', '.join(failed)}", stopped=before)
            raise AirflowFailException(f"Instances were ended ({len(ended)}), but scripts failed: {', '.join(failed)}")
        if jobs.open:
            reason = f"it is not known whether these calls started jobs: {'; '.join(map(str, jobs.open))}"
            self._record(context, "failed", ended, [], scripts, reason)
            raise AirflowException(f"Instances were terminated ({len(ended)}), but {reason}")
        if not jobs.all_complete:
            hanging = [str(job["jobID"]) for job in jobs.jobs if job.get("status") != "COMPLETED"]
            reason = f"jobs have not ended and may still launch instances: {', '.join(hanging)}"
            self._record(context, "failed", ended, [], scripts, reason, stopped=before)
            raise AirflowException(f"Instances were ended ({len(ended)}), but {reason}")
        self._record(context, "success", ended, [], scripts, stopped=before)
        return {"terminated": ended, "scripts": [script.name for script in scripts]}

    def _run_scripts(self, context: Context) -> list[ScriptEvent]:
        """Run the rollback scripts in order, in this worker; after a failed one the next still runs."""
        run = self.run(context)
        if run.skip_scripts:
            return []
        return [
            self._run_script(script.in_mode(run.mode), context)
            for script in self.wave.rollback
            if run.mode in script.modes
        ]

    def _run_script(self, script: Script, context: Context) -> ScriptEvent:
        started = datetime.now(timezone.utc)
        work = script_work(
            script,
            task_id=f"{self.task_id}.{script.name}",
            section="rollback",
            loaded=self.loaded,
            wave=self.wave,
        )
        work.deferrable = False
        work.ends_the_run = True
        work.acts_on_changed_plan, work.gates, work.closed_by = True, self.gates, self.closed_by
        result: dict[str, Any] = {}
        reason = None
        try:
            with run_as_task(work):
                result = work.run_now(_context_of(script, context))
        except Exception as error:
            if not is_final(error, context, self.patience_over):
                raise
            reason = reason_of(error)
            self.log.error("The rollback script %s failed: %s", script.name, reason)
        told = read_fact(ScriptResult, result) or ScriptResult()
        return ScriptEvent(
            started=started,
            ended=datetime.now(timezone.utc),
            status="Failed" if reason else "Success",
            wave=self.wave.name,
            name=script.name,
            section="rollback",
            script_kind="automation" if script.automation else "run_command",
            document=script.automation or script.run_command or "",
            execution_id=told.execution_id,
            instances=told.instances,
            outputs=told.outputs,
            reason=reason,
        )

    def _jobs(self, context: Context) -> WaveJobs:
        ti = context["ti"]
        key = LaunchKey(ti.dag_id, ti.run_id, self.wave.name, of_run=self.identity(context))
        intents = read_intents(context, [self.wave.name], self.target)
        known = {intent.job for intent in intents if intent.job}
        return WaveJobs.find(DrsHook(**self.aws), key, jobs_since(context), known, intents)

    def _record(
        self,
        context: Context,
        status: str,
        terminated: Sequence[str],
        left: Sequence[str],
        scripts: Sequence[ScriptEvent],
        reason: str | None = None,
        stopped: Sequence[str] = (),
    ) -> None:
        earlier = read_events(pulled(context, self.task_id, EVIDENCE_KEY)).events
        answers = [each for each in earlier if isinstance(each, ApprovalEvent)]
        event = RollbackEvent(
            **self.times(context),
            status=status,
            wave=self.wave.name,
            terminated=list(terminated),
            stopped=list(stopped),
            left=[InstanceLeft(instance_id=one, reason=reason) for one in left],
            scripts=list(scripts),
            reason=reason,
        )
        self.leave_evidence(context, [*answers, event] if answers else event)


def _began(wave: str, states: Mapping[str, str | None]) -> bool:
    """Whether tasks of a wave ran; its rollback is none of its work."""
    return any(
        state in ("success", "failed")
        for task, state in states.items()
        if task.startswith(f"{wave}.") and task != f"{wave}.rollback"
    )


class _ScriptInstance:
    """This task's instance under the name of one script: scripts of one task must not be taken for one another."""

    def __init__(self, ti: Any, script: str) -> None:
        self._ti = ti
        self.task_id = f"{ti.task_id}.{script}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ti, name)


def _context_of(script: Script, context: Context) -> Context:
    derived: Any = dict(context)
    derived["ti"] = derived["task_instance"] = _ScriptInstance(context["ti"], script.name)
    return derived  # type: ignore[no-any-return]
