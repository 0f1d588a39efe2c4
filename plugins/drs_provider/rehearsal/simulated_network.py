"""An Airflow plugin that stands for a rehearsal's network: simulated instances have addresses where nothing listens.

Health checks that the worker makes itself (``tcp``, and ``http`` without ``via: ssm``) pass as soon as the simulated
EC2 shows the instance and its address. Checks through EC2 and SSM are answered by the simulator, as AWS would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

__all__ = ["SimulatedNetwork", "SimulatedNetworkPlugin", "install"]

_FILE = '''"""Of this rehearsal: checks by the worker itself pass, since simulated instances have no network."""

from drs_provider.rehearsal.simulated_network import SimulatedNetworkPlugin  # noqa: F401
'''


async def _healthy(trigger: Any, host: str) -> str:
    trigger.log.info("%s at %s: taken as healthy, since a simulated instance has no network", trigger.what, host)
    return ""


class SimulatedNetwork:
    """Answers for the instances in every component, and in every task, before they ask."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Have the checks pass."""
        from drs_provider.triggers.health import HttpHealthTrigger, TcpPortTrigger

        for trigger in (HttpHealthTrigger, TcpPortTrigger):
            trigger.probe = _healthy  # type: ignore[method-assign, assignment]


class SimulatedNetworkPlugin(AirflowPlugin):
    """The plugin, as Airflow finds it in its plugins folder."""

    name = "simulated_network"
    listeners = [SimulatedNetwork()]


def install(plugins_folder: Path) -> None:
    """Write the plugin's file into an Airflow's plugins folder."""
    plugins_folder.mkdir(parents=True, exist_ok=True)
    (plugins_folder / "simulated_network.py").write_text(_FILE, encoding="utf-8")
