"""An Airflow plugin that imports this package and reads the plans ahead, in the processes that others are forked from.

A scheduler with LocalExecutor forks its tasks, a dag-processor the parsing of its files, a triggerer its runner. What
they have imported and read, their children have: a third of a second of the processor less at every hop of a recovery.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from drs_provider.airflow_compat import is_task_process

__all__ = ["PreloadListener", "PreloadPlugin", "import_ahead"]

MODULES = (
    "drs_provider.dag.factory",
    # What tasks import late themselves: for their first call of AWS, and where a plan notifies somebody.
    "airflow.providers.amazon.aws.utils.connection_wrapper",
    "drs_provider.notifications.delivery",
)


class PreloadListener:
    """Imports when a long-lived component starts; a task itself imports what it needs and no more."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Import; Airflow logs an error in here and goes on, and so do tasks."""
        if not is_task_process(component):
            import_ahead()
            read_plans_ahead()


def import_ahead() -> None:
    """Import what tasks import.

    A Celery worker forks its tasks too, but loads no plugin and tells no listener of its start: the file
    ``airflow_local_settings.py`` of its Airflow may call this.
    """
    for module in MODULES:
        import_module(module)
    import_work()


def import_work() -> None:
    """Import what the tasks of a plan do, which is what brings in boto3."""
    steps = import_module("drs_provider.steps")
    for module in walk_packages(steps.__path__, f"{steps.__name__}."):
        import_module(module.name)


def read_plans_ahead() -> None:
    """Read the plans of the DAG folder: a child that finds a file with the same content has it already."""
    from airflow.providers.common.compat.sdk import conf

    from drs_provider.dag.folder import plans_folder
    from drs_provider.plan import read_plans

    read_plans(plans_folder(Path(conf.get("core", "dags_folder"))))


class PreloadPlugin(AirflowPlugin):
    """The plugin, by its entry point."""

    name = "drs_provider_preload"
    listeners = [PreloadListener()]
