"""Registers the simulator's services with moto, from outside and without a fork.

A service of the simulator is a package with `urls.py` (`url_bases`, `url_paths`), `responses.py` and `models.py`, as
in moto. `models.py` holds `<name>_backends`, a `BackendDict`, and may hold `seed(simulation, account, region, site)`,
which is called for every account and region of a scenario, once moto's own state is empty. Their URLs come before
moto's own.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import moto.backend_index
import moto.backends
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.model_instances import reset_model_data
from moto.core.responses import BaseResponse
from moto.ec2.models.subnets import Subnet

from drs_provider.simulator import (
    entry,
    hot_paths,
    images,
    instance_states,
    instance_times,
    launch_template_versions,
    policy_simulation,
)

if TYPE_CHECKING:
    from drs_provider.simulator.scenario import AccountSpec
    from drs_provider.simulator.simulation import Simulation

__all__ = ["SERVICES", "Service", "install", "reset_backends"]


@dataclass(frozen=True)
class Service:
    """One service that the simulator adds to moto, or puts in the place of moto's own.

    `name` is moto's name of it, without dashes; `package` is where its modules are.
    """

    name: str
    package: str
    host: str

    def module(self, name: str) -> Any:
        """One of its modules."""
        return importlib.import_module(f"{self.package}.{name}")

    @property
    def backends(self) -> Any:
        """Its `BackendDict`."""
        return getattr(self.module("models"), f"{self.name}_backends")

    def seed(self, simulation: Simulation, account: str, region: str, site: AccountSpec) -> None:
        """Put in place what a scenario says of one account and region."""
        seed = getattr(self.module("models"), "seed", None)
        if seed is not None:
            seed(simulation, account, region, site)


SERVICES: tuple[Service, ...] = (
    Service("drs", "drs_provider.simulator.drs", r"https?://drs\.(.+)\.amazonaws\.com"),
    Service("ssm", "drs_provider.simulator.ssm", r"https?://ssm\.(.+)\.amazonaws\.com"),
    Service("servicequotas", "drs_provider.simulator.servicequotas", r"https?://servicequotas\.(.+)\.amazonaws\.com"),
)

_lock = threading.Lock()
_installed = False


def install() -> None:
    """Register the services, and let every API call pass the simulator's entry. Does it once a process."""
    global _installed
    with _lock:
        if _installed:
            return
        patterns = moto.backend_index.backend_url_patterns
        patterns[:0] = [(service.name, re.compile(service.host)) for service in SERVICES]
        by_name = {service.name: service for service in SERVICES}
        moto_backends: Any = moto.backends
        base_response: Any = BaseResponse
        original: Callable[[str], Any] = moto_backends.get_backend

        def get_backend(name: str) -> Any:
            service = by_name.get(name.replace("-", ""))
            return original(name) if service is None else service.backends

        moto_backends.get_backend = get_backend
        for name in ("urls", "flask_paths"):
            setattr(BaseBackend, name, property(_through_entry(vars(BaseBackend)[name].fget)))
        policy_simulation.install()
        base_response.get_current_account = entry.account_of_response(BaseResponse.get_current_account)
        images.install()
        launch_template_versions.install()
        hot_paths.install()
        instance_times.install()
        instance_states.install()
        _installed = True


def reset_backends() -> None:
    """Empty every service, moto's own too, and what moto keeps of every object it ever made."""
    registry: Any = BackendDict
    accounts = [account for services in list(registry._instances) for account in services.values()]
    BackendDict.reset()
    for account in accounts:
        account.clear()
    # Caches of moto's that never end would keep every region of every scenario that was ever loaded.
    addresses: Any = Subnet._base_avail_ip_iterator
    addresses.cache_clear()
    reset_model_data()


def _through_entry(handlers: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    def wrapped(backend: Any) -> dict[str, Any]:
        service = type(backend).__module__.split(".")[-2]
        return {url: entry.Entry(service, handler) for url, handler in handlers(backend).items()}

    return wrapped
