"""How a task of a plan's DAG stays light: what stands in the DAG hands its work to an operator that is made on the run.

A parse makes every task of every plan, and a worker parses before each task. So the tasks import nothing of AWS; their
operators, in the folders of :mod:`drs_provider.steps`, stand on this package's public operators and sensors, which do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import BaseOperatorLink

from drs_provider.airflow_compat import run_as_task
from drs_provider.aws.calls import limited_patience
from drs_provider.aws.pauses import checked_pauses
from drs_provider.evidence.events import ENDED_KEY
from drs_provider.plan.kinds import load
from drs_provider.runs.stopping import fail_stopped, fail_when_stopped, request_of, stoppable_waits
from drs_provider.tasks.failure_log import failures_in_log

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave
    from drs_provider.plan.steps import Step

__all__ = [
    "AUTOMATION_LINK",
    "COMMAND_LINK",
    "INSTANCES_LINK",
    "JOB_LINK",
    "QUESTIONS",
    "RecoveryTask",
    "WorkLink",
]


QUESTIONS = 12
"""How often a question is asked again. An answer that comes while the process that asked is still ending can be lost:
Airflow's scheduler then sees that end after it has queued the task again, takes the task for dead, and counts a try. A
refusal ends the task at once, whatever tries are left."""

WORKER_PATIENCE = 30.0
"""Seconds for which one call of AWS may be asked again in a worker; after that the triggerer waits."""


class RecoveryTask(BaseOperator):
    """A task of a plan's DAG.

    Whatever Airflow asks of it while it runs it hands on to :attr:`work`: to begin, to resume after a deferral, and to
    stop. XCom, retries, callbacks and time-outs are the task's own, as the operator works in the task's context.

    :param loaded: the plan with its file and hash.
    :param wave: the wave; None for the tasks of the whole plan.
    """

    # Nothing in a plan is an Airflow template.
    template_fields = ()

    ends_the_run = False
    """Whether the task is part of a run's end, which goes on when a drill is asked to stop."""

    def __init__(self, *, loaded: LoadedPlan, wave: Wave | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded
        self.wave = wave

    settings: ClassVar[Mapping[str, Any]] = {}
    """Arguments of Airflow's own that every task of its kind has, such as ``retries``."""

    work_path: ClassVar[str]
    """The dotted path of the operator that does the work, or of a function that makes it."""

    @classmethod
    def of(cls, step: Step, **kwargs: Any) -> RecoveryTask:
        """Make the task of a step.

        :param step: the step, for what only this kind of task needs of it.
        :param kwargs: the task's ``task_id``, ``loaded``, ``wave`` and so on.
        """
        return cls(**{**cls.settings, **kwargs})

    @property
    def work_arguments(self) -> dict[str, Any]:
        """What the work needs to know beside the plan and the wave."""
        return {}

    def make_work(self) -> BaseOperator:
        """Import and make the operator that does the work."""
        wave = {} if self.wave is None else {"wave": self.wave}
        work: BaseOperator = load(self.work_path)(
            task_id=self.task_id, loaded=self.loaded, **wave, **self.work_arguments
        )
        return work

    @cached_property
    def work(self) -> BaseOperator:
        """The operator that does the work, from the moment at which the task begins."""
        return self.make_work()

    def execute(self, context: Context) -> Any:
        """Begin the work, unless it is a drill's that is asked to stop. The log's first line says what is at stake."""
        self.log.info("%s of %s", mode_text(context.get("params") or {}), self.loaded.plan.name)
        with failures_in_log(self, context):
            return self._work(context)

    def _work(self, context: Context) -> Any:
        return self._patiently(context, lambda: self.work.execute(context))

    def resume_execution(self, next_method: str, next_kwargs: Mapping[str, Any] | None, context: Context) -> Any:
        """Go on with the work: its ``next_method`` is called, or its time in the triggerer was up.

        After a wait for AWS, and where a trigger could not see the outcome of its wait, it begins again.
        """
        with failures_in_log(self, context):
            return self._resume(next_method, next_kwargs, context)

    def _resume(self, next_method: str, next_kwargs: Mapping[str, Any] | None, context: Context) -> Any:
        from drs_provider.tasks import patience

        event = (next_kwargs or {}).get("event")
        if not self.ends_the_run and (request := request_of(event)):
            fail_stopped(context, request)
        if next_method == patience.BEGIN_AGAIN:
            patience.note_answer(context)
            return self._work(context)
        if error := patience.event_error(event):
            return self._patiently(context, lambda: _raise(error))
        return self._patiently(
            context,
            lambda: self.work.resume_execution(next_method, next_kwargs, context),  # type: ignore[arg-type]
        )

    def _patiently(self, context: Context, work: Callable[[], Any]) -> Any:
        """Do the work; where AWS does not answer for a cause that passes by itself, wait for it in the triggerer."""
        from drs_provider.tasks.live import live_waits

        with live_waits(self, context), run_as_task(self.work) if self.ends_the_run else self._stoppable(context):
            try:
                with limited_patience(WORKER_PATIENCE):
                    return work()
            except Exception as error:
                from drs_provider.tasks.patience import fail_for_good, wait_for_aws

                if not wait_for_aws(self.work, context, error):  # type: ignore[arg-type]
                    fail_for_good(self.work, context, error)  # type: ignore[arg-type]
                    raise
        return self._work(context)

    @contextmanager
    def _stoppable(self, context: Context) -> Iterator[None]:
        """Do the work meanwhile, unless or until it is a drill's that is asked to stop.

        It is looked for now, in every pause of the work in this worker, and during its waits in the triggerer; right
        before each act on AWS the work looks itself (``before_acting``).
        """
        fail_when_stopped(context)
        pauses = checked_pauses(partial(fail_when_stopped, context))
        with run_as_task(self.work), pauses, stoppable_waits(context):
            yield

    def on_kill(self) -> None:
        """Tell the work, if it has begun."""
        if "work" in vars(self):
            self.work.on_kill()

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Tell when the work ended; a task that ends in the triggerer tells by the trigger's event."""
        context["ti"].xcom_push(key=ENDED_KEY, value=datetime.now(timezone.utc).isoformat())


def mode_text(parameters: Mapping[str, Any]) -> str:
    """Return the mode of a run as every log begins with it."""
    return "REAL RECOVERY" if parameters.get("mode") == "recovery" else "Drill"


def _raise(error: Exception) -> NoReturn:
    raise error


class WorkLink(BaseOperatorLink):
    """A link of the operator that does the work: its name, and the class that is imported for its address.

    :param name: the name that Airflow's UI shows.
    :param module: the module of the link's class.
    :param kind: the link's class, which is also the key under which the address is stored.
    """

    def __init__(self, name: str, module: str, kind: str) -> None:
        self._name = name
        self._module = module
        self._kind = kind

    @property
    def name(self) -> str:
        """The name that Airflow's UI shows."""
        return self._name

    @property
    def xcom_key(self) -> str:
        """The key under which the address is stored."""
        return f"_link_{self._kind}"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; the worker that ran the task stores it."""
        link = getattr(import_module(self._module), self._kind)()
        return str(link.get_link(operator, ti_key=ti_key))


JOB_LINK = WorkLink("Recovery job in DRS", "drs_provider.links.drs", "DrsJobLink")
INSTANCES_LINK = WorkLink("Recovery instances in DRS", "drs_provider.links.drs", "DrsRecoveryInstancesLink")
COMMAND_LINK = WorkLink("SSM command", "drs_provider.links.ssm", "SsmCommandLink")
AUTOMATION_LINK = WorkLink("SSM automation", "drs_provider.links.ssm", "SsmAutomationLink")
