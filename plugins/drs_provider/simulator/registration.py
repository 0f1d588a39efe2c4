"""Registers the simulator's services with moto, from outside and without a fork.

A service of the simulator is a package with `urls.py` (`url_bases`, `url_paths`), `responses.py` and `models.py`, as
in moto. `models.py` holds `<name>_backends`, a `BackendDict`, and may hold `seed(simulation, account, region, site)`,
which is called for every account and region of a scenario, once moto's own state is empty. Their URLs come before
moto's own.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drs_provider.simulator import middleware
from drs_provider.simulator.moto_compat import patches

if TYPE_CHECKING:
    from drs_provider.simulator.runtime import Runtime
    from drs_provider.simulator.scenario import AccountSpec

__all__ = ["SERVICES", "Service", "install"]


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

    def seed(self, simulation: Runtime, account: str, region: str, site: AccountSpec) -> None:
        """Put in place what a scenario says of one account and region."""
        seed = getattr(self.module("models"), "seed", None)
        if seed is not None:
            seed(simulation, account, region, site)


SERVICES: tuple[Service, ...] = (
    Service("drs", "drs_provider.simulator.drs", r"https?://drs\.(.+)\.amazonaws\.com"),
    Service("ssm", "drs_provider.simulator.ssm", r"https?://ssm\.(.+)\.amazonaws\.com"),
    Service("servicequotas", "drs_provider.simulator.servicequotas", r"https?://servicequotas\.(.+)\.amazonaws\.com"),
)


def install() -> None:
    """Register the services, and let every API call pass the simulator's middleware. Does it once a process.

    :raises MotoChangedError: the installed moto lacks what the simulator needs.
    """
    by_name = {service.name: service for service in SERVICES}
    patches.install(
        {service.name: service.host for service in SERVICES},
        lambda name: by_name[name].backends,
        middleware.Middleware,
        middleware.account_of_response,
    )
