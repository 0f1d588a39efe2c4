"""What each step takes: as earlier drills say, else as the scenario says, else as live drills of others took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drs_provider.aws import typical
from drs_provider.estimate.history import History
from drs_provider.estimate.likely import Likely
from drs_provider.estimate.site import ServerFacts, Site

if TYPE_CHECKING:
    from drs_provider.plan import HealthCheck, Script

__all__ = ["Durations"]

SCRIPT_AT_WORST = 12.0
"""A script of which nothing is known may take a minute."""
SERVICE = Likely(0.5, 2.0, 30.0)
"""From the start of a service to its first answer."""

NO_TIME = Likely.exactly(0.0)


@dataclass(frozen=True)
class Durations:
    """Answers in seconds of AWS.

    :param site: what the plan meets.
    :param history: reports of earlier drills, if there are any.
    :param answer: how long a person takes to say go, where no earlier drill tells.
    """

    site: Site
    history: History | None = None
    answer: Likely = NO_TIME

    def phase(self, server: str, phase: str) -> Likely:
        """A phase of a server's launch, or its boot."""
        facts = self.site.facts.get(server, ServerFacts())
        learnt = self.history.phase(server, facts.system, phase) if self.history else None
        if learnt is not None:
            return learnt
        if phase in facts.phases:
            return Likely.exactly(facts.phases[phase])
        known = typical.BY_SYSTEM[facts.system]
        seconds = known[phase] if phase in known else typical.COMMON[phase]
        return Likely.about(seconds, at_best=typical.AT_BEST, at_worst=typical.AT_WORST)

    def system(self, server: str) -> str:
        """``linux`` or ``windows``."""
        return self.site.facts.get(server, ServerFacts()).system

    def is_known(self, server: str) -> bool:
        """Whether the phases of a server's launch are known: learnt from its history, or said by a scenario."""
        facts = self.site.facts.get(server, ServerFacts())
        learnt = self.history and self.history.phase(server, facts.system, "conversion")
        return bool(learnt) or "conversion" in facts.phases

    def agent(self, server: str) -> Likely:
        """From a server's launch until its SSM agent is online."""
        facts = self.site.facts.get(server, ServerFacts())
        if facts.agent is not None:
            return Likely.exactly(facts.agent)
        return Likely.about(typical.AGENT_ONLINE[facts.system], at_best=typical.AT_BEST, at_worst=typical.AT_WORST)

    def script(self, script: Script) -> Likely:
        """What a script does, without waiting for it."""
        document = str(script.automation or script.run_command)
        if document in self.site.documents:
            return Likely.exactly(self.site.documents[document])
        seconds = typical.STEP if script.automation and document.startswith("AWS-") else typical.SCRIPT
        limit = script.timeout.total_seconds()
        return Likely(min(seconds, limit), min(seconds, limit), min(seconds * SCRIPT_AT_WORST, limit))

    def service(self, check: HealthCheck) -> Likely:
        """Until a service answers, once it was started; a probe on the instance itself is a script there."""
        if getattr(check, "via", "worker") == "ssm":
            return Likely(1.0, typical.SCRIPT, typical.SCRIPT * SCRIPT_AT_WORST)
        return SERVICE
