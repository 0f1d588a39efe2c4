"""moto's own hot paths, made fast enough for lists of hundreds of instances; what they return stays the same.

moto looks through the tags of every resource for those of one, and works out anew for every attribute of every instance
under which names its value may stand: a list of 300 instances took seconds, in which nobody else was served.
"""

from __future__ import annotations

from typing import Any

from moto.core.serialize import AttributePickerContext, XFormedAttributePicker
from moto.ec2.models.tags import TagBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

__all__ = ["install"]

_possible_keys: Any = XFormedAttributePicker.get_possible_keys
_describe_tags: Any = TagBackend.describe_tags
#: By whatever the names depend on: the class of the object, the key, the shape and its place.
_known: dict[tuple[Any, ...], tuple[str, ...]] = {}


def install() -> None:
    """Put the faster ways in the place of moto's."""
    picker: Any = XFormedAttributePicker
    picker.get_possible_keys = _cached_keys
    tags: Any = TagBackend
    tags.describe_tags = _tags_of_one


def _cached_keys(self: Any, context: AttributePickerContext) -> tuple[str, ...]:
    shape = context.shape
    parent = getattr(shape, "parent", None)
    service = context.service_model.service_name if context.service_model else ""
    place = (service, shape.name, shape.serialization.get("name"), parent.name if parent is not None else "")
    providers = tuple(self.alias_providers)
    key = (type(context.obj), context.key, *place, providers)
    if key not in _known:
        _known[key] = tuple(dict.fromkeys(_possible_keys(self, context)))
    return _known[key]


def _tags_of_one(self: Any, filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
    """Look one resource up by its id; every other question is moto's own."""
    ids = filters.get("resource-id") if filters is not None and len(filters) == 1 else None
    if not ids or len(ids) != 1 or any(sign in ids[0] for sign in "*?[\\."):
        found: list[dict[str, str]] = _describe_tags(self, filters)
        return found
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(ids[0]), "")
    tags = self.tags.get(ids[0], {})
    return [{"resource_id": ids[0], "key": key, "value": tags[key], "resource_type": kind} for key in tags]
