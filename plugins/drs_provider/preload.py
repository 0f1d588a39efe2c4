"""An Airflow plugin that imports this package ahead, where tasks are forked from: no task waits for its imports.

A scheduler with LocalExecutor forks its tasks, a dag-processor the parsing of its files, a triggerer its runner. What
they have imported, their children need not import: a third of a second of the processor at every hop of a recovery.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

__all__ = ["PreloadListener", "PreloadPlugin"]

MODULES = (
    "airflow.providers.amazon.aws.operators.base_aws",
    "airflow.providers.amazon.aws.sensors.base_aws",
    "airflow.providers.amazon.aws.utils.connection_wrapper",
    "drs_provider.dag.factory",
    "drs_provider.hooks.launch",
    "drs_provider.readiness.preflight",
    "drs_provider.sensors.drs",
)


class PreloadListener:
    """Imports when a long-lived component starts; a task itself imports what it needs and no more."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Import; Airflow logs an error in here and goes on, and so do tasks."""
        if type(component).__name__ != "TaskRunnerMarker":
            for module in MODULES:
                import_module(module)


class PreloadPlugin(AirflowPlugin):
    """The plugin, by its entry point."""

    name = "drs_provider_preload"
    listeners = [PreloadListener()]
