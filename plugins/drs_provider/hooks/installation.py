"""The name of this Airflow, which its jobs in DRS carry: two Airflows with the same plans must not share their runs.

A standby Airflow that is to go on with the runs of another is given that one's name by ``[drs_provider] installation``.
Without the setting a name is made up once, and kept where all workers of one Airflow, and no others, see it: in its
database, as a variable.
"""

from __future__ import annotations

import uuid

from airflow.providers.common.compat.sdk import conf

__all__ = ["VARIABLE", "configured_installation", "installation"]

VARIABLE = "drs_provider_installation"
"""The Airflow variable that keeps the name where none is configured."""


def configured_installation() -> str:
    """Return the setting ``[drs_provider] installation``, empty where it is not set."""
    return str(conf.get("drs_provider", "installation", fallback="") or "").strip()


def installation() -> str:
    """Return the name of this Airflow, made up and stored the first time; for code that runs in a worker."""
    if configured := configured_installation():
        return configured
    from airflow.sdk import Variable

    known = Variable.get(VARIABLE, default=None)
    if not known:
        Variable.set(
            VARIABLE,
            f"airflow-{uuid.uuid4().hex[:16]}",
            description="Tells the DRS jobs of this Airflow from those of others. Do not change it.",
        )
        # As it was stored: two workers may have made one up at the same moment.
        known = Variable.get(VARIABLE)
    return str(known).strip()
