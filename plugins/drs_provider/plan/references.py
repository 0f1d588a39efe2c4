"""References to Airflow connections in the parameters of scripts: ``{{connection:drs_secret_shop.password}}``.

A reference is the whole value, never a part of one: what is looked up is not pasted into the text of a command. It can
only name connections whose id begins with ``drs_secret_``. Whoever writes plans could otherwise send themselves every
secret that Airflow holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

__all__ = ["FIELDS", "PREFIX", "Reference", "misuse", "reference", "references_in"]

PREFIX = "drs_secret_"
"""How the id of a connection begins that plans may refer to."""

FIELDS = ("password", "login", "host", "port", "schema")
"""The fields of a connection that plans may refer to."""

_MEANT = re.compile(r"\{\{\s*connection\s*:")
_REFERENCE = re.compile(r"\{\{ *connection:(" + PREFIX + r"[a-z0-9_]{1,80})\.(" + "|".join(FIELDS) + r") *\}\}")


class Reference(NamedTuple):
    """A field of an Airflow connection."""

    connection_id: str
    field: str

    def __str__(self) -> str:
        return f"{self.connection_id}.{self.field}"


def reference(value: str) -> Reference | None:
    """Return what a value refers to; None where it is no reference."""
    match = _REFERENCE.fullmatch(value)
    return Reference(*match.groups()) if match else None


def misuse(value: str) -> str | None:
    """Say what is wrong with a value that looks like a reference; None where nothing is."""
    if not _MEANT.search(value) or reference(value):
        return None
    return (
        f"refers to a connection in a way that is not known: write {{{{connection:{PREFIX}NAME.FIELD}}}} as the whole "
        f"value, NAME of lower-case letters, digits and _, FIELD one of {', '.join(FIELDS)}"
    )


def references_in(parameters: Mapping[str, Sequence[str]]) -> Iterator[Reference]:
    """Return every reference in the parameters of a script."""
    for values in parameters.values():
        for value in values:
            if found := reference(value):
                yield found
