"""From steps to DAGs: the factory, the form, the page of a plan, the folder of plan files."""

from __future__ import annotations

from drs_provider.dag.folder import BrokenPlansError, raise_broken_plans, recovery_dags

__all__ = ["BrokenPlansError", "raise_broken_plans", "recovery_dags"]
