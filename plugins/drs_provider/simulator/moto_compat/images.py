"""moto's EC2 images, made only where somebody lists them.

moto makes its 1300 images for each account and region as soon as one is looked at, which takes longer than all the rest
of loading a scenario; and it looks through all of them for the image of each instance.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

from moto.ec2.models.amis import AMIS, AmiBackend

__all__ = ["install"]

_MADE = "drs_simulator_images"


def install() -> None:
    """Let moto's EC2 make its images late. Called once a process."""
    backend: Any = AmiBackend
    make, describe = AmiBackend._load_amis, AmiBackend.describe_images

    def images(self: Any) -> dict[str, Any]:
        if _MADE not in vars(self):
            setattr(self, _MADE, {})
            make(self)
        found: dict[str, Any] = vars(self)[_MADE]
        return found

    def describe_images(self: Any, ami_ids: Any = None, filters: Any = None, *more: Any, **others: Any) -> list[Any]:
        wanted = (filters or {}).get("image-id")
        if not isinstance(wanted, str):  # Callers of DescribeImages give lists; a new instance asks for its own.
            return describe(self, ami_ids, filters, *more, **others)
        image = images(self).get(wanted) if _MADE in vars(self) else _properties().get(wanted)
        return [image] if image is not None else []

    backend._load_amis = lambda self: None
    backend.amis = property(images, lambda self, empty: None)
    backend.describe_images = describe_images


@functools.cache
def _properties() -> dict[str, SimpleNamespace]:
    """What an instance takes from its image, by image id."""
    return {
        ami["ami_id"]: SimpleNamespace(
            platform=ami.get("platform"),
            virtualization_type=ami.get("virtualization_type"),
            architecture=ami.get("architecture"),
            root_device_name=ami.get("root_device_name", "/dev/sda1"),
            kernel_id=None,
        )
        for ami in AMIS
    }
