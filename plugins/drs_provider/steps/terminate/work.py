"""The end of a drill: what the run launched is terminated, however the run ended, and EC2's word is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, BaseOperator

from drs_provider.aws.drs.launched_into import launched_into, release, set_apart, stop_instances
from drs_provider.aws.drs.reads import instances_in_log, is_complete
from drs_provider.aws.drs.slots import BUSY_WINDOW, SlotsTaken
from drs_provider.aws.drs.termination import Termination, instances_to_end
from drs_provider.aws.faults import ActionFailed, TransientError, transient_cause
from drs_provider.durations import duration_text
from drs_provider.evidence.events import GONE_KEY, INSTANCES_KEY, InstanceLeft
from drs_provider.evidence.taken import is_gone
from drs_provider.hooks.drs import DrsHook
from drs_provider.plan.targets import NamedTarget, Target
from drs_provider.runs.messages import drill_stopping
from drs_provider.runs.notify import notify
from drs_provider.runs.rehearsing import pace
from drs_provider.runs.stopping import stop_request
from drs_provider.steps.terminate.event import TerminateEvent
from drs_provider.tasks.gates import leave, recorded_plan
from drs_provider.tasks.intents import Intent, Resolved, next_look, read_intents, resolve
from drs_provider.tasks.recovery_work import (
    PLAN_KEY,
    RecoveryWork,
    account_quotas,
    failed_tasks,
    is_final,
    jobs_since,
    pulled,
    reason_of,
)
from drs_provider.timestamps import moment_text, parse_timestamp
from drs_provider.triggers.drs import DrsInstancesGoneTrigger, DrsJobTrigger
from drs_provider.triggers.pause import PauseTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan

__all__ = ["TerminateWork"]

T = TypeVar("T")

_TERMINATION_TIMEOUT = timedelta(minutes=30)
_SPARE = timedelta(minutes=15)
_SHORTEST_DEFERRAL = timedelta(seconds=2.5)


class TerminateWork(RecoveryWork, BaseOperator):
    """Terminates the instances that this drill launched, as ``drill.terminate`` and ``drill.keep_for`` say.

    It acts on what AWS says, by the run's tag on the jobs, so it also finds what no task could tell of. Jobs that
    still run are waited for first: an instance that comes up after the drill has ended would be nobody's. It acts on a
    changed plan too.

    :param loaded: the plan.
    """

    template_fields = ()
    acts_on_changed_plan = True
    ends_the_run = True

    def before_acting(self, context: Mapping[str, Any]) -> None:
        """Ask no gate: what a drill launched may always be terminated. Nothing else is, whatever the gates say."""
        self.confirm_account(context)

    def __init__(self, *, loaded: LoadedPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded
        self._unresolved: dict[str, str] = {}
        self._places: tuple[NamedTarget, ...] = ()
        self._at = 0
        self._done: list[dict[str, Any]] = []

    @property
    def target(self) -> NamedTarget:
        """The target that is cleaned up now: one after the other, those of the run's waves."""
        return self._places[self._at] if self._places else super().target

    def _enter(self, context: Mapping[str, Any], at: int = 0, done: Sequence[Mapping[str, Any]] = ()) -> None:
        """Go on in a target.

        :param at: which of the targets.
        :param done: what came of those before it.
        """
        waves = self._waves(context)
        recorded = recorded_plan(self.loaded, pulled(context, "confirm", PLAN_KEY) or {})
        places = {place.key: place for plan in (recorded, self.loaded.plan) for place in plan.targets_of(plan.waves)}
        for intent in read_intents(context, waves):
            # The plan was edited and recorded anew: what was launched before lies where it then said.
            if intent.region:
                there = Target(region=intent.region, aws_conn_id=intent.aws_conn_id)
                place = NamedTarget(intent.aws_conn_id, there)
                places.setdefault(place.key, place)
        self._places = tuple(places.values())
        self._at, self._done = at, [dict(one) for one in done]

    def _resumed(self) -> dict[str, Any]:
        """Return what a method that goes on after a wait takes of the targets."""
        return {"at": self._at, "done": self._done} if len(self._places) > 1 else {}

    def execute(self, context: Context) -> Any:
        """Decide whether there is anything to terminate, and when.

        :raises AirflowSkipException: in a recovery, and where the instances are to be kept.
        """
        run = self.run(context)
        if not run.is_drill:
            raise AirflowSkipException("The instances of a recovery stay")
        self._enter(context)
        if len(self._places) == 1:
            self.confirm_account(context)
        self.note_start(context)
        self._in_each(lambda hook: self._note_gone_once(hook, context))
        drill = self.loaded.plan.drill
        if run.keep_drill_instances or drill.terminate == "never":
            self._keep(context, "the run" if run.keep_drill_instances else "the plan")
        if drill.terminate == "on_success" and (failed := failed_tasks(context)):
            self._keep(context, f"the plan after a failure ({', '.join(failed)})")
        looked = self._in_each(lambda hook: self._look(hook, context))
        jobs = [job for found, _ in looked for job in found]
        if len(self._places) == 1 and not jobs and not looked[0][1]:
            self.log.info("This drill launched nothing")
            self._done = [self._finished(context, [], [])]
            return self._all_done(context)
        wait = _last_end(jobs) + pace().pause(drill.keep_for) - datetime.now(timezone.utc) if jobs else timedelta(0)
        if drill.keep_for and wait > timedelta(0) and stop_request(context) is None:
            until = moment_text(datetime.now(timezone.utc) + wait)
            self.log.info("Keeping the drill's instances until %s: keep_for is %s", until, pace().text(drill.keep_for))
            # A recovery that waits for this drill ends the pause, and nothing else of what follows.
            trigger = PauseTrigger(
                deadline=time.time() + wait.total_seconds(), end_task=False, stop_requests_of=context["ti"].dag_id
            )
            self.defer(trigger=trigger, method_name="after_keeping")
        return self.after_keeping(context)

    def _in_each(self, look: Callable[[DrsHook], T]) -> list[T]:
        """Look in each target. One that does not answer is left for its own turn, where there are others."""
        answers = []
        for at in range(len(self._places)):
            self._at = at
            try:
                answers.append(look(DrsHook(**self.aws)))
            except Exception as error:
                if len(self._places) == 1:
                    raise
                self.log.warning("%s does not answer yet: %s", self.target, reason_of(error))
        self._at = 0
        return answers

    def _in_turn(self, context: Context, step: Callable[[Context], dict[str, Any]]) -> Any:
        """Clean up the targets that are left, one after the other; what fails in one leaves none as it is.

        :param step: what is next in the present target. It waits in the triggerer, or returns what came of the target.
        """
        while True:
            try:
                result = step(context)
            except Exception as error:
                if len(self._places) == 1:
                    raise
                self.log.error("%s could not be cleaned up: %s", self.target, reason_of(error))
                cause = transient_cause(error) if self.keeps_asking(error) else None
                result = {"left": {str(self.target): reason_of(error)}, "transient": cause and cause.as_dict()}
            self._done.append(result)
            if self._at + 1 >= len(self._places):
                return self._all_done(context)
            self._at += 1
            step = self._wait_for_launches

    def _all_done(self, context: Context) -> dict[str, Any]:
        """Record what came of every target.

        :raises AirflowException: when something is left in one of them.
        """
        for at, result in enumerate(self._done):
            if result.get("transient"):
                # The others are clean: this one is waited for.
                self._at = at
                raise TransientError.of_dict(result["transient"])
        together: dict[str, list[str]] = {
            key: [one for result in self._done for one in result.get(key, ())]
            for key in ("terminated", "stopped", "jobs")
        }
        left = {one: why for result in self._done for one, why in result["left"].items()}
        if left:
            self._fail(context, left, together["jobs"], together["terminated"], together["stopped"])
        self._record(context, "success", together["terminated"], {}, together["jobs"], stopped=together["stopped"])
        return {key: together[key] for key in ("terminated", "stopped", "jobs")}

    def _note_gone_once(self, hook: DrsHook, context: Context) -> None:
        """Record which instances are gone already, as far as that can be found out."""
        try:
            self._note_gone(hook, context)
        except Exception as error:
            if not is_final(error, context, self.patience_over):
                raise
            # Nothing more is asked of EC2 where the instances are kept: evidence must not fail that.
            self.log.warning("Whether instances were gone already is not known: %s", reason_of(error))

    def _note_gone(self, hook: DrsHook, context: Context) -> None:
        """Record which instances of the drill are gone already: somebody else terminated them, and it is no success.

        Each instance is looked at once, before this task terminates any: a later try would see its own work.
        """
        seen = dict(pulled(context, "confirm", GONE_KEY) or {})
        jobs = self._jobs(hook, context)
        ended = {str(job["jobID"]): str(job.get("endDateTime") or job["creationDateTime"]) for job in jobs}
        new = {
            one["ec2InstanceID"]: parse_timestamp(ended[one["jobID"]])
            for one in self._logged_instances(hook, jobs)
            if one["ec2InstanceID"] not in seen
        }
        if not new:
            return
        found, now = hook.instances(sorted(new)), datetime.now(timezone.utc)
        where = dict(pulled(context, "confirm", INSTANCES_KEY) or {})
        for instance, launched in new.items():
            details = found.get(instance)
            state = details.state if details else None
            gone = is_gone(state, launched, now)
            seen[instance] = (state or "unknown") if gone else None
            if details is not None:
                where[instance] = details._asdict()
            if gone:
                self.log.warning("%s was gone before this drill terminated its instances", instance)
        leave(context, "confirm", GONE_KEY, seen)
        # EC2 forgets the subnet and the addresses of an instance that is terminated.
        leave(context, "confirm", INSTANCES_KEY, where)

    def after_keeping(
        self, context: Context, event: Any = None, *, at: int = 0, done: Sequence[Mapping[str, Any]] = ()
    ) -> Any:
        """Clean up a target, and those after it: first wait until nothing more is launched there."""
        self._enter(context, at, done)
        return self._in_turn(context, self._wait_for_launches)

    def _wait_for_launches(self, context: Context) -> dict[str, Any]:
        """Wait until the outcome of every launch is known, and no job of the run is in progress any more."""
        self.confirm_account(context)
        jobs, unanswered = self._look(DrsHook(**self.aws), context)
        if unanswered:
            calls = "; ".join(map(str, unanswered))
            self.log.info("It is not known whether DRS accepted these calls; looking again: %s", calls)
            again = next_look(unanswered).timestamp()
            pause = PauseTrigger(deadline=again, end_task=False)
            self.defer(trigger=pause, method_name="after_keeping", kwargs=self._resumed())
        jobs = [job for job in jobs if not is_complete(job)]
        running = [str(job["jobID"]) for job in jobs]
        self._tell_of_stop(context, jobs)
        if not running:
            return self._end_instances(context)
        self.log.info("Waiting for the jobs that still run: %s", ", ".join(running))
        longest = pace().deadline(max(wave.launch_timeout for wave in self.loaded.plan.waves))
        return self.defer(
            trigger=DrsJobTrigger(
                job_ids=running, timeout=longest.total_seconds(), required=[], end_task=False, **self.aws
            ),
            method_name="end_instances",
            kwargs=self._resumed(),
            timeout=longest + _SPARE,
        )

    def _tell_of_stop(self, context: Context, jobs: Iterable[Mapping[str, Any]]) -> None:
        """Tell what a recovery that stopped this drill still waits for, if one did."""
        request = stop_request(context)
        if request is None:
            return
        now = datetime.now(timezone.utc)
        waits = [
            f"{job['jobID']} of the servers "
            f"{', '.join(str(one['sourceServerID']) for one in job.get('participatingServers') or ())}, begun "
            f"{duration_text((now - parse_timestamp(str(job['creationDateTime']))).total_seconds())} ago"
            for job in jobs
        ]
        self.log.warning("The drill stops: %s. The recovery waits for: %s", request, "; ".join(waits) or "no job")
        notify(self.loaded, context, drill_stopping(self.loaded.plan.name, context["ti"].run_id, request, waits))

    def end_instances(
        self, context: Context, event: Any = None, *, at: int = 0, done: Sequence[Mapping[str, Any]] = ()
    ) -> Any:
        """Go on in a target once its jobs have ended."""
        self._enter(context, at, done)
        return self._in_turn(context, self._end_instances)

    def _end_instances(self, context: Context) -> dict[str, Any]:
        """Have DRS terminate the instances; the end takes a job, which may have to wait for a slot."""
        hook = DrsHook(**self.aws)
        drills, _ = self._instances(hook, context)
        if drills:
            quotas = account_quotas(self, context, hook)
            servers = min(len(drills), quotas.servers_per_job)
            taken = SlotsTaken.of(hook.jobs_since(datetime.now(timezone.utc) - BUSY_WINDOW))
            if not taken.leave_room_for(servers, quotas):
                self.log.info("Waiting for a free DRS job slot: %s", taken.against(quotas))
                now = datetime.now(timezone.utc)
                self.wait_for_slot(
                    servers, quotas, is_drill=True, since=now, method_name="end_in_slot", kwargs=self._resumed()
                )
        return self._end_in_slot(context)

    def end_in_slot(
        self, context: Context, event: Any = None, *, at: int = 0, done: Sequence[Mapping[str, Any]] = ()
    ) -> Any:
        """Go on in a target once there is a slot for the job."""
        self._enter(context, at, done)
        return self._in_turn(context, self._end_in_slot)

    def _end_in_slot(self, context: Context) -> dict[str, Any]:
        """Have DRS terminate the instances, then wait until EC2 says that they are gone."""
        self.before_acting(context)
        hook = DrsHook(**self.aws)
        overdue = {str(job["jobID"]) for job in self._jobs(hook, context) if not is_complete(job)}
        drills, before = self._instances(hook, context)
        deadline = time.time() + _TERMINATION_TIMEOUT.total_seconds()
        ending = Termination(hook, self.log)
        try:
            ids = ending.end(drills, deadline, overdue=overdue)
        except (AirflowException, ActionFailed) as error:
            return self._ended({str(one.get("ec2InstanceID")): str(error) for one in drills}, ending.job_ids)
        stop_instances(hook, before, self.log)
        if not ids and not before:
            return self._finished(context, ending.job_ids)
        return self.defer(
            trigger=DrsInstancesGoneTrigger(
                instance_ids=ids,
                value=ending.job_ids,
                stopped=before,
                deadline=deadline,
                end_task=False,
                **self.aws,
            ),
            method_name="after_end",
            kwargs={"instance_ids": ids, **self._resumed()},
            timeout=_TERMINATION_TIMEOUT + _SPARE,
        )

    def after_end(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,
        *,
        instance_ids: list[str],
        at: int = 0,
        done: Sequence[Mapping[str, Any]] = (),
    ) -> Any:
        """Tell what is gone and what is left, and go on with the next target."""
        self._enter(context, at, done)
        told = event or {"message": "the trigger ended without an event"}
        if told.get("status") != "success":
            self.log.warning("%s", told["message"])
        jobs = list(told.get("value") or [])
        return self._in_turn(context, lambda context: self._finished(context, jobs, instance_ids))

    def _finished(self, context: Context, jobs: list[str], ended: Iterable[str] = ()) -> dict[str, Any]:
        """Return what came of a target, by EC2's word on every instance that the run is known to have launched there.

        An earlier try may have ended instances that DRS no longer knows. A job that hangs may still launch an instance:
        that is a failure, never a success.
        """
        # Another account knows none of the instances, and would let them pass for terminated.
        self.confirm_account(context)
        hook = DrsHook(**self.aws)
        # The jobs first, what they launched afterwards: a job that ends in between is one that has not ended yet.
        of_run, unanswered = self._look(hook, context)
        logged = self._logged_instances(hook, of_run)
        # By the logs: DRS may have forgotten what an earlier try had it forget.
        before = launched_into(hook, logged, of_run)
        listed = instances_to_end(hook, [], [str(job["jobID"]) for job in of_run])
        # What was there before and DRS does not list under this run any more may have been launched into by another.
        passed_on = before.difference(str(one.get("ec2InstanceID")) for one in listed)
        known = sorted({*ended, *(str(one["ec2InstanceID"]) for one in logged)})
        states = hook.instance_states(known)
        stopped = [one for one in sorted(before) if states.get(one) == "stopped"]
        left = {
            one: f"EC2 says {states[one]}" + ("; it was there before, and is to be stopped" if one in before else "")
            for one in known
            if states.get(one, "terminated") != "terminated" and one not in stopped and one not in passed_on
        }
        terminated = [one for one in known if one not in left and one not in before]
        for job in of_run:
            if not is_complete(job):
                for server in job.get("participatingServers") or ():
                    left[server["sourceServerID"]] = f"job {job['jobID']} has not ended, and may still launch it"
        left.update(self._unresolved)
        for intent in unanswered:
            for server in intent.servers:
                left[server] = f"{intent} was not answered: whether it started a job is not known"
        for one in stopped:
            self.log.info("%s: stopped, was there before", one)
        release(hook, stopped, listed, self.log)
        return self._ended(left, jobs, terminated, stopped)

    def _ended(
        self, left: Mapping[str, str], jobs: list[str], terminated: Iterable[str] = (), stopped: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return what came of the present target; where there are several, what is left says where."""
        where = f"{self.target}: " if len(self._places) > 1 else ""
        return {
            "left": {one: f"{where}{why}" for one, why in left.items()},
            "jobs": list(jobs),
            "terminated": list(terminated),
            "stopped": list(stopped),
        }

    def _fail(
        self,
        context: Context,
        left: Mapping[str, str],
        jobs: list[str],
        terminated: Iterable[str] = (),
        stopped: Iterable[str] = (),
    ) -> None:
        """Name what is left and fail; the next try begins anew with what AWS says then.

        :raises AirflowException: always.
        """
        self._record(context, "failed", terminated, left, jobs, stopped=stopped)
        lines = "\n".join(f"- {one}: {reason}" for one, reason in left.items())
        raise AirflowException(f"The drill could not be ended; {len(left)} left:\n{lines}")

    def _keep(self, context: Context, who: str) -> None:
        self._record(context, "kept", (), {}, [], reason=f"kept, as {who} says")
        raise AirflowSkipException(f"The drill's instances are kept, as {who} says. They cost money until they end.")

    def _record(
        self,
        context: Context,
        status: str,
        terminated: Iterable[str],
        left: Mapping[str, str],
        jobs: list[str],
        reason: str | None = None,
        stopped: Iterable[str] = (),
    ) -> None:
        remaining = [InstanceLeft(instance_id=one, reason=why) for one, why in left.items()]
        self.leave_evidence(
            context,
            TerminateEvent(
                **self.times(context),
                status=status,
                terminated=list(terminated),
                stopped=list(stopped),
                left=remaining,
                jobs=jobs,
                reason=reason,
            ),
        )

    def _instances(self, hook: DrsHook, context: Context) -> tuple[list[dict[str, Any]], list[str]]:
        """Return what the run's jobs launched for the drill, as far as it still exists.

        :returns: the recovery instances to terminate, and the EC2 ids of those that were there before: to be stopped.
        """
        of_run = self._jobs(hook, context)
        jobs = {str(job["jobID"]) for job in of_run}
        found = {one["recoveryInstanceID"]: one for one in instances_to_end(hook, [], sorted(jobs))}
        # DRS forgets a job that a person deletes; its instances it knows.
        forgotten = [
            one for one in read_intents(context, self._waves(context), self.target) if one.job and one.job not in jobs
        ]
        servers = {server for intent in forgotten for server in intent.servers}
        for instance in hook.recovery_instances(server_ids=sorted(servers)) if servers else ():
            if instance.get("jobID") in {intent.job for intent in forgotten}:
                found.setdefault(instance["recoveryInstanceID"], instance)
        drills = [one for one in found.values() if one.get("isDrill") is not False]
        launched, before = set_apart(hook, drills, of_run)
        return launched, sorted(str(one["ec2InstanceID"]) for one in before)

    def _logged_instances(self, hook: DrsHook, jobs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        """Return what jobs launched, as their logs tell (LAUNCH_END): instance, source server and job."""
        return [
            {
                "ec2InstanceID": one.instance_id,
                "sourceServerID": one.server,
                "jobID": str(job["jobID"]),
            }
            for job in jobs
            for one in instances_in_log(hook.job_log(str(job["jobID"])))
        ]

    def _jobs(self, hook: DrsHook, context: Context) -> list[dict[str, Any]]:
        return self._look(hook, context)[0]

    def _look(self, hook: DrsHook, context: Context) -> tuple[list[dict[str, Any]], tuple[Intent, ...]]:
        """Return the run's jobs, and the calls of StartRecovery that may have started one which is not listed yet."""
        own, listed = self.identity(context), hook.jobs_since(jobs_since(context))
        intents = read_intents(context, self._waves(context), self.target)
        self._unresolved = {}
        try:
            resolved = resolve(hook, intents, own, listed)
        except Exception as error:
            if not is_final(error, context, self.patience_over):
                raise
            # What is known is terminated; what is not is named.
            why = f"its outcome cannot be looked up: {reason_of(error)}"
            unsettled = [intent for intent in intents if not intent.settled]
            self._unresolved = {server: f"{intent}: {why}" for intent in unsettled for server in intent.servers}
            resolved = Resolved((), ())
        return [*(job for job in listed if own.owns(job)), *resolved.jobs], resolved.open

    def _waves(self, context: Mapping[str, Any]) -> list[str]:
        """Return the names of the waves, of the plan as the run began with it too."""
        recorded = (pulled(context, "confirm", PLAN_KEY) or {}).get("plan") or {}
        return [
            *(wave.name for wave in self.loaded.plan.waves),
            *(str(one["name"]) for one in recorded.get("waves", ())),
        ]


def _last_end(jobs: Iterable[Mapping[str, Any]]) -> datetime:
    """Return when the last job ended, or began where it has not ended: keeping counts from there."""
    moments = [str(job.get("endDateTime") or job["creationDateTime"]) for job in jobs]
    return max(parse_timestamp(moment) for moment in moments)
