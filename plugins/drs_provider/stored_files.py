"""Whole files in a folder that is local or in an object store, such as ``s3://aws_default@bucket/reports``.

A file is there whole or not at all: a local one is put in place by a rename, and an object store shows an object once
it is whole.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

__all__ = ["is_local", "make_folder", "stored_path", "write_whole"]


def stored_path(path: str) -> ObjectStoragePath:
    """Return a path or URL as Airflow's object storage takes it; a path without a scheme is a local one."""
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(path if "://" in path else f"file://{os.path.abspath(path)}")  # noqa: PTH100


def is_local(path: ObjectStoragePath) -> bool:
    """Whether a path lies on this machine."""
    return path.protocol in ("file", "local")


def make_folder(path: ObjectStoragePath) -> None:
    """Make a local folder; an object store has none, and would take this for the wish to create the bucket.

    :raises OSError: when it cannot be made.
    """
    if is_local(path):
        path.mkdir(parents=True, exist_ok=True)


def write_whole(folder: ObjectStoragePath, name: str, text: str) -> None:
    """Write a file into a folder that is there, and replace one of its name in one step.

    :raises OSError: when it cannot be written, or the object store's own error.
    """
    target = folder / name
    if not is_local(target):
        target.write_bytes(text.encode())
        return
    place = Path(target.path)
    half = place.with_name(f".{name}.{uuid4().hex}")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(place)
    finally:
        half.unlink(missing_ok=True)
