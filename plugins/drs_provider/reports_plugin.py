"""What the package adds to Airflow's API server: the reports of recovery runs, as pages.

Every component of Airflow loads plugins, so this module imports nothing of the pages before somebody asks for one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from drs_provider.links.report import REPORTS_PREFIX

__all__ = ["ReportsPlugin"]

Message = MutableMapping[str, Any]


class _Reports:
    """The ASGI application of the report pages, made at the first request."""

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        from drs_provider.evidence.pages import pages

        await pages()(scope, receive, send)


class ReportsPlugin(AirflowPlugin):
    """Registered by the package's entry point ``airflow.plugins``."""

    name = "drs_provider_reports"
    fastapi_apps = [{"app": _Reports(), "url_prefix": REPORTS_PREFIX, "name": "Recovery reports"}]
