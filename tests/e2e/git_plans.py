"""A git repository from which Airflow takes plans: each of their runs keeps the commit that it began with."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from drs_provider.rehearsal.private_airflow import dag_files

__all__ = ["PlanRepository"]


class PlanRepository:
    """A repository with the DAG file in ``dags/`` and plan files in ``plans/``.

    :param folder: made here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("dags", "plans"):
            (folder / name).mkdir(parents=True)
        # The file that lists broken plans is there once, in the folder of the other plans.
        shutil.copy(next(file for file in dag_files() if file.stem == "recovery_plans"), folder / "dags")
        self._git("init", "--quiet", "--initial-branch", "main")

    def commit(self, name: str, text: str) -> str:
        """Write a plan file, commit, and return the commit's hash."""
        (self.folder / "plans" / f"{name}.yaml").write_text(text)
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", f"Change {name}")
        return self._git("rev-parse", "HEAD")

    def settings(self, storage: Path) -> dict[str, str]:
        """Return Airflow's settings for this repository beside the DAG folder.

        :param storage: where Airflow keeps its checkouts.
        """
        bundles = [
            {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}},
            {
                "name": "plans-git",
                "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
                "kwargs": {
                    "git_conn_id": "plans_git",
                    "tracking_ref": "main",
                    "subdir": "dags",
                    "refresh_interval": 5,
                },
            },
        ]
        return {
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(storage),
            "AIRFLOW_CONN_PLANS_GIT": json.dumps({"conn_type": "git", "host": str(self.folder)}),
            # Each bundle has its plans where they are by default, beside its DAG file.
            "AIRFLOW__DRS_PROVIDER__PLANS_FOLDER": "",
        }

    def _git(self, *words: str) -> str:
        identity = ["-c", "user.name=Planner", "-c", "user.email=planner@example.com"]
        done = subprocess.run(["git", *identity, *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()
