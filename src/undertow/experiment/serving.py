"""A run's report over HTTP, on this machine only, that follows the run while it trains."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from undertow._checks import UndertowError, require
from undertow.experiment.reporting import Report, Stage
from undertow.training._files import to_json
from undertow.training.rundir import RunDirectory

_log = logging.getLogger(__name__)
_SECONDS = 2
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class ReportServer:
    """Serves a run's report at `url` until it is closed. A context manager.

    The page asks for news every two seconds: how the run goes, and its curves. What takes long, the evaluation of a checkpoint,
    is made before the first page is served, again when the run has ended, and when someone asks for it.

    **Arguments:** `path`, `which`, `suites`, `on_stage`: as of [`report_run`][undertow.experiment.reporting.report_run];
    `port`: 0 takes one that is free.

    **Raises:** `UndertowError` if there is no such run or the port cannot be had.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        port: int = 0,
        which: str = "best",
        suites: Sequence[str] | None = None,
        on_stage: Stage | None = None,
    ):
        require(0 <= port <= 65535, f"a port is a number from 0 (any that is free) to 65535, got {port}")
        self._directory = Path(path)
        self._report = Report(path, which=which, suites=suites, on_stage=on_stage)
        self._version, self._state = 0, RunDirectory.open(path).status
        self._making = threading.Lock()
        self._page = ""
        self._make()
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        except OSError as error:
            raise UndertowError(f"cannot serve at port {port}: {error.strerror}; choose another, or 0") from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    def serve(self) -> None:
        """Answer until `close` is called from another thread, or the process is told to stop."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> ReportServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def page(self) -> str:
        """The page that was made last."""
        return self._page

    def news(self) -> dict[str, Any]:
        """What changes while a run goes on: its status and curves; the version of the page, which grows when it was made anew,
        and whether it is being made."""
        state = RunDirectory.open(self._directory).status
        if state != self._state:
            self._state = state
            self.renew()
        return {
            "status": self._report.status(),
            "version": self._version,
            "busy": self._making.locked(),
            "sections": [self._report.training().to_dict()],
        }

    def renew(self) -> None:
        """Evaluate anew, beside the answers to requests; one evaluation at a time."""
        threading.Thread(target=self._renew, daemon=True).start()

    def _renew(self) -> None:
        if not self._making.acquire(blocking=False):
            return
        try:
            self._report.forget()
            self._make()
        except UndertowError as error:  # a checkpoint that was replaced while it was read, say: the last page stays
            _log.warning("the report could not be made anew: %s", error)
        finally:
            self._making.release()

    def _make(self) -> None:
        version = self._version + 1
        live = {"news": "news.json", "renew": "renew", "seconds": _SECONDS, "version": version}
        self._page, self._version = self._report.html(live), version


def _handler(server: ReportServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self._asked_for_here():
                return
            if self.path in ("/", "/index.html"):
                self._answer(server.page(), "text/html; charset=utf-8")
            elif self.path == "/news.json":
                try:
                    self._answer(to_json(server.news(), indent=None), "application/json")
                except UndertowError as error:  # the run directory has gone
                    self._answer(str(error), "text/plain; charset=utf-8", HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                self._answer("there is no such page", "text/plain; charset=utf-8", HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            if not self._asked_for_here():
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/renew":
                server.renew()
                self._answer("{}", "application/json", HTTPStatus.ACCEPTED)
            else:
                self._answer("there is no such page", "text/plain; charset=utf-8", HTTPStatus.NOT_FOUND)

        def _asked_for_here(self) -> bool:
            """Whether the request names this machine, and comes from its own page: one elsewhere may have given another name
            to its address, or send what it likes here."""
            origin = (self.headers.get("Origin") or "").removeprefix("http://")
            names = [self.headers.get("Host") or "", *([origin] if origin else [])]
            if all(name.rsplit(":", 1)[0] in _HOSTS for name in names):
                return True
            self._answer("this address serves this machine only", "text/plain; charset=utf-8", HTTPStatus.FORBIDDEN)
            return False

        def _answer(self, text: str, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
            body = text.encode("utf-8")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug(format, *args)

    return Handler
