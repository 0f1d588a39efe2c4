"""The values that a script's parameters refer to, looked up in the worker at the last moment before they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook
from airflow.sdk.log import mask_secret

from drs_provider.plan.references import Reference, reference

__all__ = ["MissingSecret", "secret_value", "with_secrets"]


class MissingSecret(AirflowException):
    """A script refers to a connection that Airflow does not have, or to a field that is empty."""


def secret_value(wanted: Reference) -> str:
    """Look a reference up; Airflow blanks out the value in every log of this task from then on.

    :raises MissingSecret: there is no such connection, or the field is empty.
    """
    try:
        connection = BaseHook.get_connection(wanted.connection_id)
    except AirflowNotFoundException:
        raise MissingSecret(f"Airflow has no connection {wanted.connection_id}") from None
    value = getattr(connection, wanted.field)
    if value in (None, ""):
        raise MissingSecret(f"the connection {wanted.connection_id} has no {wanted.field}")
    mask_secret(str(value))
    return str(value)


def with_secrets(parameters: Mapping[str, Sequence[str] | str]) -> dict[str, Sequence[str] | str]:
    """Return parameters with the value of each reference in its place. Keep them nowhere: send them.

    :raises MissingSecret: one cannot be looked up.
    """
    return {key: [_value(one) for one in _listed(values)] for key, values in parameters.items()}


def _listed(values: Sequence[str] | str) -> Sequence[str]:
    return [values] if isinstance(values, str) else values


def _value(text: str) -> str:
    wanted = reference(text)
    return secret_value(wanted) if wanted else text
