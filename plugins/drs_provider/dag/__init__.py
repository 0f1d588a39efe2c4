"""A plan becomes a DAG: the only room that knows both plans and Airflow operators."""

from __future__ import annotations

from drs_provider.dag.folder import BrokenPlansError, raise_broken_plans, recovery_dags

__all__ = ["BrokenPlansError", "raise_broken_plans", "recovery_dags"]
