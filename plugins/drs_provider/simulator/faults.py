"""Faults that a scenario or a test injects into API calls: errors before or after the effect, throttling, slow and
held answers, dropped connections, truncated pages.

Every API call of every service asks here once. A fault names its operation, and can be narrowed by service, by account
and by a text that the call's parameters must contain; it strikes `times` times or without end, always or with a
probability, whose seed makes a run repeatable.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from drs_provider.durations import Seconds
from drs_provider.simulator.fault_names import error_problem, operation_problem, service_problem
from drs_provider.simulator.history import LISTS, READS, SERVICES

__all__ = ["Fault", "Faults"]


class Fault(BaseModel):
    """One fault.

    `error`: the answer is this error code. `when: after` commits the effect first, as AWS does when it answers 500 to a
    request that it accepted. `reset`: the connection is dropped instead. `delay`: the answer comes that many seconds
    late (real seconds). `stale`: a list or describe of DRS, SSM or EC2 answers as the state was that many seconds of
    AWS ago, though no earlier than when the fault was put in force; a Get only where the fault names it. `hold`: the
    effect is committed and logged at once, and the answer held back for that many seconds, or (`hold: true`) until
    released. `page_size`: a page has at most so many items, whatever was asked for.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    operation: str = Field(description="An API operation such as StartRecovery, or * for every one")
    service: str | None = None
    account: str | None = None
    contains: str | None = Field(default=None, description="A text that the parameters, as JSON, must contain")
    error: str | None = None
    message: str | None = None
    status: int | None = Field(default=None, ge=400, le=599)
    when: Literal["before", "after"] = "before"
    reset: bool = False
    delay: float = Field(default=0.0, ge=0)
    stale: Seconds | None = Field(default=None, gt=0)
    hold: bool | float = False
    page_size: int | None = Field(default=None, ge=0)
    skip: int = Field(default=0, ge=0, description="How many matching calls pass before the fault begins")
    times: int | None = Field(default=None, ge=1)
    probability: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    id: int = 0

    _struck: int = PrivateAttr(default=0)
    _seen: int = PrivateAttr(default=0)
    _random: random.Random = PrivateAttr(default_factory=random.Random)
    _released: threading.Event = PrivateAttr(default_factory=threading.Event)

    @model_validator(mode="after")
    def _does_something(self) -> Fault:
        if not (self.error or self.reset or self.delay or self.stale or self.hold or self.page_size is not None):
            raise ValueError("a fault needs one of error, reset, delay, stale, hold, page_size")
        if self.error and self.reset:
            raise ValueError("a fault is an error or a reset, not both")
        problem = service_problem(self.service) if self.service else None
        problem = problem or operation_problem(self.operation, self.service)
        if problem is None and self.stale and not self._reads(self.operation):
            problem = f"{self.operation} cannot be stale; only operations that begin with {', '.join(READS)} can"
        if problem is None and self.stale and self.service not in (None, *SERVICES):
            problem = f"{self.service} cannot be stale; only {', '.join(SERVICES)} can"
        if problem is None and self.error:
            problem = error_problem(self.error, self.operation, self.service)
        if problem:
            raise ValueError(problem)
        self._random.seed(self.seed)
        return self

    def __str__(self) -> str:
        what = [self.error] if self.error else []
        what += [name for name in ("reset", "delay", "stale", "hold") if getattr(self, name)]
        what += ["page_size"] if self.page_size is not None else []
        narrowed = f", contains {self.contains!r}" if self.contains else ""
        return f"{self.operation} ({', '.join(what)}{narrowed})"

    @property
    def struck(self) -> int:
        """How many calls it has hit."""
        return self._struck

    def matches(self, service: str, operation: str, account: str, params: Any) -> bool:
        """Whether it is about this call."""
        if self.operation not in ("*", operation):
            return False
        if self.stale and (service not in SERVICES or (self.operation == "*" and not operation.startswith(LISTS))):
            return False
        if self.service not in (None, service) or self.account not in (None, account):
            return False
        return self.contains is None or self.contains in json.dumps(params, default=str)

    @staticmethod
    def _reads(operation: str) -> bool:
        return operation == "*" or operation.startswith(READS)

    def strikes(self) -> bool:
        """Whether it hits this call, which matches; counts."""
        self._seen += 1
        if self._seen <= self.skip or (self.times is not None and self._struck >= self.times):
            return False
        if self.probability < 1 and self._random.random() >= self.probability:
            return False
        self._struck += 1
        return True

    def wait_released(self) -> None:
        """Block the call for as long as `hold` says."""
        self._released.wait(None if self.hold is True else float(self.hold))

    def release(self) -> None:
        """Let every held answer go, and hold none again."""
        self._released.set()


class Faults:
    """The faults in force, safe for many threads.

    :param lags: called with the `stale` of every fault in force whenever that may have changed.
    """

    def __init__(self, lags: Callable[[tuple[float, ...]], None] = lambda lags: None) -> None:
        self._lags = lags
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._gone: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, fault: Fault | None = None, **fields: Any) -> Fault:
        """Put a fault in force: a `Fault`, or its fields. Returns it, with the `id` that `clear` and `release` take."""
        added = (fault or Fault(**fields)).model_copy(update={"id": next(self._ids)}, deep=False)
        added._random = random.Random(added.seed)
        added._released = threading.Event()
        added._struck = added._seen = 0
        with self._lock:
            self._faults.append(added)
        self._tell_lags()
        return added

    def striking(self, service: str, operation: str, account: str, params: Any) -> list[Fault]:
        """The faults that hit this call, in the order in which they were added."""
        if not self._faults:
            return []
        with self._lock:
            return [
                fault
                for fault in self._faults
                if fault.matches(service, operation, account, params) and fault.strikes()
            ]

    def clear(self, fault_id: int | None = None) -> None:
        """Take all faults, or the one with this id, out of force, and let go what they hold."""
        with self._lock:
            gone = [fault for fault in self._faults if fault_id in (None, fault.id)]
            self._faults = [fault for fault in self._faults if fault not in gone]
            self._gone += gone
        self._tell_lags()
        for fault in gone:
            fault.release()

    def forget(self) -> None:
        """Take all faults out of force, and forget that there were any."""
        self.clear()
        with self._lock:
            self._gone.clear()

    def never_struck(self) -> list[Fault]:
        """The faults, in force or taken out of force again, that hit no call: they proved nothing."""
        with self._lock:
            return sorted((one for one in (*self._faults, *self._gone) if not one.struck), key=lambda one: one.id)

    def _tell_lags(self) -> None:
        self._lags(tuple(fault.stale for fault in self.listed() if fault.stale))

    def release(self, fault_id: int | None = None) -> None:
        """Let held answers go: those of one fault, or all."""
        for fault in self.listed():
            if fault_id in (None, fault.id):
                fault.release()

    def listed(self) -> list[Fault]:
        """The faults in force."""
        with self._lock:
            return list(self._faults)
