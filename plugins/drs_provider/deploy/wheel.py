"""The installed package as a wheel again, and zip files that come out the same each time.

The bundle for MWAA holds the very code that runs here, whether it was installed from a wheel or from a checkout, and
needs no build tool.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path

__all__ = ["DISTRIBUTION", "shipped_folder", "write_wheel", "write_zip"]

DISTRIBUTION = "airflow-provider-aws-drs"

# The earliest time that a zip file can hold: archives of the same content are the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = ("__pycache__", ".mypy_cache", ".ruff_cache")
_SHIPPED = ("constraints", "dags")


def _package() -> Path:
    return Path(str(resources.files("drs_provider")))


def shipped_folder(name: str) -> Path:
    """Return a folder that the package hands out: inside the installed package, or at the top of the repository.

    :param name: ``dags`` or ``constraints``.
    :raises FileNotFoundError: when it is in neither place.
    """
    package = _package()
    for folder in (package / name, package.parent.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name} is neither in the package nor beside it; reinstall the package")


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip file whose bytes depend on its members alone.

    :param path: the file; its folder is made where it is missing.
    :param members: the content by name, with forward slashes.
    :returns: the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return path


def write_wheel(folder: Path) -> Path:
    """Write the installed package as a wheel.

    :param folder: where the wheel goes.
    :returns: the wheel's path.
    :raises importlib.metadata.PackageNotFoundError: when the package was copied and not installed: then nothing says
        what it needs.
    """
    distribution = metadata.distribution(DISTRIBUTION)
    members = _files_below(_package(), "drs_provider")
    for name in _SHIPPED:
        members |= _files_below(shipped_folder(name), f"drs_provider/{name}")
    stem = f"{DISTRIBUTION.replace('-', '_')}-{distribution.version}"
    licenses = [f"licenses/{name}" for name in distribution.metadata.get_all("License-File") or ()]
    for name in ("METADATA", "entry_points.txt", *licenses):
        members[f"{stem}.dist-info/{name}"] = (distribution.read_text(name) or "").encode()
    members[f"{stem}.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: drs-plan\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = f"{stem}.dist-info/RECORD"
    rows = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in sorted(members.items())]
    members[record] = "".join([*rows, f"{record},,\n"]).encode()
    return write_zip(folder / f"{stem}-py3-none-any.whl", members)


def _files_below(folder: Path, prefix: str) -> dict[str, bytes]:
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not set(_LEFT_OUT) & set(path.parts)
    }


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
