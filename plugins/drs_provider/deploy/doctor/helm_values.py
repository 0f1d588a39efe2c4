"""Values of the official Airflow Helm chart, looked at with what this machine's Airflow knows.

Not the chart's own schema: that comes with the chart, and Helm checks it. What is checked here is what the schema
cannot know: that options exist, that bundle classes take the arguments, and that recovery finds what it needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

from drs_provider.deploy.doctor.advice import Advice
from drs_provider.deploy.doctor.airflow_settings import check_settings

__all__ = ["check_helm_values"]

_OLDEST = "3.2.1"
_KEPT_SECRETS = ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName")


def check_helm_values(text: str) -> Iterator[Advice]:
    """Look at a values file.

    :param text: its content.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        yield Advice("error", "helm", f"not YAML: {error}")
        return
    if not isinstance(values, dict):
        yield Advice("error", "helm", "the file is not a mapping of keys to values")
        return
    yield from _version(values)
    yield from _bundles(values)
    yield from _options(values)
    for key in _KEPT_SECRETS:
        if not values.get(key):
            yield Advice(
                "warning",
                "helm",
                f"{key} is not set: the chart makes a new secret at each upgrade, and what runs then fails",
                f"make a secret once, and name it in {key}",
            )
    if _at(values, "triggerer", "enabled") is False or _at(values, "triggerer", "replicas") == 0:
        yield Advice(
            "error", "helm", "there is no triggerer: nothing waits for a launch", "set triggerer.replicas to 1 or more"
        )
    if _at(values, "postgresql", "enabled") is not False:
        yield Advice(
            "warning",
            "helm",
            "postgresql.enabled: the chart's own database keeps no backups",
            "name your own in data.metadataSecretName",
        )


def _version(values: Mapping[str, Any]) -> Iterator[Advice]:
    given = str(values.get("airflowVersion", ""))
    try:
        old = Version(given) < Version(_OLDEST)
    except InvalidVersion:
        yield Advice(
            "error", "helm", f"airflowVersion is {given or 'not set'}", "name the version of Airflow in your image"
        )
        return
    if old:
        yield Advice(
            "error", "helm", f"airflowVersion {given} is older than {_OLDEST}", "build the image on a newer Airflow"
        )
    else:
        yield Advice("ok", "helm", f"airflowVersion {given}")


def _bundles(values: Mapping[str, Any]) -> Iterator[Advice]:
    bundles = _at(values, "dagProcessor", "dagBundleConfigList") or []
    for bundle in bundles:
        name, classpath = bundle.get("name", "?"), str(bundle.get("classpath", ""))
        module, _, attribute = classpath.rpartition(".")
        try:
            accepted = _parameters(getattr(import_module(module), attribute))
        except (ImportError, AttributeError, ValueError) as error:
            yield Advice("error", "helm", f"bundle {name}: {classpath} cannot be imported: {error}")
            continue
        if unknown := sorted(set(bundle.get("kwargs") or {}) - accepted):
            yield Advice("error", "helm", f"bundle {name}: {attribute} takes no {', '.join(unknown)}")
        elif attribute == "GitDagBundle":
            yield Advice("ok", "helm", f"bundle {name} has versions: a run keeps the plan that it started with")
        else:
            yield Advice("info", "helm", f"bundle {name} has no versions", "use GitDagBundle for plans")
    if not bundles:
        yield Advice("warning", "helm", "dagProcessor.dagBundleConfigList is empty", "add a GitDagBundle for plans")
    elif _at(values, "dags", "gitSync", "enabled"):
        yield Advice(
            "warning", "helm", "dags.gitSync and a bundle both fetch DAG files", "set dags.gitSync.enabled to false"
        )


def _parameters(bundle: type) -> set[str]:
    """Return the keyword arguments of a bundle class: its own and those of its bases."""
    names: set[str] = set()
    for base in inspect.getmro(bundle):
        if "__init__" in vars(base):
            names |= set(inspect.signature(base).parameters)
    return names


def _options(values: Mapping[str, Any]) -> Iterator[Advice]:
    from airflow.providers.common.compat.sdk import conf

    known = conf.configuration_description
    given: dict[tuple[str, str], str] = {}
    for section, options in (values.get("config") or {}).items():
        for key, value in (options or {}).items():
            given[section, key] = str(value)
            if key not in known.get(section, {}).get("options", {}):
                yield Advice(
                    "error", "helm", f"config.{section}.{key} is no option of Airflow or of an installed provider"
                )
    for variable in values.get("env") or []:
        _, _, name = str(variable.get("name", "")).partition("AIRFLOW__")
        section, _, key = name.partition("__")
        if key:
            given[section.lower(), key.lower()] = str(variable.get("value", ""))
    # The chart takes the key from a secret: it is looked at above.
    given.setdefault(("core", "fernet_key"), "from a secret")
    yield from check_settings(lambda section, key: given.get((section, key), conf.get(section, key, fallback=None)))


def _at(values: Mapping[str, Any], *path: str) -> Any:
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
