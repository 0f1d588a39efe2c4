"""Whether Airflow will find the plans, and which of them it will refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from drs_provider.allow_lists import notifier_refusal
from drs_provider.deploy.doctor.advice import Advice
from drs_provider.plan import PlanFolder, read_plans

__all__ = ["check_bundles", "check_dag_files", "check_plans", "local_dags_folders"]

_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
_MARK = "drs_provider.dag"


def _bundles(config: str) -> list[dict[str, object]]:
    try:
        found = json.loads(config)
    except ValueError:
        return []
    return [bundle for bundle in found if isinstance(bundle, dict)] if isinstance(found, list) else []


def local_dags_folders(dags_folder: Path, bundle_config: str) -> list[Path]:
    """Return the folders of this machine that Airflow reads DAG files from.

    :param dags_folder: ``[core] dags_folder``.
    :param bundle_config: ``[dag_processor] dag_bundle_config_list``.
    """
    folders = []
    for bundle in _bundles(bundle_config):
        if bundle.get("classpath") == _LOCAL:
            arguments = bundle.get("kwargs")
            path = arguments.get("path") if isinstance(arguments, dict) else None
            folders.append(Path(str(path)) if path else dags_folder)
    return folders


def check_bundles(bundle_config: str) -> Iterator[Advice]:
    """Say of each DAG bundle whether a run keeps the version of its plan.

    :param bundle_config: ``[dag_processor] dag_bundle_config_list``.
    """
    for bundle in _bundles(bundle_config):
        name, classpath = bundle.get("name"), str(bundle.get("classpath"))
        if classpath.endswith(".GitDagBundle"):
            yield Advice("ok", "plans", f"Bundle {name} has versions: a run keeps the plan that it started with")
        else:
            yield Advice(
                "info",
                "plans",
                f"Bundle {name} has no versions: a run stops before its next launch when its plan is edited meanwhile",
            )


def check_dag_files(folders: list[Path]) -> Iterator[Advice]:
    """Look for the two DAG files that turn plans into DAGs.

    :param folders: the folders that Airflow reads DAG files from.
    """
    for folder in folders:
        for file in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
            if _MARK in file.read_text(encoding="utf-8", errors="replace"):
                yield Advice("ok", "plans", f"DAG file {file}")
                break
        else:
            yield Advice(
                "error",
                "plans",
                f"No DAG file under {folder} makes DAGs of plans",
                f"drs-plan init DIR writes two; copy them to {folder}",
            )


def check_plans(folder: Path) -> Iterator[Advice]:
    """Read every plan file.

    :param folder: the folder of the plan files.
    """
    if not folder.is_dir():
        yield Advice(
            "error",
            "plans",
            f"The folder of plans, {folder}, does not exist",
            "make it, or set AIRFLOW__DRS_PROVIDER__PLANS_FOLDER",
        )
        return
    found: PlanFolder = read_plans(folder)
    if not found.plans and not found.problems:
        yield Advice("warning", "plans", f"No plan in {folder}", "drs-plan init DIR writes a first one")
    for name, loaded in sorted(found.plans.items()):
        yield Advice("ok", "plans", f"{name}: {len(loaded.plan.waves)} waves, {loaded.path}")
        for channel in loaded.plan.notify:
            if channel.notifier and (refusal := notifier_refusal(channel.notifier)):
                yield Advice("error", "plans", f"{name}: {refusal}")
    for problem in found.problems:
        yield Advice("error", "plans", str(problem), "drs-plan validate shows the same while you edit")
