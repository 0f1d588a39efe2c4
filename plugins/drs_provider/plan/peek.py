"""The name of the plan in a file, without reading all of it."""

from __future__ import annotations

import yaml

from drs_provider.plan.document import MAX_DEPTH, Unreadable, decode
from drs_provider.plan.syntax import EventParser

__all__ = ["top_level_name"]


def top_level_name(data: bytes) -> str | None:
    """The value of the key ``name`` at the top of a file, parsed no further than that.

    :param data: the file's bytes.
    :return: the name; empty if the file has none or is not valid; ``None`` if only reading all of it can tell.
    """
    try:
        parser = EventParser(decode(data))
    except (Unreadable, yaml.YAMLError):
        return ""
    depth, key, is_key = 0, "", True
    try:
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is yaml.StreamEndEvent or depth > MAX_DEPTH:
                return ""
            if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                depth -= 1
            if depth == 1:
                if is_key:
                    key = event.value if kind is yaml.ScalarEvent else ""
                    if key == "<<" or kind is yaml.AliasEvent:
                        return None
                elif key == "name":
                    return event.value if kind is yaml.ScalarEvent else None
                is_key = not is_key
            if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                depth += 1
    except yaml.YAMLError:
        return ""
    finally:
        parser.dispose()
