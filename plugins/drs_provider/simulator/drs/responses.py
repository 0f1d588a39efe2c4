"""DRS over HTTP: reads a request by the service model, asks the backend, writes its answer.

Every operation of the service model that a component of the backend has a method for is served; the method takes the
request as the model names it and returns the answer as the model names it. Lists are asked for all the time, and take a
shorter way through moto than the rest.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from moto.core.responses import BaseResponse
from moto.core.utils import camelcase_to_underscores, get_service_model, utcnow
from moto.utilities.aws_headers import gen_amzn_requestid_long
from werkzeug.http import http_date

from drs_provider.simulator.drs.exceptions import DrsError, Uninitialized, Validation
from drs_provider.simulator.drs.models import COMPONENTS, DrsBackend, drs_backends
from drs_provider.simulator.validation import violations

__all__ = ["DrsResponse", "operations"]

#: Initialising is how an account begins.
_BEFORE_INITIALISATION = {"InitializeService"}


class DrsResponse(BaseResponse):
    """Parses and serialises; the operations are below."""

    def __init__(self) -> None:
        super().__init__(service_name="drs")
        self.automated_parameter_parsing = True

    def _dispatch(self, request: Any, full_url: str | None = None, headers: Any = None) -> Any:
        """As moto does; a list whose request was read already is answered without reading it three times more."""
        call: Any = getattr(request, "simulator_call", None)
        serve = getattr(self, camelcase_to_underscores(call.operation), None) if call is not None else None
        if serve is None or not _is_plain_list(call.operation, call.params):
            return super()._dispatch(request, full_url, headers)
        self.headers, self.params = request.headers, call.params
        self.region, self.current_account = call.region, call.account
        status, answer_headers, body = serve()
        answer_headers = {"server": "amazon.com", **answer_headers}
        if not request.from_wsgi_server:
            answer_headers["date"] = http_date(utcnow())
        return status, *self._enrich_response(answer_headers, body)

    @staticmethod
    def _enrich_response(headers: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
        """As moto does, without its search for a request id in XML, which takes longer than a long list itself."""
        headers["status"] = str(headers.get("status", 200))
        gen_amzn_requestid_long(headers)
        return headers, body

    @property
    def backend(self) -> DrsBackend:
        """The account and region that the caller means.

        :raises Uninitialized: AWS has no such region, so that nobody ever initialised DRS there.
        """
        try:
            backend: DrsBackend = drs_backends[self.current_account][self.region]
        except KeyError:
            raise Uninitialized from None
        return backend


@functools.cache
def _members(operation: str) -> frozenset[str] | None:
    """What a request for a list may say in its body; None for every other operation."""
    if not operation.startswith("Describe") or operation not in get_service_model("drs").operation_names:
        return None
    model = get_service_model("drs").operation_model(operation)
    if (model.http["method"], model.http["requestUri"]) != ("POST", f"/{operation}"):
        return None
    return frozenset(model.input_shape.members)


def _is_plain_list(operation: str, params: Any) -> bool:
    """Whether a request asks for a list, and in members of the model only; moto's parser leaves others out."""
    members = _members(operation)
    return members is not None and members.issuperset(params) and None not in params.values()


@functools.cache
def operations() -> dict[str, str]:
    """The operations that are served, and the component of the backend that serves each."""
    names = get_service_model("drs").operation_names
    methods = {name: camelcase_to_underscores(name) for name in names}
    return {
        name: component
        for name, method in methods.items()
        for component, kind in COMPONENTS.items()
        if method in vars(kind)
    }


def _serve(operation: str, component: str) -> Callable[[DrsResponse], Any]:
    status = get_service_model("drs").operation_model(operation).http.get("responseCode", 200)
    method = camelcase_to_underscores(operation)

    def serve(response: DrsResponse) -> tuple[int, dict[str, Any], str]:
        request = response.params
        try:
            backend = response.backend
            problem = violations("drs", operation, request)
            if problem is not None:
                raise Validation(problem)
            if not backend.initialized and operation not in _BEFORE_INITIALISATION:
                raise Uninitialized
            answer = getattr(getattr(backend, component), method)(request)
        except DrsError as error:
            headers = {"status": error.status, "Content-Type": "application/json", "x-amzn-ErrorType": error.code}
            return error.status, headers, json.dumps(error.body)
        # The backend speaks in the model's names, and DRS writes all its times as strings: JSON is the whole protocol.
        body = "" if answer is None and status == 204 else json.dumps(answer or {})
        return status, {"status": status, "Content-Type": "application/json"}, body

    return serve


for _operation, _component in operations().items():
    setattr(DrsResponse, camelcase_to_underscores(_operation), _serve(_operation, _component))
