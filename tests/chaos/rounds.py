"""One round of a campaign: plans, worlds and faults are drawn, run side by side on one Airflow, and judged."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from tests.chaos.cases import REGION, Case, draw_case
from tests.chaos.faults import CASE_FAULTS, SITE_FAULTS, Fault, Started, draw_fault
from tests.chaos.invariants import RunFacts, Wait, violations, waits
from tests.chaos.site import Site
from tests.chaos.truth import Truth

__all__ = ["KINDS", "Round", "RoundResult", "deal"]

_SHARED = "two plans that share a server"
_TWICE = "a plan triggered twice"
#: Every kind of fault.
KINDS = (*SITE_FAULTS, *CASE_FAULTS, _SHARED, _TWICE)

_TICK = 0.3
_QUESTIONS_EVERY = 2.0
# A person reads a question for so long at most. Airflow can lose an answer that comes within seconds: its scheduler may
# see the end of the asking process after the task was queued again. Then the question is asked again.
_READING = 10.0


def deal(seed: int, number: int, count: int) -> list[str]:
    """Return the kinds of a round's faults: each seed shuffles a deck, and deals it to its end before the next one.

    :param number: the round's number.
    :param count: faults a round.
    """
    hand = []
    for place in range(number * count, (number + 1) * count):
        deck, card = divmod(place, len(KINDS))
        hand.append(random.Random(f"{seed}/deck {deck}").sample(KINDS, len(KINDS))[card])
    return hand


@dataclass
class RoundResult:
    """What a round came to.

    :param runs: how many runs there were, by the state that they ended in.
    :param faults: how many faults of each kind struck.
    :param violations: what must not be.
    :param waits: how long waves that could start waited.
    :param launches: how many launches there were, by server.
    """

    runs: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    launches: int = 0
    seconds: float = 0.0

    def __iadd__(self, other: RoundResult) -> RoundResult:
        self.runs += other.runs
        self.faults += other.faults
        self.violations += other.violations
        self.waits += other.waits
        self.launches += other.launches
        self.seconds += other.seconds
        return self


class Round:
    """A round.

    :param site: where it takes place.
    :param seed: the campaign's seed.
    :param number: the round's number; seed and number decide everything that is drawn.
    :param kinds: the kinds of faults that strike, in the place of those that are dealt.
    :param patience: seconds that a wave may wait without a fault.
    """

    def __init__(
        self,
        site: Site,
        seed: int,
        number: int,
        *,
        cases: int = 3,
        faults: int = 4,
        kinds: Sequence[str] = (),
        most_waves: int = 15,
        patience: float = 15.0,
        timeout: float = 420.0,
    ) -> None:
        self.site = site
        self.rng = random.Random(f"{seed}/{number}")
        self.prefix = f"c{seed}-{number}"
        self.patience = patience
        self.timeout = timeout
        self.most_waves = most_waves
        self.cases = [self._draw(number, place) for place in range(cases)]
        self.kinds = list(kinds) or deal(seed, number, faults)
        self.shared = self._share_a_server() if cases > 1 and _SHARED in self.kinds else None
        if _TWICE in self.kinds:
            self.cases[0].runs = 2
            # After a recovery preflight rightly refuses the second run: the instances of the first live on.
            self.cases[0].conf = {}
            for server in self.cases[0].servers:
                # The second run meets the same world only where every launch goes the same way.
                server["outcome"] = server["outcome"] if isinstance(server["outcome"], str) else server["outcome"][-1]
        self.started: list[Started] = []
        self.faults: list[Fault] = []
        self.questions: dict[tuple[str, str, str], float] = {}

    def _draw(self, number: int, place: int) -> Case:
        return draw_case(self.rng, f"{self.prefix}-{place}", number * 16 + place, most_waves=self.most_waves)

    def _share_a_server(self) -> tuple[Case, Case]:
        """Let two plans have a server in common."""
        first, second = self.cases[0], self.cases[1]
        wave = self.rng.choice(second.plan["waves"])
        wave["servers"].append({"id": self.rng.choice(first.servers)["id"], "critical": True})
        return first, second

    def run(self) -> RoundResult:
        """Run it to its end, and judge it."""
        began = time.monotonic()
        result = RoundResult()
        self._begin()
        try:
            ended = self._go_on()
            self._calm()
            if not ended:
                result.violations += [f"{self.prefix}: {line}" for line in self._frozen()]
            self._judge(result)
        finally:
            for case in self.cases:
                (self.site.plans_folder / f"{case.name}.yaml").unlink(missing_ok=True)
        result.seconds = time.monotonic() - began
        return result

    def _begin(self) -> None:
        site = self.site
        site.simulator.control("POST", "/scenario", self._scenario())
        for case in self.cases:
            site.write_plan(case.name, case.plan)
        deadline = time.monotonic() + 120
        while not all(site.api.has_dag(case.name) for case in self.cases):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the plans of {self.prefix} do not become DAGs: {site.api.import_errors()}")
            time.sleep(0.5)
        for case in self.cases:
            for number in range(case.runs):
                run_id = site.api.trigger(case.name, case.conf, f"run{number}")
                self.started.append(Started(case, run_id))
        self.faults = [
            draw_fault(self.rng, kind, self.rng.choice(self.started) if kind in CASE_FAULTS else None)
            for kind in self.kinds
            if kind not in (_SHARED, _TWICE)
        ]

    def _scenario(self) -> dict[str, Any]:
        servers = [server for case in self.cases for server in case.servers]
        documents = {name: spec for case in self.cases for name, spec in case.documents.items()}
        return {"region": REGION, "servers": servers, "documents": documents}

    def _go_on(self) -> bool:
        """Let faults strike and people answer until every run has ended; return whether all of them did."""
        start = time.monotonic()
        asked = 0.0
        while True:
            elapsed = time.monotonic() - start
            for fault in self.faults:
                fault.step(self.site, elapsed)
            if elapsed - asked > _QUESTIONS_EVERY:
                asked = elapsed
                try:
                    self._answer()
                    if all(self._ended(one) for one in self.started):
                        return True
                except (httpx.HTTPError, OSError):
                    pass  # The API server was killed, or its database; it comes back.
            last = max((fault.ended - time.time() for fault in self.faults if fault.ended), default=0.0)
            if elapsed > self.timeout + max(0.0, last):
                return False
            time.sleep(_TICK)

    def _answer(self) -> None:
        now, seen = time.monotonic(), {}
        for one in self.started:
            for task in self.site.api.pending_approvals(one.case.name, one.run_id):
                question = (one.case.name, one.run_id, task)
                read = random.Random("/".join(question)).uniform(0, _READING)
                if now - self.questions.get(question, now) >= read:
                    self.site.api.answer_approval(*question, one.case.answers.get(task, "Approve"))
                else:
                    seen[question] = self.questions.get(question, now)
        self.questions = seen

    def _ended(self, one: Started) -> bool:
        return self.site.api.run(one.case.name, one.run_id)["state"] in FINISHED_STATES

    def _calm(self) -> None:
        """Take every fault out of force, and wait until everything is up."""
        for fault in self.faults:
            if fault.began is not None and fault.ended is None:
                fault.end(self.site)
                fault.ended = time.time()
        self.site.simulator.control("DELETE", "/faults")
        self.site.disk.free()
        self.site.wait_until_well()

    def _frozen(self) -> list[str]:
        lines = []
        for one in self.started:
            if not self._ended(one):
                tasks = self.site.api.task_instances(one.case.name, one.run_id)
                states = {task: instance["state"] for task, instance in tasks.items() if instance["state"] != "success"}
                lines.append(f"{one.case.name}/{one.run_id} did not end within {self.timeout:g} s: {states}")
        return lines

    def _judge(self, result: RoundResult) -> None:
        truth = Truth.of(self.site.simulator)
        result.faults += Counter(fault.kind for fault in self.faults if fault.struck)
        if self.shared:
            result.faults[_SHARED] += 1
        if any(case.runs > 1 for case in self.cases):
            result.faults[_TWICE] += 1
        for one in self.started:
            if self._ended(one):
                facts = self._facts(one)
                result.runs[facts.state] += 1
                result.violations += violations(facts, truth)
                result.waits += waits(facts)
                result.launches += sum(len(jobs) for jobs in truth.run(one.case.name, one.run_id).launches().values())
            else:
                result.runs["not ended"] += 1
        for wait in result.waits:
            if wait.ours > self.patience:
                result.violations.append(
                    f"{wait.run}: {wait.wave} could start and waited {wait.seconds:.1f} s, {wait.ours:.1f} s of it "
                    "without a fault"
                )

    def _facts(self, one: Started) -> RunFacts:
        api = self.site.api
        mine = [fault for fault in self.faults if fault.started in (None, one)]
        struck = [fault for fault in mine if fault.began is not None]
        shared = self.shared is not None and one.case in self.shared
        # An edited plan is edited for every run of it.
        edited = any(not fault.exact and fault.started and fault.started.case is one.case for fault in self.faults)
        folder = api.xcom(one.case.name, one.run_id, "report", "report_folder")
        return RunFacts(
            case=one.case,
            run_id=one.run_id,
            state=api.run(one.case.name, one.run_id)["state"],
            tasks=api.task_instances(one.case.name, one.run_id),
            report=Path(str(folder).removeprefix("file://").removeprefix("file:")) if folder else None,
            windows=[window for fault in struck if (window := fault.window)],
            exact=not edited and not shared and all(fault.exact for fault in struck),
            failed_by_person=any(fault.kind in CASE_FAULTS and not fault.exact for fault in struck),
            alone=not shared,
        )

    def story(self) -> list[str]:
        """What struck, for people."""
        lines = [
            f"{fault.kind} at {fault.at:.0f} s"
            + (f" on {fault.started.case.name}/{fault.started.run_id}" if fault.started else "")
            + ("" if fault.struck else " (did not strike)")
            + (f": {fault.note}" if fault.note else "")
            for fault in self.faults
        ]
        waves = [f"{case.name}: {len(case.plan['waves'])} waves, {len(case.servers)} servers" for case in self.cases]
        return waves + lines
