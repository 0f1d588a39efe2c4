"""`drs-sim` as a server: moto's threaded server with the simulator in it, and the control pages."""

from __future__ import annotations

import functools
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from drs_provider.simulator.control import CONTROL_PREFIX, ControlPages
from drs_provider.simulator.simulation import Simulation, activate

__all__ = ["SimulatorServer"]


class _Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which otherwise lists its own folder for every call to learn what a host name means."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backend_for_host = functools.cache(super().get_backend_for_host)

    def get_backend_for_host(self, host: str | None) -> Any:
        """moto's name of the service behind a host name."""
        return self._backend_for_host(host)


class _QuietHandler(MotoRequestHandler):
    """Keeps connections open between calls, and prints no access log: the event log says more."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Print nothing."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """End the connection that a fault drops: kept open, the client would wait for its read time-out."""
        self.close_connection = True


class SimulatorServer:
    """The simulator behind one endpoint for every service.

    :param port: 0 takes a free one; `endpoint_url` says which.
    """

    def __init__(self, simulation: Simulation, host: str = "127.0.0.1", port: int = 0) -> None:
        activate(simulation)
        self.simulation = simulation
        self._aws = _Dispatcher()
        self._control = ControlPages(simulation)
        self._server: BaseWSGIServer = make_server(
            host, port, self._serve, threaded=True, request_handler=_QuietHandler
        )
        self.host, self.port = host, int(self._server.server_port)

    @property
    def endpoint_url(self) -> str:
        """What `AWS_ENDPOINT_URL` has to be."""
        return f"http://{self.host}:{self.port}"

    def serve_forever(self) -> None:
        """Serve until `shutdown`."""
        self._server.serve_forever(poll_interval=0.1)

    def shutdown(self) -> None:
        """End `serve_forever` and close the socket."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO", "").startswith(CONTROL_PREFIX):
            return self._control(environ, start_response)
        return self._aws(environ, start_response)
