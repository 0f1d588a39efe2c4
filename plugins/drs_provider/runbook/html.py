"""The runbook as one HTML page that needs nothing else, and prints with the plan's hash and the date on each sheet."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from drs_provider.runbook.content import Runbook
from drs_provider.timestamps import moment_text

__all__ = ["render_html"]


def render_html(runbook: Runbook) -> str:
    """Return the page; every text of it is escaped."""
    return _environment().get_template("runbook.html.j2").render(runbook=runbook)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("drs_provider.runbook"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment_text
    return environment
