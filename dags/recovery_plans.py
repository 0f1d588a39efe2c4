"""One Airflow DAG for each valid recovery plan. What is wrong with the others stands under Import Errors."""

from __future__ import annotations

from pathlib import Path

# Named here so that Airflow's dag-processor imports it once, ahead, instead of at every parse of this file.
import airflow.providers.amazon.aws.operators.base_aws  # noqa: F401

from drs_provider.dag import recovery_dags

globals().update(recovery_dags(Path(__file__).parent))
