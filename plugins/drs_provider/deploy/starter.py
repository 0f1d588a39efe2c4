"""The files that a new user starts from: two DAG files, a first plan, and the settings to add to Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from drs_provider.deploy.settings import RECOMMENDED_SETTINGS
from drs_provider.deploy.wheel import shipped_folder
from drs_provider.plan.schema import schema_text

__all__ = ["Starter", "settings_text", "write_starter"]


@dataclass(frozen=True)
class Starter:
    """What was written.

    :param written: the new files.
    :param kept: the files that were there already, which stay as they are.
    """

    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def settings_text() -> str:
    """Return the recommended settings as environment variables, each with its reason."""
    lines = [
        "# Airflow settings for recovery plans: for the environment of the scheduler and all other parts of Airflow."
    ]
    for setting in RECOMMENDED_SETTINGS:
        lines += ["", f"# {setting.reason}", f"{setting.variable}={setting.value}"]
    return "\n".join(lines) + "\n"


def write_starter(folder: Path) -> Starter:
    """Write the starting files into a folder; files that are there already stay.

    :param folder: made where it is missing: ``dags/``, ``plans/`` and ``airflow-settings.env`` go there.
    :returns: what was written.
    """
    contents = {
        folder / "dags" / file.name: file.read_text(encoding="utf-8")
        for file in sorted(shipped_folder("dags").glob("recovery_plan*.py"))
    }
    first = resources.files("drs_provider.deploy") / "first-drill.yaml"
    contents[folder / "plans" / "first-drill.yaml"] = first.read_text(encoding="utf-8")
    contents[folder / "plans" / "schema.json"] = schema_text()
    contents[folder / "airflow-settings.env"] = settings_text()
    written, kept = [], []
    for path, text in contents.items():
        if path.exists():
            kept.append(path)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return Starter(tuple(written), tuple(kept))
