"""A bundle goes to the bucket of an MWAA environment; what did not change is not sent again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Environment", "EnvironmentUpdate", "Synchronised", "bundle_version", "read_environment", "synchronise"]

_DIGEST = "sha256"
# MWAA installs these when the environment is updated, and reads everything under dags/ all the time.
_INSTALLED = ("plugins.zip", "requirements.txt")


@dataclass
class Synchronised:
    """What was done to a bucket.

    :param sent: the keys that are new or changed.
    :param same: the keys that were as they should be.
    :param extra: keys under ``dags/`` that the bundle does not have.
    :param removed: those of them that were removed.
    :param versions: the object version of each file that MWAA installs.
    """

    sent: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """What an environment is now.

    :param airflow: its version of Airflow.
    :param options: its Airflow options.
    :param versions: the object version of each file that it has installed, where MWAA names one.
    """

    airflow: str
    options: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class EnvironmentUpdate:
    """What an environment must be updated for.

    :param files: the files that it has to install, with their object versions.
    :param options: the Airflow options that it lacks or that have another value.
    :param all_options: the options that it should have, those of others included.
    """

    files: Mapping[str, str]
    options: Mapping[str, str]
    all_options: Mapping[str, str]

    @classmethod
    def between(cls, bundle: Path, done: Synchronised, environment: Environment | None) -> EnvironmentUpdate:
        """Return what an environment must be updated for after an upload.

        :param bundle: the bundle's folder.
        :param done: the upload.
        :param environment: None: it is not known, and what was not sent now counts as installed.
        """
        installed = environment.versions if environment else {}
        files = {
            key: version
            for key, version in done.versions.items()
            # An earlier upload may never have been followed by an update.
            if key in done.sent or version != installed.get(key, version)
        }
        if environment is None:
            return cls(files, {}, {})
        present = environment.options
        wanted: dict[str, str] = json.loads((bundle / "airflow-options.json").read_text(encoding="utf-8"))
        # Of the folder of the reports only that it is set is compared: its bucket is the environment's own affair.
        changed = {
            name: value
            for name, value in wanted.items()
            if name not in present or ("REPORTS_BUCKET" not in value and present[name] != value)
        }
        return cls(files, changed, {**present, **changed})

    @property
    def needed(self) -> bool:
        """Whether anything is."""
        return bool(self.files or self.options)


def synchronise(s3: Any, bundle: Path, bucket: str, *, delete: bool = False, dry_run: bool = False) -> Synchronised:
    """Bring a bucket to what a bundle holds.

    :param s3: a boto3 client of S3.
    :param bundle: the bundle's folder.
    :param bucket: the environment's bucket; its versioning must be on, as MWAA asks.
    :param delete: remove what lies under ``dags/`` and is not in the bundle.
    :param dry_run: change nothing, and return what would be.
    :returns: what was done.
    :raises botocore.exceptions.ClientError: what S3 says.
    """
    done = Synchronised()
    files = [bundle / name for name in _INSTALLED]
    files += sorted(path for path in (bundle / "dags").rglob("*") if path.is_file())
    wanted = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in files}
    present = _keys(s3, bucket, "dags/") | _keys(s3, bucket, "plugins.zip") | _keys(s3, bucket, "requirements.txt")
    for key, content in wanted.items():
        digest = hashlib.sha256(content).hexdigest()
        head = s3.head_object(Bucket=bucket, Key=key) if key in present else {}
        version = head.get("VersionId", "")
        if head.get("Metadata", {}).get(_DIGEST) == digest:
            done.same.append(key)
        else:
            done.sent.append(key)
            if not dry_run:
                answer = s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata={_DIGEST: digest})
                version = answer.get("VersionId", "")
        if key in _INSTALLED:
            done.versions[key] = version
    done.extra = sorted(key for key in present - wanted.keys() if key.startswith("dags/") and not key.endswith("/"))
    if delete:
        for key in done.extra:
            if not dry_run:
                s3.delete_object(Bucket=bucket, Key=key)
            done.removed.append(key)
    return done


def read_environment(mwaa: Any, name: str) -> Environment:
    """Ask MWAA what an environment is now (GetEnvironment).

    :param mwaa: a boto3 client of MWAA.
    :param name: the environment's name.
    :raises botocore.exceptions.ClientError: what MWAA says.
    """
    found = mwaa.get_environment(Name=name)["Environment"]
    versions = {
        "plugins.zip": found.get("PluginsS3ObjectVersion"),
        "requirements.txt": found.get("RequirementsS3ObjectVersion"),
    }
    return Environment(
        found.get("AirflowVersion", ""),
        dict(found.get("AirflowConfigurationOptions") or {}),
        {key: version for key, version in versions.items() if version},
    )


def bundle_version(bundle: Path) -> str:
    """Return the version of Airflow that a bundle was made for; empty where its requirements do not say it."""
    found = re.search(r"/constraints-([\d.]+)\.txt", (bundle / "requirements.txt").read_text(encoding="utf-8"))
    return found[1] if found else ""


def _keys(s3: Any, bucket: str, prefix: str) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}
