"""Whether the package is there once, installed, and in company that it works with."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.version import Version

import drs_provider
from drs_provider import airflow_compat
from drs_provider.deploy.doctor.advice import Advice
from drs_provider.deploy.wheel import DISTRIBUTION

__all__ = ["check_installation"]

# Each with the version from which the package is tested; where a bound is missing, the version is only shown.
_OLDEST = {
    "apache-airflow": "3.2.1",
    "apache-airflow-providers-amazon": "9.25",
    "apache-airflow-providers-standard": None,
    "apache-airflow-providers-common-io": None,
    "boto3": "1.42",
    "botocore": None,
    "aiobotocore": None,
    "pydantic": "2.11",
}


def check_installation(plugins_folder: Path) -> Iterator[Advice]:
    """Look at versions, at where the package is imported from, and at whether Airflow sees a provider.

    :param plugins_folder: Airflow's plugins folder.
    """
    yield Advice("info", "package", f"Python {platform.python_version()} on {platform.system()}")
    yield from _versions()
    yield from _inside_of_airflow()
    yield from _origin(Path(drs_provider.__file__).parent, plugins_folder)


def _versions() -> Iterator[Advice]:
    found: dict[str, str] = {}
    for name, oldest in _OLDEST.items():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Advice("error", "package", f"{name} is not installed", f"pip install '{DISTRIBUTION}' anew")
            continue
        if oldest and Version(found[name]) < Version(oldest):
            yield Advice("error", "package", f"{name} {found[name]} is older than {oldest}", f"upgrade {name}")
        else:
            yield Advice("ok", "package", f"{name} {found[name]}")
    if found.get("apache-airflow", "9").startswith("3.2") and Version(found.get("pydantic", "0")) >= Version("2.14"):
        yield Advice(
            "error",
            "package",
            f"Airflow {found['apache-airflow']} does not start with pydantic {found['pydantic']}",
            "install with the constraints file of your version of Airflow",
        )


def _inside_of_airflow() -> Iterator[Advice]:
    try:
        version = metadata.version("apache-airflow")
        airflow_compat.check()
    except metadata.PackageNotFoundError:
        return
    except airflow_compat.AirflowChangedError as error:
        yield Advice("error", "package", str(error), f"pip install 'apache-airflow<{airflow_compat.UNTESTED}'")
        return
    if Version(version) >= Version(airflow_compat.UNTESTED):
        yield Advice(
            "warning",
            "package",
            f"Airflow {version} is newer than what this package was tested with (below {airflow_compat.UNTESTED})",
            "run a drill of every plan before you rely on it",
        )


def _origin(package: Path, plugins_folder: Path) -> Iterator[Advice]:
    in_plugins = plugins_folder / "drs_provider"
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Advice(
            "error",
            "package",
            f"drs_provider is imported from {package}, but {DISTRIBUTION} is not installed: Airflow sees no provider",
            f"pip install {DISTRIBUTION}, and take the copy away",
        )
    else:
        yield Advice("ok", "package", f"{DISTRIBUTION} {version}, imported from {package}")
        registered = metadata.entry_points(group="apache_airflow_provider")
        if not any(entry.value.startswith("drs_provider.") for entry in registered):
            yield Advice(
                "error",
                "package",
                "The entry point that tells Airflow of the provider is missing",
                f"pip install --force-reinstall --no-deps {DISTRIBUTION}",
            )
    if in_plugins.is_dir() and in_plugins.resolve() != package.resolve():
        yield Advice(
            "error",
            "package",
            f"The package is there twice: installed in {package}, and copied to {in_plugins}",
            f"remove {in_plugins}; which of the two is imported depends on the order of sys.path",
        )
    elif in_plugins.is_dir():
        ignored = plugins_folder / ".airflowignore"
        if not ignored.is_file() or "drs_provider" not in ignored.read_text(encoding="utf-8"):
            yield Advice(
                "error",
                "package",
                f"Airflow runs every module under {in_plugins} as a plugin of its own",
                f"write the line drs_provider/ into {ignored}",
            )
