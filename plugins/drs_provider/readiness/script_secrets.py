"""Are the Airflow connections there that the scripts take secrets from: better to know now than in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from drs_provider.plan.references import Reference, references_in
from drs_provider.readiness.findings import Finding

if TYPE_CHECKING:
    from drs_provider.plan import Script

__all__ = ["Lookup", "check_secrets"]

Lookup = Callable[[Reference], object]
"""Looks a reference up, and raises where that is not possible; what it returns is not kept."""


def check_secrets(uses: Iterable[tuple[str, Script]], lookup: Lookup | None) -> list[Finding]:
    """Look up every reference of the scripts: a finding for each that is not there.

    :param uses: the (wave name, script) pairs.
    :param lookup: looks up in Airflow; None where there is no Airflow to ask.
    """
    findings = []
    for wave, script in uses:
        for wanted in dict.fromkeys(references_in(script.parameters)):
            if lookup is None:
                message = f"Script {script.name}: {wanted} was not looked up: its value is known to Airflow's workers."
                findings.append(
                    Finding.of("secret-not-checked", message, "The preflight of a drill looks it up.", wave=wave)
                )
                continue
            try:
                lookup(wanted)
            except (
                Exception
            ) as error:  # A secrets backend may raise anything; what is not known to be good is not good.
                message = f"Script {script.name}: {wanted} cannot be looked up: {error}."
                findings.append(Finding.of("secret-missing", message, "Create the connection in Airflow.", wave=wave))
    return findings
