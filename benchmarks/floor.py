"""Airflow's own floor: DAGs that do nothing, whose tasks note when they begin, end, and when a trigger fires.

``floor_at_once`` is a chain of no-op tasks with a deferred no-op between every two, whose trigger fires at once: what a
hop through the triggerer costs any DAG. ``floor_later`` is the same, with triggers that fire at a moment of their own
long after the deferral, as the end of a job does: what passes from such a moment to the start of the next task.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

__all__ = ["DAG_IDS", "LOG_VARIABLE", "FiringTrigger", "floor_dag", "read_floor"]

LOG_VARIABLE = "DRS_BENCH_FLOOR_LOG"
DAG_IDS = ("floor_at_once", "floor_later")


def note(dag_id: str, hop: int, event: str) -> None:
    """Append one line to the floor's log; a line this short is written whole or not at all."""
    line = json.dumps({"dag": dag_id, "hop": hop, "event": event, "t": time.time()}) + "\n"
    with Path(os.environ[LOG_VARIABLE]).open("a") as log:
        log.write(line)


class Work(BaseOperator):
    """Does nothing, and says when."""

    def __init__(self, *, hop: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hop = hop

    def execute(self, context: Any) -> None:
        note(self.dag_id, self.hop, "started")
        note(self.dag_id, self.hop, "ended")


class FiringTrigger(BaseTrigger):
    """Fires after so many seconds and ends its task."""

    def __init__(self, dag_id: str, hop: int, seconds: float) -> None:
        super().__init__()
        self.dag_id, self.hop, self.seconds = dag_id, hop, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "benchmarks.floor.FiringTrigger", {"dag_id": self.dag_id, "hop": self.hop, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.seconds)
        note(self.dag_id, self.hop, "fired")
        yield TaskSuccessEvent()


class Hop(BaseOperator):
    """Defers, and ends in the triggerer."""

    def __init__(self, *, hop: int, later: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hop, self.later = hop, later

    def execute(self, context: Any) -> None:
        seconds = random.uniform(3.0, 5.0) if self.later else 0.0
        self.defer(trigger=FiringTrigger(self.dag_id, self.hop, seconds), method_name="execute")


def floor_dag(dag_id: str, hops: int) -> DAG:
    """Return one of the two chains."""
    with DAG(dag_id=dag_id, schedule=None, catchup=False, default_args={"retries": 3}) as dag:
        before: BaseOperator = Work(task_id="work_0", hop=0)
        for hop in range(1, hops + 1):
            wait = Hop(task_id=f"hop_{hop}", hop=hop, later=dag_id == "floor_later")
            after = Work(task_id=f"work_{hop}", hop=hop)
            before >> wait >> after
            before = after
    return dag


def read_floor(log: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of every hop: from one task's end to the next task's start, and from firing to that start."""
    moments: dict[tuple[str, int, str], float] = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        moments[entry["dag"], entry["hop"], entry["event"]] = entry["t"]
    whole, fired = [], []
    for (dag, hop, event), t in moments.items():
        if event != "started" or hop == 0:
            continue
        if dag == "floor_at_once":
            whole.append(t - moments[dag, hop - 1, "ended"])
        else:
            fired.append(t - moments[dag, hop, "fired"])
    return whole, fired
