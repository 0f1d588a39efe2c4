"""What Amazon MWAA is given: ``plugins.zip``, ``requirements.txt``, ``dags/`` and the description of the environment.

The package travels as a wheel inside ``plugins.zip`` and is installed by ``requirements.txt``: only an installed
package is a provider to Airflow. Plans lie under ``dags/plans``, which MWAA reads all the time: a plan never needs an
update of the environment. The same input gives the same bytes, so that an unchanged ``plugins.zip`` is seen to be so.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drs_provider.deploy.mwaa.stack import airflow_options, write_stack
from drs_provider.deploy.wheel import shipped_folder, write_wheel, write_zip
from drs_provider.plan import read_plans

__all__ = ["Bundle", "BundleError", "mwaa_versions", "write_bundle"]

_OPTIONS = "airflow-options.json"
"""Every bundle has it."""
_PLUGINS = "/usr/local/airflow/plugins"


class BundleError(ValueError):
    """The bundle cannot be made; the message says why."""


@dataclass(frozen=True)
class Bundle:
    """A bundle in a folder.

    :param folder: where it lies.
    :param plans: the names of its plans.
    :param airflow: the version of Airflow that it is for.
    """

    folder: Path
    plans: tuple[str, ...]
    airflow: str


def mwaa_versions() -> list[str]:
    """Return the versions of Airflow whose MWAA images the package has the constraints of, the newest last."""
    found = [path.stem.removeprefix("mwaa-") for path in shipped_folder("constraints").glob("mwaa-[0-9]*.txt")]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def write_bundle(plans_folder: Path, out: Path, airflow: str, wheels: Sequence[Path] = ()) -> Bundle:
    """Write a bundle.

    :param plans_folder: the plan files; every one must be valid.
    :param out: the bundle's folder; it is made where it is missing, and files of an earlier bundle in it are replaced.
    :param airflow: the environment's version of Airflow, one of :func:`mwaa_versions`.
    :param wheels: further wheels to carry along, such as that of s3fs where the environment reaches no package index.
    :returns: what was written.
    :raises BundleError: for an unknown version, plans that are not valid, no plan at all, or a folder that has a
        ``dags/`` which is not of a bundle.
    """
    if airflow not in (versions := mwaa_versions()):
        raise BundleError(f"Airflow {airflow} is not a version that MWAA bundles are made for: {', '.join(versions)}")
    plans = read_plans(plans_folder)
    if plans.problems:
        raise BundleError("Broken plans are not bundled:\n" + "\n".join(f"  {problem}" for problem in plans.problems))
    if not plans.plans:
        raise BundleError(f"{plans_folder} holds no plan file (*.yaml, *.yml)")
    dags = out / "dags"
    if dags.exists():
        # Nothing that is not of a bundle may go, and not what the new one is made of.
        if not (out / _OPTIONS).is_file():
            raise BundleError(f"{dags} is there already, and {out} is no bundle: name a new folder for the bundle")
        if plans_folder.resolve().is_relative_to(dags.resolve()):
            raise BundleError(f"{plans_folder} is inside the bundle, whose dags/ is written anew: keep plans elsewhere")
        shutil.rmtree(dags)
    # First, so that a bundle that was broken off is known as one.
    out.mkdir(parents=True, exist_ok=True)
    (out / _OPTIONS).write_text(json.dumps(airflow_options(), indent=2) + "\n", encoding="utf-8")
    (dags / "plans").mkdir(parents=True)
    for file in sorted(shipped_folder("dags").glob("recovery_plan*.py")):
        shutil.copyfile(file, dags / file.name)
    for loaded in plans.plans.values():
        target = dags / "plans" / loaded.path.relative_to(plans_folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(loaded.path, target)
    carried = _write_plugins(out, airflow, wheels)
    _write_requirements(out, airflow, carried)
    write_stack(out, airflow)
    return Bundle(out, tuple(sorted(plans.plans)), airflow)


def _write_plugins(out: Path, airflow: str, wheels: Sequence[Path]) -> list[str]:
    """Write plugins.zip; return the names of its wheels."""
    constraints = shipped_folder("constraints") / f"mwaa-{airflow}.txt"
    members = {f"constraints-{airflow}.txt": constraints.read_bytes()}
    with tempfile.TemporaryDirectory() as folder:
        carried = [write_wheel(Path(folder)), *wheels]
        for wheel in carried:
            members[wheel.name] = wheel.read_bytes()
    write_zip(out / "plugins.zip", members)
    return [wheel.name for wheel in carried]


def _write_requirements(out: Path, airflow: str, wheels: Sequence[str]) -> None:
    lines = [
        f"# Amazon MWAA {airflow}: the versions that its image was built with, so that nothing of it changes.",
        f'--constraint "{_PLUGINS}/constraints-{airflow}.txt"',
        *(f"{_PLUGINS}/{name}" for name in wheels),
    ]
    if not any(name.startswith("s3fs-") for name in wheels):
        lines += ["# For reports on S3; all else that the package needs is part of MWAA's image.", "s3fs"]
    (out / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
