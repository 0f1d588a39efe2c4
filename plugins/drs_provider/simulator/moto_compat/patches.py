"""Puts the simulator's changes into moto, once a process."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import moto.backend_index
import moto.backends
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.model_instances import reset_model_data
from moto.core.responses import BaseResponse
from moto.ec2.models.subnets import Subnet

from drs_provider.simulator.moto_compat import (
    fast_answers,
    images,
    instance_states,
    instance_times,
    launch_template_versions,
    policy_simulation,
    seams,
)

__all__ = ["empty_backends", "install"]

_lock = threading.Lock()
_installed = False


def install(
    hosts: Mapping[str, str],
    backends: Callable[[str], Any],
    handled: Callable[[str, Callable[..., Any]], Callable[..., Any]],
    account_of: Callable[[Callable[[Any], str]], Callable[[Any], str]],
) -> None:
    """Change moto, where nobody has done so in this process.

    :param hosts: what the host names of the simulator's services match, by moto's name of the service.
    :param backends: gives the `BackendDict` of one of them.
    :param handled: puts a handler of moto's, of a package of moto's, behind what every call passes.
    :param account_of: puts moto's way to the account of a call behind the simulator's.
    :raises MotoChangedError: this moto lacks what is changed.
    """
    global _installed
    with _lock:
        if _installed:
            return
        seams.check()
        _add_services(hosts, backends)
        for name in ("urls", "flask_paths"):
            setattr(BaseBackend, name, property(_wrapped(vars(BaseBackend)[name].fget, handled)))
        base_response: Any = BaseResponse
        base_response.get_current_account = account_of(BaseResponse.get_current_account)
        for patch in (
            policy_simulation,
            images,
            launch_template_versions,
            fast_answers,
            instance_times,
            instance_states,
        ):
            patch.install()
        _installed = True


def empty_backends() -> None:
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


def _add_services(hosts: Mapping[str, str], backends: Callable[[str], Any]) -> None:
    """Put the URLs of services before moto's own, and their backends in the place of moto's."""
    moto.backend_index.backend_url_patterns[:0] = [(name, re.compile(host)) for name, host in hosts.items()]
    moto_backends: Any = moto.backends
    original: Callable[[str], Any] = moto_backends.get_backend

    def get_backend(name: str) -> Any:
        plain = name.replace("-", "")
        return backends(plain) if plain in hosts else original(name)

    moto_backends.get_backend = get_backend


def _wrapped(
    handlers: Callable[[Any], dict[str, Any]], handled: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Callable[[Any], dict[str, Any]]:
    def wrapped(backend: Any) -> dict[str, Any]:
        service = type(backend).__module__.split(".")[-2]
        return {url: handled(service, handler) for url, handler in handlers(backend).items()}

    return wrapped
