"""References to Airflow connections in the parameters of scripts: ``{{connection:drs_secret_shop.password}}``.

A reference is the whole value, never a part of one: what is looked up is not pasted into the text of a command. It can
only name connections whose id begins with ``drs_secret_``. Whoever writes plans could otherwise send themselves every
secret that Airflow holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

__all__ = ["FIELDS", "PREFIX", "Reference", "Stranger", "misuse", "reference", "references_in", "strangers"]

PREFIX = "drs_secret_"
"""How the id of a connection begins that plans may refer to."""

FIELDS = ("password", "login", "host", "port", "schema")
"""The fields of a connection that plans may refer to."""

_MEANT = re.compile(r"\{\{\s*connection\s*:")
_REFERENCE = re.compile(r"\{\{ *connection:(" + PREFIX + r"[a-z0-9_]{1,80})\.(" + "|".join(FIELDS) + r") *\}\}")

_CONNECTION = "{{connection:" + PREFIX + "NAME.FIELD}}"
_OF_SSM = ("ssm", "ssm-secure", "global", "automation")
_SSM_REFERENCE = re.compile(r"\{\{ *(" + "|".join(_OF_SSM) + r"):[^\s{}]+ *\}\}")
_BRACES = re.compile(r"\{\{\s*(?P<word>[A-Za-z_][\w-]*)(?P<rest>[:.][^{}]*?)?\s*\}\}")
# Go's templates, as `docker ps --format` takes them, have words of their own.
_OF_GO = frozenset({"end", "else", "nil", "true", "false", "break", "continue"})
# What people write who want the instances of a wave, or something of the run.
_HOPED_FOR = (
    "recovery_instances", "recovery_instance", "instance_ids", "instance_id", "instance_ips", "instance", "instances",
    "private_ips", "private_ip", "hostname", "server", "servers", "wave", "wave_name", "run_id", "run", "plan", "mode",
)  # fmt: skip


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


class Stranger(NamedTuple):
    """Something in double braces that nobody replaces.

    :param message: what it is, and what to write.
    :param certain: whether it cannot have been meant as text.
    """

    message: str
    certain: bool


def strangers(value: str) -> Iterator[Stranger]:
    """Yield what stands in double braces in a value and would reach the script as text.

    SSM replaces ``{{ssm:…}}``, ``{{ssm-secure:…}}``, ``{{global:…}}`` and ``{{automation:…}}`` itself.

    :param value: a value of a script's parameter.
    """
    for match in _BRACES.finditer(value):
        found, word, rest = match[0], match["word"], match["rest"] or ""
        if _SSM_REFERENCE.fullmatch(found) or word in _OF_GO:
            continue
        if word == "connection" and (meant := reference(found)):
            if found != (exact := f"{{{{connection:{meant}}}}}"):
                yield Stranger(f"{found} has spaces in it; write {exact}", True)
            continue
        if near := get_close_matches(word, ("connection", *_OF_SSM), n=1, cutoff=0.6):
            form = _CONNECTION if near[0] == "connection" else f"{{{{{near[0]}:…}}}}"
            yield Stranger(f"{found} is not a reference; did you mean {form}?", True)
        elif get_close_matches(word, _HOPED_FOR, n=1, cutoff=0.8) or rest.startswith(":"):
            yield Stranger(
                f"{found} is not a reference, and would be sent as text. A value can be {_CONNECTION}, or contain "
                "SSM's {{ssm:…}}; a run_command runs on the instances of its wave without naming them (targets: "
                "recovery_instances)",
                True,
            )
        else:
            yield Stranger(f"{found} is sent as text: nothing replaces it", False)


def references_in(parameters: Mapping[str, Sequence[str]]) -> Iterator[Reference]:
    """Return every reference in the parameters of a script."""
    for values in parameters.values():
        for value in values:
            if found := reference(value):
                yield found
