"""moto's own hot paths, made fast enough for lists of hundreds of instances; what they return stays the same.

moto looks through the tags of every resource for those of one, works out anew for every attribute of every instance
under which names its value may stand, copies every reservation to find one instance, and writes XML by a general
library: a list of 300 instances took seconds, in which nobody else was served.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Any, Final
from xml.sax.saxutils import escape

from moto.core import responses, utils
from moto.core.serialize import AttributePickerContext, EC2Serializer, XFormedAttributePicker
from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.tags import TagBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

__all__ = ["install"]

_possible_keys: Any = XFormedAttributePicker.get_possible_keys
_describe_tags: Any = TagBackend.describe_tags
_serialize_body: Any = EC2Serializer._serialize_body
_responses: Any = responses
_utils: Any = utils
_get_value, _MISSING = _utils.get_value, _utils.MISSING
_method_names: Any = _responses.method_names_from_class
_DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>\n'
#: By whatever the names depend on: the class of the object, the key, the shape and its place.
_known: dict[tuple[Any, ...], tuple[str, ...]] = {}


def install() -> None:
    """Put the faster ways in the place of moto's."""
    picker: Any = XFormedAttributePicker
    picker.get_possible_keys = _cached_keys
    picker.__call__ = _picked
    serializer: Any = EC2Serializer
    serializer._serialize_body = _xml
    _responses.method_names_from_class = _names
    instances: Any = InstanceBackend
    instances.get_instance = _instance
    tags: Any = TagBackend
    tags.describe_tags = _tags_of_one


def _names(kind: type) -> list[str]:
    """The methods of a class that answers calls; moto's own have hundreds, and never get another."""
    return _names_of_motos(kind) if kind.__module__.startswith("moto.") else list(_method_names(kind))


@functools.cache
def _names_of_motos(kind: type) -> list[str]:
    return list(_method_names(kind))


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


def _picked(self: Any, context: AttributePickerContext) -> Any:
    """moto's way, which looks every transformer up by the end of its path, and every value with four questions."""
    value = _value(context.obj, _cached_keys(self, context))
    by_key = vars(self).setdefault("drs_simulator_transformers", {})
    if context.key not in by_key:
        by_key[context.key] = [
            (path, transform)
            for path, transform in self.response_transformers.items()
            if f".{context.key}".endswith(path[path.rfind(".") :] if "." in path else path)
        ]
    for path, transform in by_key[context.key]:
        if f"{context.key_path}.{context.key}".endswith(path):
            return transform(value)
    return value


def _value(source: Any, keys: tuple[str, ...]) -> Any:
    plain = type(source) in (dict, OrderedDict)
    attributes = not plain and not hasattr(source, "__getitem__")
    for key in keys:
        if "." in key:
            value = _get_value(source, key, _MISSING)
        elif plain:
            value = source.get(key, _MISSING)
        else:
            value = getattr(source, key, _MISSING) if attributes else _get_value(source, key, _MISSING)
        if value is not _MISSING:
            return value
    return None


def _xml(self: Any, body: dict[str, Any]) -> str:
    """What xmltodict writes; it is asked itself where something is in the body that lists do not have."""
    if self.pretty_print or len(body) != 1:
        return str(_serialize_body(self, body))
    parts: list[str] = [_DECLARATION]
    try:
        for key, value in body.items():
            _element(parts, key, value)
    except _Unusual:
        return str(_serialize_body(self, body))
    return "".join(parts)


class _Unusual(Exception):
    """Something that xmltodict writes in a way of its own."""


def _element(parts: list[str], key: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, list):
                raise _Unusual
            _element(parts, key, item)
        return
    if value is None or value == "":
        parts.append(f"<{key}/>")
    elif isinstance(value, str):
        parts.append(f"<{key}>{escape(value)}</{key}>")
    elif isinstance(value, bool):
        parts.append(f"<{key}>{'true' if value else 'false'}</{key}>")
    elif isinstance(value, int):
        parts.append(f"<{key}>{value}</{key}>")
    elif isinstance(value, dict):
        _structure(parts, key, value)
    else:
        raise _Unusual


def _structure(parts: list[str], key: str, value: dict[str, Any]) -> None:
    start = len(parts)
    parts.append("")
    namespace = ""
    for name, member in value.items():
        if name == "@xmlns" and isinstance(member, str) and escape(member) == member and '"' not in member:
            namespace = f' xmlns="{member}"'
        elif not isinstance(name, str) or not name.isidentifier():
            raise _Unusual
        else:
            _element(parts, name, member)
    if len(parts) == start + 1:
        parts[start] = f"<{key}{namespace}/>"
        return
    parts[start] = f"<{key}{namespace}>"
    parts.append(f"</{key}>")


def _instance(self: Any, instance_id: str) -> Any:
    for reservation in self.reservations.values():
        for instance in reservation.instances:
            if instance.id == instance_id:
                return instance
    raise InvalidInstanceIdError(instance_id)


def _tags_of_one(self: Any, filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
    """Look one resource up by its id; every other question is moto's own."""
    ids = filters.get("resource-id") if filters is not None and len(filters) == 1 else None
    if not ids or len(ids) != 1 or any(sign in ids[0] for sign in "*?[\\."):
        found: list[dict[str, str]] = _describe_tags(self, filters)
        return found
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(ids[0]), "")
    tags = self.tags.get(ids[0], {})
    return [{"resource_id": ids[0], "key": key, "value": tags[key], "resource_type": kind} for key in tags]
