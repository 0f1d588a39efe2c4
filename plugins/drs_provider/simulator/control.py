"""Control over HTTP, under `/moto-api/drs/`: the scenario, faults, the clock and the log.

| call | body or query | answer |
| --- | --- | --- |
| `POST scenario` | a scenario as JSON, or `{"path": FILE}`; `?speed=` | `{"servers": n}` |
| `POST reset` | | begins again with the scenario that was loaded last |
| `GET faults` | | the faults in force, with id and how often each struck |
| `GET faults/unstruck` | | the faults, in force or not any more, that hit no call since the scenario was loaded |
| `POST faults` | a fault as JSON | the fault, with its `id` |
| `DELETE faults` | `?id=` | takes one or all out of force |
| `POST release` | `{"id": n}` or nothing | lets held answers go |
| `POST freeze`, `POST resume` | | `{"now": …, "frozen": …}` |
| `POST advance` | `{"seconds": n}` | the same |
| `POST events` | `{"event": …, "server": "s-…"}` | what a person does on premises; the same, as it was taken |
| `GET clock` | | the same, and `speed` |
| `DELETE log` | | empties the log, its file too |
| `GET log` | `?since=n` | the log's entries, `n` and later |

What is wrong with a request is answered with 400 and `{"error": …}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from werkzeug.wrappers import Request, Response

from drs_provider.simulator.faults import Fault
from drs_provider.simulator.scenario_file import ScenarioError
from drs_provider.simulator.simulation import Simulation

__all__ = ["CONTROL_PREFIX", "ControlPages"]

CONTROL_PREFIX = "/moto-api/drs/"


class ControlPages:
    """The control pages as a WSGI application."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self._pages: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("POST", "scenario"): self._load,
            ("POST", "reset"): self._reset,
            ("GET", "faults"): self._faults,
            ("GET", "faults/unstruck"): self._unstruck,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "release"): self._release,
            ("POST", "freeze"): self._freeze,
            ("POST", "resume"): self._resume,
            ("POST", "advance"): self._advance,
            ("POST", "events"): self._happen,
            ("GET", "clock"): lambda request: self._clock(),
            ("GET", "log"): self._log,
            ("DELETE", "log"): self._clear_log,
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        page = self._pages.get((request.method, request.path.removeprefix(CONTROL_PREFIX).strip("/")))
        if page is None:
            known = ", ".join(f"{method} {name}" for method, name in self._pages)
            response = _json({"error": f"no such page; there are {known}"}, 404)
        else:
            try:
                response = _json(page(request))
            except ScenarioError as error:
                problems = [vars(problem) for problem in error.problems]
                response = _json({"error": str(error), "problems": problems}, 400)
            except (ValidationError, ValueError, TypeError, KeyError) as error:
                response = _json({"error": str(error)}, 400)
        return response(environ, start_response)

    def _load(self, request: Request) -> Any:
        body = _body(request)
        source: Any = Path(body["path"]) if set(body) == {"path"} else body
        return {"servers": len(self.simulation.load(source, request.args.get("speed", type=float)).servers)}

    def _reset(self, request: Request) -> Any:
        self.simulation.reset()
        return {"servers": len(self.simulation.scenario.servers)}

    def _faults(self, request: Request) -> Any:
        return [_shown(fault) for fault in self.simulation.faults.listed()]

    def _unstruck(self, request: Request) -> Any:
        return [{**_shown(fault), "text": str(fault)} for fault in self.simulation.faults.never_struck()]

    def _add_fault(self, request: Request) -> Any:
        return _shown(self.simulation.faults.add(Fault.model_validate(_body(request))))

    def _clear_faults(self, request: Request) -> Any:
        self.simulation.faults.clear(request.args.get("id", type=int))
        return self._faults(request)

    def _release(self, request: Request) -> Any:
        self.simulation.release(_body(request).get("id"))
        return self._faults(request)

    def _freeze(self, request: Request) -> Any:
        self.simulation.freeze()
        return self._clock()

    def _resume(self, request: Request) -> Any:
        self.simulation.resume()
        return self._clock()

    def _advance(self, request: Request) -> Any:
        self.simulation.advance(float(_body(request)["seconds"]))
        return self._clock()

    def _happen(self, request: Request) -> Any:
        body = _body(request)
        event, server = str(body["event"]), str(body["server"])
        self.simulation.happen(event, server)
        return {"event": event, "server": server}

    def _clock(self) -> Any:
        clock = self.simulation.clock
        return {"now": clock.now(), "frozen": clock.frozen, "speed": clock.speed}

    def _clear_log(self, request: Request) -> Any:
        self.simulation.events.truncate()
        return []

    def _log(self, request: Request) -> Any:
        return self.simulation.log[request.args.get("since", 0, type=int) :]


def _body(request: Request) -> dict[str, Any]:
    body = json.loads(request.get_data() or b"{}")
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object")
    return body


def _shown(fault: Fault) -> dict[str, Any]:
    return {**fault.model_dump(exclude_defaults=True), "id": fault.id, "struck": fault.struck}


def _json(data: Any, status: int = 200) -> Response:
    return Response(json.dumps(data, default=str), status=status, content_type="application/json")
