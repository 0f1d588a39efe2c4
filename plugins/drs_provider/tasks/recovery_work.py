"""What the work of every task shares: the plan, the run, and the refusal to act on a changed plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.standard.triggers.temporal import DateTimeTrigger

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.launch_key import generation_of
from drs_provider.aws.faults import ActionFailed, Fault, classify, error_code, error_text, transient_cause
from drs_provider.aws.quotas import Quotas
from drs_provider.evidence.events import EVIDENCE_KEY, STARTED_KEY, WAITING_KEY, Event
from drs_provider.hooks.connection import connection_refusal, is_missing
from drs_provider.operators.task_identity import TaskIdentity
from drs_provider.runs.custody import CONTINUED_KEY, Standing, judge, wave_approval
from drs_provider.runs.recovery_run import RecoveryRun, RunParameterError
from drs_provider.runs.rehearsing import is_aws_itself, rehearsal_speed
from drs_provider.runs.stopping import fail_when_stopped
from drs_provider.tasks.accounts import account_here, expected_account, place_key
from drs_provider.tasks.gates import PLAN_KEY, continue_for, leave, read_chain
from drs_provider.tasks.identity import identity_of, jobs_since, script_owner
from drs_provider.tasks.once_up import can_roll_back, note_up
from drs_provider.tasks.xcom import pulled
from drs_provider.triggers.slots import DrsJobSlotTrigger
from drs_provider.triggers.waiting import deferral_timeout

if TYPE_CHECKING:
    from drs_provider.aws.drs.run_identity import RunIdentity
    from drs_provider.hooks.drs import DrsHook
    from drs_provider.plan import LoadedPlan, RecoveryPlan, Wave
    from drs_provider.plan.targets import NamedTarget

__all__ = [
    "LONGEST_SLOT_WAIT",
    "PLAN_KEY",
    "QUOTAS_KEY",
    "WAITING_KEY",
    "RecoveryWork",
    "RefusedError",
    "RunClosedError",
    "account_quotas",
    "aws_clients",
    "failed_tasks",
    "is_final",
    "jobs_since",
    "nothing_launched",
    "pulled",
    "quotas_key",
    "reason_of",
    "task_states",
    "utc_now",
]

QUOTAS_KEY = "quotas"
"""XCom key under which preflight leaves an account's quotas for the launches; see :func:`quotas_key`."""

LONGEST_SLOT_WAIT = timedelta(hours=12)
"""For a job's turn in the line for job slots: as long as a night of drills may take."""

_PASSING = frozenset({"InvalidInstanceId"})
"""Refusals that may be over at Airflow's next try: SSM says this of an instance that restarts."""

_LOOK_AT_GATES = timedelta(seconds=15)


def aws_clients(hook: DrsHook) -> Clients:
    """Return clients for the checks, made by a hook: of one session, so that an assumed role is assumed once."""
    return Clients(hook.client)


def nothing_launched(waited: Any) -> bool:
    """Whether a wave had nothing to launch: all that it selects is gone or was left out.

    :param waited: what the wait for the wave's launch returned.
    """
    return isinstance(waited, Mapping) and waited.get("servers") == {}


def quotas_key(plan: RecoveryPlan, place: NamedTarget) -> str:
    """Return the XCom key under which preflight leaves the quotas of a target."""
    return QUOTAS_KEY if place.key == plan.default_target.key else f"{QUOTAS_KEY} {place_key(place)}"


def account_quotas(work: RecoveryWork, context: Mapping[str, Any], hook: DrsHook) -> Quotas:
    """Return the quotas of the account that a task acts in: those that preflight left, else what the account says."""
    told = pulled(context, "preflight", quotas_key(work.loaded.plan, work.target))
    return Quotas(**told) if told else hook.quotas()


def task_states(context: Mapping[str, Any]) -> dict[str, str | None]:
    """Return Airflow's state of every other task of the run, by task id."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    return {task: None if state is None else str(state) for task, state in states.items() if task != ti.task_id}


def failed_tasks(context: Mapping[str, Any]) -> list[str]:
    """Return the ids of the run's tasks that failed."""
    return sorted(task for task, state in task_states(context).items() if state == "failed")


def is_final(error: Exception, context: Mapping[str, Any], patience_over: bool) -> bool:
    """Whether an error is the work's own failure, a refusal of AWS, or one for which Airflow has no other try.

    :param patience_over: whether the task has waited for AWS as long as it may; before that, what passes by itself is
        never final.
    """
    if transient_cause(error):
        return patience_over
    ti = context["ti"]
    definite = classify(error) is Fault.DEFINITE and error_code(error) not in _PASSING
    refused = isinstance(error, (AirflowException, ActionFailed)) or definite
    return refused or ti.try_number > ti.max_tries


def reason_of(error: Exception) -> str:
    """Return what an error says to a person."""
    return str(error) if isinstance(error, (AirflowException, ActionFailed)) else error_text(error)


def utc_now() -> str:
    """Return the present time as ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat()


class RefusedError(AirflowFailException):
    """What has to hold before anything is changed in AWS does not: never a failure of the work itself."""


class RunClosedError(RefusedError):
    """The run is over: what is cleared of it may look and report, and changes nothing in AWS."""


class StartAndEnd(TypedDict):
    """The times of an event."""

    started: datetime
    ended: datetime


class RecoveryWork:
    """Mixed into the operators that do the work of a plan's tasks.

    ``loaded`` is the plan with its file and hash; ``wave`` the wave, None for the tasks of the whole plan.
    """

    loaded: LoadedPlan
    wave: Wave | None = None
    log: Any
    ends_the_run = False
    """Whether it is part of a run's end, which goes on when a drill is asked to stop."""
    gates: tuple[str, ...] = ("confirm", "preflight", "approve")
    """The tasks that have to have ended in success before this one acts; ``approve`` is the wave's."""
    closed_by: tuple[str, ...] = ("confirm", "preflight", "approve")
    """The tasks beside whose records a closing of the report counts."""
    execute: Callable[..., Any]
    """The operator's own."""
    acts_on_changed_plan = False
    """Whether the task may act on a plan that was edited since the run began: what it terminates was launched."""
    patience_over = False
    """Whether this task has waited for AWS as long as it may: what is not answered now fails it."""
    defer: Callable[..., NoReturn]
    """The operator's own."""

    @property
    def longest_wait_for_aws(self) -> timedelta:
        """How long the task waits for an AWS that does not answer: as long as its wave's launch may take.

        A task of the whole plan waits as long as the wave with the longest ``launch_timeout`` would.
        """
        waves = self.loaded.plan.waves if self.wave is None else (self.wave,)
        return max(wave.launch_timeout for wave in waves)

    def begins_again(self, context: Mapping[str, Any]) -> bool:
        """Return whether this try has begun before, and has waited for AWS since."""
        # Of the task itself, where several scripts of it go by names of their own.
        task_id = context["task"].task_id
        return context["ti"].xcom_pull(task_ids=task_id, key=WAITING_KEY) is not None

    def began_before(self, context: Mapping[str, Any]) -> bool:
        """Return whether this task may have started something already: in an earlier try, or in this one."""
        return context["ti"].try_number > 1 or self.begins_again(context)

    def keeps_asking(self, error: BaseException) -> bool:
        """Whether an error passes by itself and there is time to wait for that: it is raised, and fails nothing."""
        return not self.patience_over and transient_cause(error) is not None

    @property
    def target(self) -> NamedTarget:
        """Where the task acts: its wave's target, and the plan's for the tasks of the whole plan."""
        plan = self.loaded.plan
        return plan.default_target if self.wave is None else plan.target_of(self.wave)

    @property
    def aws(self) -> dict[str, Any]:
        """The connection and the region of the target, as every operator takes them."""
        return {"aws_conn_id": self.target.aws_conn_id, "region_name": self.target.region}

    def run(self, context: Mapping[str, Any]) -> RecoveryRun:
        """Return the run, checked as far as one parameter alone can be.

        :raises AirflowFailException: when a run parameter cannot be read.
        """
        try:
            return RecoveryRun.from_context(context, self.loaded.plan)
        except RunParameterError as error:
            raise AirflowFailException(str(error)) from None

    def identity(self, context: Mapping[str, Any]) -> RunIdentity:
        """Return what tells this run's jobs in DRS from all others."""
        return identity_of(context, self.run(context))

    def task_identity(self, context: Any) -> TaskIdentity:
        """Return by what the commands and automations of an earlier try are found.

        A drill's are not those of a recovery with the same run id, nor those of another Airflow.
        """
        return TaskIdentity.of(context, script_owner(context, self.run(context)))

    def begin(self, context: Mapping[str, Any], *, acts: bool = True) -> RecoveryRun:
        """Start a task's work: skip a wave that was left out, and refuse a plan that changed since the run began.

        :param acts: whether the task changes anything in AWS; one that only looks on goes on with a changed plan.
        :raises AirflowSkipException: when the run leaves this wave out.
        :raises AirflowFailException: when the plan changed.
        """
        run = self.run(context)
        if self.wave is not None and not run.selects(self.wave.name):
            raise AirflowSkipException(f"This run leaves the wave {self.wave.name} out")
        if self.wave is not None:
            if not acts:
                self.require_connection(run)
            if not run.is_drill and can_roll_back(self.loaded.plan) and generation_of(context) > 0:
                # Whoever cleared a task of it may have done so because it was up.
                note_up(context, [self.wave.name])
        if acts:
            self.before_acting(context)
        return run

    def before_acting(self, context: Mapping[str, Any]) -> None:
        """Check everything that must hold right before this task changes something in AWS.

        Whatever starts, sends or terminates calls this: when it begins, after each wait, and right before the call.

        :raises RefusedError: when it does not hold; with what to do.
        :raises DrillStoppedError: when it is a drill that is asked to stop.
        """
        if not self.ends_the_run:
            fail_when_stopped(context)
        self.refuse_real_aws()
        standing = self.standing(context)
        if standing.state == "wait":
            self._wait_for_gates(standing.reason)
        # First: of another plan, the waves of a scheduled drill are others than those that its gates let pass.
        if not self.acts_on_changed_plan:
            self.refuse_changed_plan(context)
        if standing.state == "missing":
            raise RefusedError(f"A gate of this run was not passed: {standing.reason}")
        if standing.state == "failed":
            if not self.may_continue(context):
                raise RunClosedError(
                    f"Nothing was done: {standing.reason}. To continue it, clear the task "
                    f"{self.wave.name + '.launch' if self.wave else 'confirm'} with everything downstream."
                )
            self.note_continuing(context, standing)
        if standing.state == "closed":
            raise RunClosedError(f"Nothing was done: {standing.reason}")
        self.confirm_account(context)

    def refuse_real_aws(self) -> None:
        """Act on a simulated AWS only, where this Airflow is that of a rehearsal.

        :raises RefusedError: where the connection leads to AWS itself.
        """
        if rehearsal_speed() is None:
            return
        from drs_provider.hooks.drs import DrsHook

        client: Any = DrsHook(**self.aws).conn
        if is_aws_itself(client.meta.endpoint_url):
            raise RefusedError(
                f"Nothing was done: [drs_provider] rehearsal_speed says that this Airflow rehearses with a simulated "
                f"AWS, and DRS is {client.meta.endpoint_url}. Take the setting out to act on AWS."
            )

    def standing(self, context: Mapping[str, Any]) -> Standing:
        """Judge the gates of the run: whether this task may act on AWS now."""
        run = self.run(context)
        chain = read_chain(
            context,
            self.loaded,
            run,
            gates=self._gates_of(run, self.gates),
            closings_of=self._gates_of(run, self.closed_by),
            wave=self.wave if "approve" in self.gates else None,
        )
        return judge(chain, datetime.now(timezone.utc), continue_for)

    def _gates_of(self, run: RecoveryRun, gates: tuple[str, ...]) -> tuple[str, ...]:
        """Return the gates as task ids; ``approve`` is the wave's, where it has one in this mode."""
        asks = self.wave is not None and wave_approval(self.wave, run.mode) is not None
        named = [f"{self.wave.name}.approve" if self.wave and gate == "approve" else gate for gate in gates]
        return tuple(gate for gate in named if gate != "approve" and (asks or not gate.endswith(".approve")))

    def may_continue(self, context: Mapping[str, Any]) -> bool:
        """Whether this task may continue a run that was closed as failed not long ago."""
        return False

    def note_continuing(self, context: Mapping[str, Any], standing: Standing) -> None:
        """Record that this task continues the run: from here on it is open, until its report closes it again."""
        if standing.closing is None:
            return
        continued = {"of": standing.closing.at.isoformat(), "at": utc_now(), "by": context["ti"].task_id}
        leave(context, "confirm", CONTINUED_KEY, continued)
        self.log.warning("Continuing a run that failed at %s", standing.closing.at.isoformat())

    def _wait_for_gates(self, reason: str) -> NoReturn:
        """Wait in the triggerer, which costs no try, and look again.

        :raises TaskDeferred: always.
        """
        self.log.info("Nothing is changed in AWS yet: %s", reason)
        self.defer(
            trigger=DateTimeTrigger(datetime.now(timezone.utc) + _LOOK_AT_GATES), method_name="after_gates", kwargs={}
        )

    def after_gates(self, context: Any, event: Any = None) -> Any:
        """Begin again, once there was time for a gate to end."""
        return self.execute(context)

    def require_connection(self, run: RecoveryRun) -> None:
        """Use the plan's connection and no other, and only one that plans may use, unless a person said so.

        Airflow takes a backend of secrets that does not answer for one that has no such connection.

        :raises AirflowException: when Airflow lacks the connection; the next try asks again.
        :raises AirflowFailException: when plans may not use it.
        """
        connection = self.target.aws_conn_id
        if "connection-not-allowed" not in run.overridden and (refusal := connection_refusal(connection)):
            raise AirflowFailException(refusal)
        if is_missing(connection):
            raise AirflowException(f"Airflow has no connection {connection}, or cannot look it up now")

    def account(self, context: Mapping[str, Any]) -> str | None:
        """Return the account that the task acts in, as the plan or preflight names it; None where neither does."""
        return expected_account(context, self.loaded.plan, self.target)

    def confirm_account(self, context: Mapping[str, Any]) -> None:
        """Act through the plan's connection only, and in the account that the plan states or that preflight saw.

        :raises AirflowException: as :meth:`require_connection` says.
        :raises RefusedError: when the connection leads elsewhere now; or when that cannot be found out, where the plan
            states the account or has several targets, and nobody decided to go on without knowing.
        """
        self.require_connection(self.run(context))
        expected = self.account(context)
        if expected is None:
            return
        try:
            account = account_here(self.target)
        except Exception as error:
            plan = self.loaded.plan
            required = plan.several_targets or plan.account_of(self.target) is not None
            if not required or "account-unconfirmed" in self.run(context).overridden:
                self.log.warning("Which account %s is could not be confirmed: %s", self.target, reason_of(error))
                return
            if self.keeps_asking(error):
                raise
            raise RefusedError(
                f"Nothing was done: which account the connection {self.target.aws_conn_id} leads to could not be "
                f"confirmed: {reason_of(error)}. Fix the connection, then clear this task."
            ) from error
        if account != expected:
            raise RefusedError(
                f"Nothing was done: the connection {self.target.aws_conn_id} leads to account {account}, and "
                f"{self.target} is account {expected}. Correct the connection, then clear this task."
            )

    def note_start(self, context: Mapping[str, Any]) -> None:
        """Tell when the work began: the report, and the task itself when it resumes."""
        context["ti"].xcom_push(key=STARTED_KEY, value=utc_now())

    def times(self, context: Mapping[str, Any]) -> StartAndEnd:
        """Return when the work began, as it was noted, and as its end the present, for the task's event."""
        ti = context["ti"]
        now = datetime.now(timezone.utc)
        noted = ti.xcom_pull(task_ids=ti.task_id, key=STARTED_KEY)
        return {"started": datetime.fromisoformat(noted) if noted else now, "ended": now}

    def leave_evidence(self, context: Mapping[str, Any], event: Event | Sequence[Event]) -> None:
        """Leave the task's event, or several, where the report finds them."""
        written = event.written() if isinstance(event, Event) else [each.written() for each in event]
        context["ti"].xcom_push(key=EVIDENCE_KEY, value=written)

    def wait_for_slot(
        self,
        servers: int,
        quotas: Quotas,
        *,
        is_drill: bool,
        since: datetime,
        method_name: str,
        kwargs: dict[str, Any] | None = None,
    ) -> NoReturn:
        """Wait in the triggerer until there is a slot for a job, and it is the job's turn.

        :param servers: how many servers the job has.
        :param quotas: the account's quotas.
        :param is_drill: drills wait until what is in earnest has gone.
        :param since: when the wait began: the place in the line.
        :param method_name: what goes on afterwards, whether or not the turn came.
        :param kwargs: what it gets beside ``context`` and ``event``.
        :raises TaskDeferred: always.
        """
        trigger = DrsJobSlotTrigger(
            servers=servers,
            quotas=quotas,
            is_drill=is_drill,
            since=since.timestamp(),
            deadline=(since + LONGEST_SLOT_WAIT).timestamp(),
            end_task=False,
            **self.aws,
        )
        self.defer(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=deferral_timeout(trigger))

    def refuse_changed_plan(self, context: Mapping[str, Any]) -> None:
        """Stop when the plan is not the one that the run began with.

        :raises RefusedError: with what changed and how to go on.
        """
        recorded = context["ti"].xcom_pull(task_ids="confirm", key=PLAN_KEY)
        if not recorded or self.loaded.is_recorded(recorded):
            return
        changes = describe_changes(recorded["plan"], self.loaded.record()["plan"])
        raise RefusedError(
            f"The plan file {self.loaded.path} was changed after this run began, and the run is of the plan as it was. "
            f"Nothing more was started.\nChanged: {'; '.join(changes[:20]) or 'its hash'}\n"
            "To go on with the plan as it was: restore the file, then clear this task. "
            "To go on with the plan as it is now: clear the task confirm alone, without its downstream tasks; it "
            "records the new plan; then clear this task."
        )


def describe_changes(old: Any, new: Any, path: str = "") -> list[str]:
    """Return the differences between two JSON-like values, one line each: ``waves.database.retries: 1 → 2``.

    Lists of objects with a ``name`` are compared by name, so that a wave that moved is not a change of every wave.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            line
            for key in [*old, *(key for key in new if key not in old)]
            for line in describe_changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        if all(isinstance(item, Mapping) and "name" in item for item in (*old, *new)):
            return describe_changes({item["name"]: item for item in old}, {item["name"]: item for item in new}, path)
        old, new = list(old), list(new)
    if old == new:
        return []
    return [f"{path}: {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
