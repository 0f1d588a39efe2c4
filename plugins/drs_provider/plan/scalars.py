"""The kinds of single values that the plan file knows: names, ids, durations, tags, counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from drs_provider.durations import DURATION_PATTERN, format_duration, parse_duration
from drs_provider.plan.exclusions import day_range
from drs_provider.plan.schedule import check_schedule, check_timezone

__all__ = ["PATTERNS", "PlanModel", "checked"]


class PlanModel(BaseModel):
    """What every part of a plan is: frozen, without unknown keys, without silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


NAME = r"^[a-z0-9][a-z0-9_-]*$"
REGION = r"^[a-z]{2,5}(-[a-z]+){1,3}-[0-9]{1,2}$"
ACCOUNT_ID = r"^[0-9]{12}$"
SERVER_ID = r"^s-[0-9a-zA-Z]{17}$"
SNAPSHOT_ID = r"^pit-[0-9a-zA-Z]{17}$"
HOSTNAME = r"^\S+$"
SOURCE_INSTANCE_ID = r"^i-([0-9a-f]{8}|[0-9a-f]{17})$"
SERVER_NAME = r"^\S(.*\S)?$"
INSTANCE_ID = r"^m?i-[0-9a-f]{8,17}$"
DOCUMENT = r"^[a-zA-Z0-9_.:/-]{3,200}$"
TOPIC_ARN = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$"
DOTTED_PATH = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$"
URL_PATH = r"^/[A-Za-z0-9._~:/?&=%+,@-]*$"
TEXT = r"\S"

PATTERNS = {
    NAME: "lower-case letters, digits, - and _, starting with a letter or a digit",
    REGION: "an AWS region such as us-west-2",
    ACCOUNT_ID: "an AWS account id of 12 digits, in quotes",
    SERVER_ID: "a DRS source server id: s- and 17 letters or digits",
    SNAPSHOT_ID: "a DRS recovery snapshot id: pit- and 17 letters or digits",
    HOSTNAME: "a host name, without spaces",
    SOURCE_INSTANCE_ID: "an EC2 instance id: i- and 17 hexadecimal digits, or 8 in old ones",
    SERVER_NAME: "a Name tag or a host name, without spaces around it",
    INSTANCE_ID: "an instance id: i- and 8 to 17 hexadecimal digits",
    DOCUMENT: "the name or the ARN of an SSM document",
    TOPIC_ARN: "the ARN of an SNS topic: arn:aws:sns:us-west-2:123456789012:topic-name",
    DOTTED_PATH: "a dotted path to a notifier class: package.module.Class",
    URL_PATH: "an absolute URL path such as /healthz, of letters, digits and . _ ~ : / ? & = % + , @ -",
    TEXT: "text that is not blank",
}
"""Each pattern in the words of an error message."""

Name = Annotated[str, Field(pattern=NAME, max_length=100)]
Text = Annotated[str, Field(pattern=TEXT, max_length=1000)]
Region = Annotated[str, Field(pattern=REGION)]
AccountId = Annotated[str, Field(pattern=ACCOUNT_ID)]
ServerId = Annotated[str, Field(pattern=SERVER_ID)]
SnapshotId = Annotated[str, Field(pattern=SNAPSHOT_ID)]
SourceInstanceId = Annotated[str, Field(pattern=SOURCE_INSTANCE_ID)]
ServerName = Annotated[str, Field(pattern=SERVER_NAME, max_length=256)]
InstanceId = Annotated[str, Field(pattern=INSTANCE_ID)]
Hostname = Annotated[str, Field(pattern=HOSTNAME, max_length=256)]
Document = Annotated[str, Field(pattern=DOCUMENT)]
TopicArn = Annotated[str, Field(pattern=TOPIC_ARN)]
DottedPath = Annotated[str, Field(pattern=DOTTED_PATH)]
UrlPath = Annotated[str, Field(pattern=URL_PATH, max_length=500)]
Port = Annotated[int, Field(ge=1, le=65535)]
Tags = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=256)]],
    Field(min_length=1, max_length=50),
]


def _duration(value: Any, *, positive: bool) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, timedelta)):
        raise PydanticCustomError("duration", "is not a duration: write 30s, 45m, 2h, 1h30m, or ISO 8601 such as PT45M")
    try:
        duration = value if isinstance(value, timedelta) else parse_duration(str(value))
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from error
    if duration < timedelta(0) or (positive and not duration):
        raise PydanticCustomError("duration", "must be longer than zero")
    return duration


_written = PlainSerializer(format_duration, when_used="json-unless-none")
_grammar = WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "45m", "1h30m"]})

Pause = Annotated[timedelta, BeforeValidator(lambda value: _duration(value, positive=False)), _written, _grammar]
"""A duration of zero or more."""
Span = Annotated[timedelta, BeforeValidator(lambda value: _duration(value, positive=True)), _written, _grammar]
"""A duration longer than zero."""


def checked(kind: str, check: Callable[[str], object]) -> BeforeValidator:
    """A validator of texts.

    :param kind: the type of the pydantic error.
    :param check: raises ``ValueError`` with the reason, for a text that is not valid.
    """

    def validate(value: Any) -> Any:
        if isinstance(value, str):
            try:
                check(value)
            except ValueError as error:
                raise PydanticCustomError(kind, "{reason}", {"reason": str(error)}) from error
        return value

    return BeforeValidator(validate)


Schedule = Annotated[str, checked("schedule", check_schedule)]
Timezone = Annotated[str, checked("timezone", check_timezone)]
Days = Annotated[
    str,
    checked("days", day_range),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d{4}-\d{2}-\d{2}( */ *\d{4}-\d{2}-\d{2})?$",
            "examples": ["2026-12-24", "2026-12-20/2027-01-03"],
        }
    ),
]
"""A day, or a range of days."""


_PERCENTAGE = re.compile("(100|[0-9]{1,2})%")


def _share(value: Any) -> int | str:
    """A count, or a percentage as it is written."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000:
        return value
    if isinstance(value, str) and _PERCENTAGE.fullmatch(value):
        return f"{int(value[:-1])}%"
    raise PydanticCustomError("share", "is neither a count such as 2 nor a percentage from 0% to 100%")


Share = Annotated[
    int | str,
    PlainValidator(_share),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^(100|[0-9]{1,2})%$"}]}
    ),
]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Values = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    Field(strict=False),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""The values of a document's parameter: one text, or a list of texts."""
