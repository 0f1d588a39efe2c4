"""Defines no DAG: raises one error that lists every broken recovery plan, for the Import Errors list of Airflow's UI.

It is a file of its own, because an import error of a DAG file stops every DAG of that file.
"""

from __future__ import annotations

from pathlib import Path

from drs_provider.dag import raise_broken_plans

raise_broken_plans(Path(__file__).parent)
