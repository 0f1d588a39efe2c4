"""API calls that a runbook makes: of DRS, SSM and EC2 as the simulator has them, of every other service as moto has it.

A call takes the way of every other call, through the simulator's middleware, so that faults strike it, IAM is asked
where the scenario enforces it, and the log shows it. Only what would hold an answer back is left out: nobody waits for
it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

import botocore.session
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.core.models import botocore_stubber
from moto.iam.exceptions import NotFoundException

from drs_provider.simulator import permissions
from drs_provider.simulator.call_context import on_behalf_of
from drs_provider.simulator.policies import documents_of_principal
from drs_provider.simulator.ssm.selectors import RunbookError

__all__ = ["ApiCalls"]

_NO_RETRIES: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "ignore_configured_endpoint_urls": True}
_ONCE: Final = Config(**_NO_RETRIES)
#: Names of Automation's that botocore spells otherwise.
_SERVICES: Final = {"elasticloadbalancingv2": "elbv2", "states": "stepfunctions", "monitoring": "cloudwatch"}
_account: ContextVar[str] = ContextVar("account_of_runbook")


class ApiCalls:
    """The calls of one execution.

    :param caller: whoever started it, where the scenario enforces IAM.
    :param role: the ARN of the role that the runbook assumes; without one it acts as the caller.
    """

    def __init__(
        self, account: str, region: str, caller: permissions.Caller | None = None, role: str | None = None
    ) -> None:
        self.account = account
        self.region = region
        self._caller = caller
        self._refusal: str | None = None
        if caller is not None and role is not None:
            try:
                documents = documents_of_principal(account, role) or []
            except (NotFoundException, IndexError):
                self._refusal, documents = f"Automation cannot assume the role {role}: there is none", []
            self._caller = permissions.Caller(account, region, documents, role, role)

    def call(self, service: str, api: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call; return the answer as JSON would have it.

        :param api: the operation, as `DescribeInstances` or `describe_instances`.
        :raises RunbookError: AWS refuses it, or the simulator has no such service or operation.
        """
        if self._refusal is not None:
            raise RunbookError(self._refusal)
        try:
            client = _client(_SERVICES.get(service.lower(), service.lower()), self.region)
        except (BotoCoreError, ValueError) as error:
            raise RunbookError(f"There is no service {service}: {error}") from error
        operation = _operation(client, service, api)
        account = _account.set(self.account)
        behalf = on_behalf_of.set((self._caller,))
        try:
            answer = getattr(client, xform_name(operation))(**params)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NotImplemented" or error.response["Error"].get("Message") == "Not yet implemented":
                hint = f"the simulator has no {operation} of {service}; say in the scenario how the step goes on"
                raise RunbookError(hint) from error
            raise RunbookError(str(error)) from error
        except (BotoCoreError, ImportError, NotImplementedError) as error:
            raise RunbookError(f"{service} {operation}: {error}") from error
        finally:
            on_behalf_of.reset(behalf)
            _account.reset(account)
        answer.pop("ResponseMetadata", None)
        plain: dict[str, Any] = _plain(answer)
        return plain


def _operation(client: Any, service: str, api: str) -> str:
    def bare(name: str) -> str:
        return name.replace("_", "").lower()

    for name in client.meta.service_model.operation_names:
        if bare(name) == bare(api):
            return str(name)
    raise RunbookError(f"{service} has no operation {api}")


@functools.lru_cache(maxsize=64)
def _client(service: str, region: str) -> Any:
    client = _session().create_client(
        service, region, aws_access_key_id="testing", aws_secret_access_key="testing", config=_ONCE
    )
    # Within `mock_aws()` moto answers every client of the process; every handler is called, and once is enough.
    client.meta.events.unregister("before-send", botocore_stubber)
    client.meta.events.register_first("before-send", _serve)
    return client


@functools.cache
def _session() -> Any:
    return botocore.session.Session()


def _serve(request: Any, **more: Any) -> AWSResponse:
    """Answer from this process: nothing of it ever leaves."""
    request.headers["x-moto-account-id"] = _account.get()
    serve: Callable[[Any], Any] = BotocoreStubber().process_request
    answer = serve(request)
    if answer is None:
        raise NotImplementedError("the simulator has no such service")
    status, headers, body = answer
    return AWSResponse(request.url, status, headers, MockRawResponse(body))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.read().decode("utf-8", "replace") if hasattr(value, "read") else value
