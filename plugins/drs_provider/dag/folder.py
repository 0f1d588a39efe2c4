"""From the folder of plan files to the DAGs of one DAG file."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException, conf
from airflow.sdk import get_parsing_context

from drs_provider.plan import find_plan, read_plans

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["BrokenPlansError", "plans_folder", "raise_broken_plans", "recovery_dags"]

log = logging.getLogger(__name__)


class BrokenPlansError(AirflowException):
    """Plan files that are not valid; the message lists every problem with its file, line and column."""


def plans_folder(dags_folder: Path) -> Path:
    """Return the folder of the plan files.

    It is ``[drs_provider] plans_folder`` of Airflow's configuration; a relative path counts from the folder of the DAG
    file, so that a versioned DAG bundle finds the plans of its own version. Without the setting it is the folder
    ``plans`` inside the folder of the DAG file or beside it, whichever exists.

    :param dags_folder: the folder of the DAG file.
    """
    configured = conf.get("drs_provider", "plans_folder", fallback="")
    if configured:
        return (dags_folder / Path(configured).expanduser()).resolve()
    inside = dags_folder / "plans"
    return inside if inside.is_dir() else dags_folder.parent / "plans"


def recovery_dags(dags_folder: Path) -> dict[str, DAG]:
    """Return one DAG for each valid plan file, by its id. It never raises: one broken plan must not hide another.

    A worker that is about to run a task parses the DAG file for one DAG only; then only that plan is read and built.

    :param dags_folder: the folder of the DAG file.
    """
    from drs_provider.dag.factory import build_dag

    folder = plans_folder(dags_folder)
    wanted = get_parsing_context().dag_id
    dags: dict[str, DAG] = {}
    with _garbage_left():
        try:
            if wanted:
                found = find_plan(folder, wanted)
                loaded_plans = [found] if found else []
            else:
                loaded_plans = list(read_plans(folder).plans.values())
        except OSError:
            log.exception("The folder of recovery plans, %s, cannot be read", folder)
            return dags
        for loaded in loaded_plans:
            try:
                dags[loaded.plan.name] = build_dag(loaded)
            except Exception:
                # A plan that validates and does not build is our mistake; it still must not take the others with it.
                log.exception("Plan %s could not be made into a DAG", loaded.path)
    return dags


@contextmanager
def _garbage_left() -> Iterator[None]:
    """Collect no garbage meanwhile: DAGs are many objects, none of which goes, and each search looks at them all."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def raise_broken_plans(dags_folder: Path) -> None:
    """Raise one error that lists every broken plan, so that Airflow's Import Errors show it. Return if there is none.

    :param dags_folder: the folder of the DAG file.
    :raises BrokenPlansError: when a plan file is not valid, or valid and yet cannot be made into a DAG.
    """
    from drs_provider.dag.factory import build_dag

    if get_parsing_context().dag_id:
        return
    folder = plans_folder(dags_folder)
    if not folder.is_dir():
        raise BrokenPlansError(
            f"The folder of recovery plans, {folder}, does not exist. Make it, or set [drs_provider] plans_folder "
            "(AIRFLOW__DRS_PROVIDER__PLANS_FOLDER)."
        )
    with _garbage_left():
        plans = read_plans(folder)
        broken = [str(problem) for problem in plans.problems]
        for loaded in plans.plans.values():
            try:
                build_dag(loaded)
            except Exception as error:
                broken.append(f"{loaded.path}: valid, but no DAG could be made of it: {error!r}")
    if broken:
        raise BrokenPlansError("Broken recovery plans:\n" + "\n".join(broken))
