"""The run's last task: it writes the evidence, whatever happened, and then passes the verdict on the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from drs_provider.evidence.collect import collect_record
from drs_provider.evidence.comparison import last_before
from drs_provider.evidence.events import (
    ENDED_KEY,
    EVIDENCE_KEY,
    GONE_KEY,
    INSTANCES_KEY,
    NOTIFIED_KEY,
    STARTED_KEY,
    STOPPED_KEY,
    WAITING_KEY,
    last_event,
    read_events,
)
from drs_provider.evidence.facts import RunFacts
from drs_provider.evidence.people import notifications_of
from drs_provider.evidence.storage import existing_report_folder, read_report, reports_folder, write_report
from drs_provider.hooks.drs import DrsHook
from drs_provider.links.report import report_url
from drs_provider.plan.steps import run_steps, work_of
from drs_provider.runs.custody import CLOSING_KEY, closing_of
from drs_provider.runs.gate_report import gates_of_run, gone_around
from drs_provider.runs.messages import ended, run_url
from drs_provider.runs.notify import notify
from drs_provider.runs.recovery_run import RecoveryRun, RunParameterError
from drs_provider.runs.rehearsing import rehearsal_speed, simulator_speed
from drs_provider.steps.confirm.event import ConfirmEvent
from drs_provider.tasks.accounts import account_here, expected_account
from drs_provider.tasks.gates import PLAN_KEY, leave, read_chain, read_closing, read_continued, recorded_plan
from drs_provider.tasks.identity import IDENTITY_KEY
from drs_provider.tasks.intents import keep_intents
from drs_provider.tasks.once_up import can_roll_back, is_up, note_up
from drs_provider.tasks.recovery_work import RecoveryWork, pulled, task_states

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.aws.faults import TransientError
    from drs_provider.evidence.record import RunRecord
    from drs_provider.evidence.storage import StoredReport
    from drs_provider.notifications.message import Message
    from drs_provider.plan import LoadedPlan
    from drs_provider.plan.targets import NamedTarget

__all__ = ["ReportWork"]

_NOTHING_TO_READ = frozenset({None, "skipped", "upstream_failed", "removed"})


class ReportWork(RecoveryWork, BaseOperator):
    """Writes the report of the run, and fails when the run did.

    It is the only leaf of the DAG, so the run's state is this task's state: a run that failed, or that a person
    cancelled, never shows as a success, whatever the states of its other tasks.

    :param loaded: the plan.
    """

    template_fields = ()

    def __init__(self, *, loaded: LoadedPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded

    @property
    def longest_wait_for_aws(self) -> timedelta:
        """Half an hour: people wait for the report, and what could not be read stands in it."""
        return min(super().longest_wait_for_aws, timedelta(minutes=30))

    def execute(self, context: Context) -> dict[str, Any]:
        """Collect, write, judge.

        :returns: ``{"folder", "state", "sha256"}``, the digest that of the JSON.
        :raises AirflowFailException: when the run failed; the report is written by then.
        """
        states = task_states(context)
        keep_intents(context, (wave.name for wave in self.loaded.plan.waves))
        missed = _is_missed(context, states)
        gates = [] if missed else self._gates(context, states)
        failure = self.failure(context, states, missed=missed)
        if around := gone_around(gates):
            failure = f"gates that were not passed: {', '.join(around)}" + (f"; {failure}" if failure else "")
        facts = self._facts(context, states, "failed" if failure else "running", gates)
        unanswered: list[TransientError] = []
        plan = self.loaded.plan
        asked = {
            place.key: DrsHook(aws_conn_id=place.aws_conn_id, region_name=place.region)
            for place in plan.targets_of(plan.waves)
            if not self._is_elsewhere(context, place)
        }
        record = collect_record(self.loaded, facts, asked, earlier=self._earlier(facts), unanswered=unanswered)
        if unanswered and self.keeps_asking(unanswered[0]):
            raise unanswered[0]
        record = self._compared(record)
        state = "failed" if failure or record.run.state not in ("success", "missed") else record.run.state
        ti = context["ti"]
        try:
            stored = write_report(record, reports_folder())
        except Exception:
            if ti.try_number > ti.max_tries:
                self._close(context, "failed")
                # Nobody else will tell that the run has ended.
                notify(self.loaded, context, ended(record, state=state, report=""))
            raise
        ti.xcom_push(key="report_folder", value=stored.folder)
        self._close(context, "failed" if state == "failed" else "success")
        where = f"{report_url(ti.dag_id, ti.run_id)} ({stored.html})"
        if state != "missed":
            # The first task has notified that no drill was held.
            stored = self._notify(context, record, ended(record, state=state, report=where)) or stored
        ti.xcom_push(key="report_sha256", value=stored.sha256)
        self.log.info("The report of this run: %s", stored)
        self.log.info("SHA-256 of its report.json: %s", stored.sha256)
        if state == "failed":
            raise AirflowFailException(f"The run failed: {failure or 'see the report'}. The report: {stored}")
        return {"folder": stored.folder, "state": state, "sha256": stored.sha256}

    def run(self, context: Mapping[str, Any]) -> RecoveryRun:
        """Return the run as it began: a scheduled drill has the waves of the plan that its first task recorded.

        :raises AirflowFailException: when a run parameter cannot be read.
        """
        recorded = recorded_plan(self.loaded, pulled(context, "confirm", PLAN_KEY) or {})
        try:
            return RecoveryRun.from_context(context, recorded)
        except RunParameterError as error:
            raise AirflowFailException(str(error)) from None

    def _gates(self, context: Context, states: Mapping[str, str | None]) -> list[dict[str, Any]]:
        """Judge every gate of the run once more: a state proves nothing."""
        run = self.run(context)
        waves = [wave for wave in self.loaded.plan.waves if run.selects(wave.name)]
        gates = ("confirm", "preflight", *(f"{wave.name}.approve" for wave in waves if wave.approval))
        chain = read_chain(context, self.loaded, run, gates=gates, closings_of=(), wave=None)
        return gates_of_run(replace(chain, states=states), waves)

    def _close(self, context: Context, state: Literal["success", "failed"]) -> None:
        """Close the run: beside the record of each gate, so that only that gate's own restart opens it again."""
        run, now, continued = self.run(context), datetime.now(timezone.utc), read_continued(context)
        if not run.is_drill and can_roll_back(self.loaded.plan):
            states = task_states(context)
            note_up(context, [wave.name for wave in self.loaded.plan.waves if is_up(wave, run, states)])
        selected = [wave for wave in self.loaded.plan.waves if wave.approval and run.selects(wave.name)]
        earlier = {
            gate: read_closing(context, gate)
            for gate in ("confirm", "preflight", *(f"{wave.name}.approve" for wave in selected))
        }
        last = max((closing.at for closing in earlier.values() if closing), default=None)
        for gate, closing in earlier.items():
            new = closing_of(closing, state, now, continued is not None and continued.of == last)
            leave(context, gate, CLOSING_KEY, new.model_dump(mode="json"))

    def _is_elsewhere(self, context: Context, place: NamedTarget) -> bool:
        """Whether a connection leads to another account by now: what the run did is not to be read there."""
        expected = expected_account(context, self.loaded.plan, place)
        if expected is None:
            return False
        try:
            return account_here(place) != expected
        except Exception as error:
            self.log.warning("Which account %s is could not be confirmed: %s", place, error)
            return False

    def _endpoint(self) -> str | None:
        """Return the address of DRS; None where not even a client can be made, which is no reason to have no report."""
        try:
            client: Any = DrsHook(**self.aws).conn
            return str(client.meta.endpoint_url)
        except Exception:
            self.log.exception("The address of DRS is not known")
            return None

    def _compared(self, record: RunRecord) -> RunRecord:
        """Add what the run is compared with; where the other reports cannot be read, nothing."""
        try:
            return record.model_copy(update={"previous": last_before(record, reports_folder())})
        except Exception:
            self.log.exception("The last run before this one cannot be read; the report compares with none")
            return record

    def _earlier(self, facts: RunFacts) -> RunRecord | None:
        """Return what was reported of this run before tasks of it were cleared, None where nothing was."""
        try:
            return read_report(existing_report_folder(reports_folder(), self.loaded.plan.name, facts.run_id))
        except FileNotFoundError:
            return None
        except Exception:
            self.log.exception("An earlier report of this run cannot be read; what only it tells is lost")
            return None

    def _notify(self, context: Context, record: RunRecord, message: Message) -> StoredReport | None:
        """Notify of the end once the evidence is safe, and put the outcome into the report too.

        :returns: the report, where it was written once more.
        """
        deliveries = notifications_of(notify(self.loaded, context, message))
        if not deliveries:
            return None
        try:
            told = record.model_copy(update={"notifications": [*record.notifications, *deliveries]})
            return write_report(told, reports_folder())
        except Exception:
            self.log.exception("The report does not list the notification of the run's end")
            return None

    def failure(self, context: Context, states: Mapping[str, str | None], *, missed: bool = False) -> str | None:
        """Say why the run is no success; None when it is one.

        A person who ends a run leaves its tasks skipped, which is what Airflow calls done. Here a wave is done when
        all of its work was, or when it was left out from the start.

        :param missed: whether it is a scheduled drill that was not held.
        """
        if failed := sorted(task for task, state in states.items() if state in ("failed", "upstream_failed")):
            return f"tasks that failed or were not reached: {', '.join(failed)}"
        if missed:
            return None
        run = self.run(context)
        needed = [step.name for group in run_steps(self.loaded.plan) if not group.ends_the_run for step in group.steps]
        for wave in self.loaded.plan.waves:
            if run.selects(wave.name):
                work = work_of(wave, run.mode, skip_scripts=run.skip_scripts)
                needed += [f"{wave.name}.{task}" for task in work]
        missing = [task for task in needed if states.get(task) != "success"]
        return f"it was ended before these tasks were done: {', '.join(missing)}" if missing else None

    def _facts(
        self,
        context: Context,
        states: Mapping[str, str | None],
        run_state: str,
        gates: Sequence[Mapping[str, Any]] = (),
    ) -> RunFacts:
        dag_run, ti, run = context["dag_run"], context["ti"], self.run(context)
        endpoint = self._endpoint()
        xcoms: dict[str, dict[str, Any]] = {}
        for task_id, state in states.items():
            if state not in _NOTHING_TO_READ or task_id == "terminate":
                keys = (
                    EVIDENCE_KEY,
                    "return_value",
                    STARTED_KEY,
                    ENDED_KEY,
                    WAITING_KEY,
                    *((PLAN_KEY, IDENTITY_KEY, STOPPED_KEY, GONE_KEY, INSTANCES_KEY) if task_id == "confirm" else ()),
                    *(_notified(task_id, state) if self.loaded.plan.notify else ()),
                )
                found = {key: pulled(context, task_id, key) for key in keys}
                if found[WAITING_KEY] and self.loaded.plan.notify:
                    key = f"{NOTIFIED_KEY}_waiting_for_aws"
                    found[key] = pulled(context, task_id, key)
                xcoms[task_id] = {key: value for key, value in found.items() if value is not None}
        return RunFacts(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            state=run_state,
            run_type=str(getattr(dag_run.run_type, "value", dag_run.run_type)),
            triggered_by=dag_run.triggering_user_name,
            url=run_url(ti.dag_id, ti.run_id) or None,
            note=getattr(dag_run, "note", None),
            started=dag_run.start_date,
            due=dag_run.run_after,
            parameters=dict(context["params"]) | ({"waves": sorted(run.waves)} if run.waves else {}),
            tasks={task_id: {"state": state} for task_id, state in states.items()},
            xcoms=xcoms,
            endpoint=endpoint,
            simulated_speed=rehearsal_speed() or simulator_speed(endpoint),
            gates=gates,
        )


def _is_missed(context: Context, states: Mapping[str, str | None]) -> bool:
    """Whether the run is a scheduled drill that was not held, and nothing of it has been cleared since."""
    event = last_event(ConfirmEvent, read_events(pulled(context, "confirm", EVIDENCE_KEY)).events)
    done = {state for task, state in states.items() if task not in ("confirm", "terminate")}
    return event is not None and event.status == "missed" and done <= {"skipped", "removed"}


def _notified(task_id: str, state: str | None) -> tuple[str, ...]:
    """Return the XCom keys of the notifications that a task may have sent, or had sent in its name."""
    events: tuple[str, ...] = ("wave_failed",) if state == "failed" else ()
    if task_id == "confirm":
        events += ("started", "drill_missed", "waiting_for_run", "run_frozen")
        events += ("approval_wanted", "break_glass", "rto_at_risk", "rto_missed")
    elif task_id == "terminate":
        events += ("drill_stopping",)
    elif task_id.endswith((".approve", ".rollback")):
        events += ("approval_wanted", "break_glass")
    return tuple(f"{NOTIFIED_KEY}_{event}" for event in events)
