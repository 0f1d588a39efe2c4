"""What holds while one API call is served: who makes it, for whom a runbook makes it, and the longest page."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

from drs_provider.simulator.permissions import Caller

__all__ = ["acting_as", "caller", "on_behalf_of", "page_limit"]

#: The caller of the call that is being served, where the scenario enforces IAM.
caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("caller", default=None)

#: Set while a runbook makes a call: for whom, where IAM is enforced and the runbook has no role of its own.
on_behalf_of: contextvars.ContextVar[tuple[Caller | None] | None] = contextvars.ContextVar("on_behalf_of", default=None)

#: The longest page that a fault allows.
page_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("page_limit", default=None)


@contextlib.contextmanager
def acting_as(who: Caller | None) -> Iterator[None]:
    """Let what runs later, by the clock, run with the permissions of whoever asked for it."""
    token = caller.set(who)
    try:
        yield
    finally:
        caller.reset(token)
