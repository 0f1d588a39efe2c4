"""One Airflow DAG for each valid recovery plan. What is wrong with the others stands under Import Errors."""

from __future__ import annotations

from pathlib import Path

from drs_provider.dag import recovery_dags

globals().update(recovery_dags(Path(__file__).parent))
