"""What every API call passes, whatever its service: logging, faults, IAM and the lock stand here.

Each handler that moto finds for a URL is wrapped in a `Middleware`, in `mock_aws()` and in the server alike. A call
first lets everything happen that is due, and runs under the simulation's lock, because moto's own backends are not made
for threads. Outside of it are only waiting (slow and held answers), and answers that nothing has changed since
(`answers`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError
from moto.core.exceptions import ServiceException
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model, service_name_from_moto_package_name
from moto.iam.models import get_account_id_from
from werkzeug.exceptions import HTTPException, NotFound

from drs_provider.simulator import call_context, permissions, regions, runtime, trust
from drs_provider.simulator.answers import KEPT
from drs_provider.simulator.authorization import Requirement, denied
from drs_provider.simulator.call_context import on_behalf_of, page_limit
from drs_provider.simulator.faults import Fault
from drs_provider.simulator.history import READS

__all__ = ["Middleware", "account_of_response"]

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
_REGION = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/")
_XML_CODE = re.compile(r"<Code>([^<]+)</Code>")
#: Not API calls: the simulator's and moto's own pages, and the instance metadata service.
_NOT_AWS = {"moto_api", "_internal", "instance_metadata"}
#: Statuses of errors that no service model declares.
_STATUS = {
    "ThrottlingException": 429,
    "RequestLimitExceeded": 503,
    "InternalServerException": 500,
    "InternalFailure": 500,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "AccessDeniedException": 403,
    "AccessDenied": 403,
    "UnauthorizedOperation": 403,
    "UnrecognizedClientException": 403,
    "ExpiredTokenException": 403,
    "ExpiredToken": 403,
    "InvalidClientTokenId": 403,
}


class _InjectedError(ServiceException):
    """An error of a fault. Its module is not moto's, where moto would look for the service that it belongs to."""


class Middleware:
    """A handler of moto's, behind the simulator's middleware; without a simulation it is the handler alone."""

    def __init__(self, package: str, handler: Callable[..., Any]) -> None:
        self.package = package
        self.handler = handler
        # moto names Flask endpoints by these.
        self.__name__ = getattr(handler, "__name__", "handler")
        if self.__name__ == "dispatch":
            self.__self__ = getattr(handler, "__self__", type(self))

    def __call__(self, request: Any, full_url: str, headers: Any) -> Any:
        simulation = runtime.current()
        if simulation is None or self.package in _NOT_AWS:
            if simulation is not None:
                simulation.clock.changed()  # moto's own pages can reset all that it has.
            return self.handler(request, full_url, headers)
        call = request.simulator_call = _Call(simulation, self.package, request)
        faults = simulation.faults.striking(call.service, call.operation, call.account, call.params)
        _sleep(faults)
        early = [fault for fault in faults if fault.when == "before" and (fault.error or fault.reset)]
        if early:
            return call.fail(early[0])
        lag = max((fault.stale for fault in faults if fault.stale), default=None)
        key = None if faults else call.key()
        if key is not None and call.needs_no_permission and (known := simulation.answers.find(key)) is not None:
            call.log(known[0], None)
            return known
        limits = [fault.page_size for fault in faults if fault.page_size is not None]
        token = page_limit.set(min(limits) if limits else None)
        who = call_context.caller.set(None)
        try:
            with simulation.clock.lock:
                simulation.clock.run_due()
                refusal = call.refusal()
                if refusal is None:
                    with call.as_of(lag):
                        result = call.serve(self.handler, full_url, headers, key)
            if refusal is not None:
                return call.fail(refusal)
        except HTTPException as error:
            call.log(int(error.code or 500), getattr(error, "error_type", None) or error.name)
            raise
        except ClientError as error:
            call.log(400, error.response["Error"]["Code"])
            raise
        except NotImplementedError as error:
            # moto raises it; a client would take the 500 that follows for AWS's, and try again.
            message = str(error) or f"The simulator does not serve {call.operation}"
            return call.fail(_answer(call.operation, "NotImplemented", message, 501))
        except Exception as error:
            call.log(500, type(error).__name__)
            raise
        finally:
            page_limit.reset(token)
            call_context.caller.reset(who)
        late = [fault for fault in faults if fault.error or fault.reset]
        if late:
            return call.fail(late[0], faults)
        status, answer_headers, body = result if len(result) == 3 else (200, {}, result)
        call.log(int(status), _error_code(int(status), answer_headers, body), **({"stale": lag} if lag else {}))
        _hold(faults)
        return result


class _Call:
    """What is known of a call before its service sees it."""

    def __init__(self, simulation: runtime.Runtime, package: str, request: Any) -> None:
        self.simulation = simulation
        self.request = request
        self.t = simulation.clock.now()
        self.service = _service(package)
        authorization = request.headers.get("Authorization", "")
        region = _REGION.search(authorization)
        self.region = region.group(1) if region else simulation.scenario.region
        self.account = _account(simulation, request)
        self.operation, self.params = _operation(self.service, request)

    @property
    def needs_no_permission(self) -> bool:
        """Whether nobody is asked who makes the call, or where."""
        return not self.simulation.scenario.iam and (self.service == "drs" or regions.exists(self.region))

    def key(self) -> Any:
        """What tells this request from every other, where its answer may be kept; None where it may not."""
        kept = KEPT.get(self.service, frozenset())
        if not self.operation.startswith(READS) or (kept is not None and self.operation not in kept):
            return None
        if on_behalf_of.get() is not None:
            return None
        key = _ACCESS_KEY.search(self.request.headers.get("Authorization", ""))
        if self.service == "ec2":
            asked: Any = tuple(sorted(self.params.items()))
        else:
            asked = (self.request.method, self.request.path, self.request.query_string, self.request.get_data())
        return self.service, self.operation, self.account, self.region, key.group(1) if key else "", asked

    def serve(self, handler: Callable[..., Any], full_url: str, headers: Any, key: Any) -> Any:
        """Let the service answer, under the lock; or give the answer that it gave before, where that still holds."""
        answers = self.simulation.answers
        if key is None:
            return handler(self.request, full_url, headers)
        if (known := answers.find(key)) is not None:
            return known
        version = self.simulation.clock.settled()
        with self.simulation.clock.watched() as horizon:
            result = handler(self.request, full_url, headers)
        if self.simulation.clock.settled() == version:
            answers.keep(key, version, horizon, result)
        return result

    def refusal(self) -> Fault | None:
        """The answer that IAM or STS gives in the place of the service's own, if any; else sets the caller."""
        # DRS says itself of a region that AWS does not have that nobody initialised it there.
        if self.service != "drs" and not regions.exists(self.region):
            code, status = regions.UNKNOWN.get(self.service, ("InvalidSignatureException", 403))
            message = "Credential should be scoped to a valid region."
            return _answer(self.operation, code, message, status)
        assumes = self.service == "sts" and self.operation in trust.ASSUMING
        if not assumes and not self.simulation.scenario.iam:
            return None
        who = self._caller()
        if assumes and not trust.may_assume(who, self.operation, self.params):
            return self._denial(who, Requirement(f"sts:{self.operation}", str(self.params.get("RoleArn", ""))))
        if not self.simulation.scenario.iam:
            return None
        call_context.caller.set(who)
        # Everybody may ask who they are, and a trust policy that names the caller is enough.
        trusted = assumes and trust.needs_no_policy(who, str(self.params.get("RoleArn", "")))
        if trusted or self.operation in ("GetCallerIdentity", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
            return None
        needed = denied(who, self.service, self.operation, self.params)
        return None if needed is None else self._denial(who, needed)

    def _caller(self) -> permissions.Caller:
        """Whoever signed it, or started the runbook that makes it."""
        behalf = on_behalf_of.get()
        if behalf is not None and behalf[0] is not None:
            return behalf[0]
        key = _ACCESS_KEY.search(self.request.headers.get("Authorization", ""))
        return permissions.Caller.of(self.account, self.region, key.group(1) if key else "", self.request.headers)

    def _denial(self, who: permissions.Caller, needed: Requirement) -> Fault:
        """The answer to a caller who may not do it, in the service's own words."""
        code = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}.get(self.service)
        if code is None:
            code = "AccessDenied" if self.service in ("s3", "sts", "iam") else "AccessDeniedException"
        message = permissions.explain(who, needed.action, needed.resource)
        if self.service == "ec2":
            message = f"You are not authorized to perform this operation. {message}"
        return _answer(self.operation, code, message, 403)

    def as_of(self, lag: float | None) -> AbstractContextManager[None]:
        """The state in which it is served: that of `lag` seconds of AWS ago; what is about to change is kept."""
        if lag:
            return self.simulation.history.as_of(lag)
        if not self.operation.startswith(READS):
            self.simulation.clock.changed()
            self.simulation.history.changing()
        return contextlib.nullcontext()

    def log(self, status: int, error: str | None, **more: Any) -> None:
        self.simulation.events.call(
            self.t,
            self.operation,
            self.params,
            status,
            error,
            service=self.service,
            account=self.account,
            region=self.region,
            **more,
        )

    def fail(self, fault: Fault, held: list[Fault] | None = None) -> Any:
        """Answer as the fault says, after what `held` holds back."""
        if fault.error:
            answer = _error_answer(self.service, self.operation, self.request, fault)
            self.log(answer[0], fault.error)
            _hold(held or [])
            return answer
        self.log(0, "ConnectionReset")
        _hold(held or [])
        if self.request.from_wsgi_server:
            raise ConnectionResetError("dropped by a fault")  # The server closes the connection without an answer.
        raise ConnectionClosedError(endpoint_url=self.request.url)


def account_of_response(original: Callable[[Any], str]) -> Callable[[Any], str]:
    """moto's account of a call, the scenario's own account in the place of moto's default."""

    def get_current_account(self: Any) -> str:
        simulation = runtime.current()
        return original(self) if simulation is None else _account(simulation, self)

    return get_current_account


@functools.cache
def _service(package: str) -> str:
    """botocore's name of the service that a package of moto's serves."""
    return str(service_name_from_moto_package_name(package))


def _account(simulation: runtime.Runtime, carrier: Any) -> str:
    if account := carrier.headers.get("x-moto-account-id"):
        return str(account)
    key = _ACCESS_KEY.search(carrier.headers.get("Authorization", ""))
    account = get_account_id_from(key.group(1)) if key else "123456789012"
    return simulation.scenario.account if account == "123456789012" else str(account)


def _operation(service: str, request: Any) -> tuple[str, Any]:
    """The operation's name and the parameters, as far as they can be read without the service's own parser."""
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.split(".")[-1], _json(request)
    try:
        model = get_service_model(service)
    except Exception:
        return f"{request.method} {request.path}", {}
    if model.protocol in ("query", "ec2"):
        values = {key: value for key, value in request.values.items() if key not in ("Action", "Version")}
        return request.values.get("Action", ""), values
    with contextlib.suppress(NotFound):
        operation, in_path = get_service_router(service).match(request)
        params = {**in_path, **request.args.to_dict()}
        if model.protocol == "rest-json":
            params.update(_json(request))
        return str(operation.name), params
    return f"{request.method} {request.path}", {}


def _json(request: Any) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data(cache=True) or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _answer(operation: str, error: str, message: str, status: int) -> Fault:
    """An error of the simulator's own as a fault; whatever the operation is called, it is not checked."""
    return Fault.model_construct(operation=operation, error=error, message=message, status=status)


def _error_answer(service: str, operation: str, request: Any, fault: Fault) -> tuple[int, dict[str, Any], Any]:
    model = get_service_model(service)
    protocol = determine_request_protocol(model, request.content_type)
    serializer = get_serializer_class(model.service_name, protocol)(operation_model=model.operation_model(operation))
    code = fault.error or ""
    message = fault.message or f"{code}, by a fault of the scenario"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto warns of codes that are not in the model; common errors never are.
        answer = serializer.serialize(_InjectedError(code, message))
    declared = int(answer["status_code"])
    status = fault.status or (_STATUS.get(code, declared) if declared == 400 else declared)
    # moto spells the members of JSON errors in its own way, and REST services name the error in a header only.
    body = json.dumps({"message": message}) if protocol == "rest-json" else answer["body"]
    return status, dict(answer["headers"]), body


def _error_code(status: int, headers: Any, body: Any) -> str | None:
    """The code that a client reads from an error: of REST services it stands in a header, whose case is not fixed."""
    if status < 400:
        return None
    for name, value in dict(headers).items():
        if str(name).lower() == "x-amzn-errortype":
            return str(value).split(":")[0].split("#")[-1]
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    with contextlib.suppress(ValueError, AttributeError):
        data = json.loads(text)
        if code := data.get("__type") or data.get("code"):
            return str(code).split("#")[-1]
    match = _XML_CODE.search(text)
    return match.group(1) if match else f"HTTP {status}"


def _sleep(faults: list[Fault]) -> None:
    delay = sum(fault.delay for fault in faults)
    if delay and on_behalf_of.get() is None:  # A runbook's call is made under the lock of the simulation.
        time.sleep(delay)


def _hold(faults: list[Fault]) -> None:
    for fault in faults:
        if fault.hold and on_behalf_of.get() is None:
            fault.wait_released()
