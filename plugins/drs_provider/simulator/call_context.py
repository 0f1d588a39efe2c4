"""What holds while one API call is served: the longest page, and for whom a runbook makes it."""

from __future__ import annotations

import contextvars

from drs_provider.simulator import permissions

__all__ = ["on_behalf_of", "page_limit"]

#: The longest page that a fault allows the call that is being served.
page_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("page_limit", default=None)

#: Set while a runbook makes a call: for whom, where IAM is enforced and the runbook has no role of its own.
on_behalf_of: contextvars.ContextVar[tuple[permissions.Caller | None] | None] = contextvars.ContextVar(
    "on_behalf_of", default=None
)
