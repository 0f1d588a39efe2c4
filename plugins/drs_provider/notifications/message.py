"""What is told: one event of a recovery run, in words for a person and as fields for a machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

__all__ = ["EventName", "Message"]

EventName = Literal[
    "started",
    "drill_missed",
    "waiting_for_run",
    "run_frozen",
    "waiting_for_aws",
    "drill_stopping",
    "approval_wanted",
    "break_glass",
    "wave_failed",
    "rto_at_risk",
    "rto_missed",
    "ended",
]


_LONGEST_TICKET = 100


@dataclass(frozen=True)
class Message:
    """One notification, whoever gets it.

    :param event: what happened.
    :param subject: one line of ASCII; SNS takes no more than 100 characters.
    :param text: the whole, for a person.
    :param plan: the plan, which is the DAG's id.
    :param run_id: Airflow's run id.
    :param mode: ``drill`` or ``recovery``.
    :param wave: the wave that it is about, where it is about one.
    :param ticket: the change or incident that the run belongs to; empty: none was given.
    :param url: the page of the run in Airflow's UI; empty where Airflow does not know its own address.
    """

    event: EventName
    subject: str
    text: str
    plan: str
    run_id: str
    mode: str
    wave: str = ""
    url: str = ""
    ticket: str = ""

    def with_ticket(self, ticket: object) -> Message:
        """Return the message with the ticket of its run, as one line of the text and as a field.

        :param ticket: the run parameter; empty, None, or what is no text: the message stays as it is.
        """
        line = " ".join(ticket.split())[:_LONGEST_TICKET] if isinstance(ticket, str) else ""
        return replace(self, ticket=line, text=f"{self.text}\nTicket: {line}") if line else self

    def as_dict(self) -> dict[str, str]:
        """Return the fields by name."""
        return asdict(self)
