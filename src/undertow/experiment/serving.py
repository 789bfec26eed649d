"""A run's report over HTTP, on this machine only, that follows the run while it trains."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from undertow._checks import UndertowError, Within, at_home, whole_number
from undertow._io import to_json
from undertow.experiment.local_http import Answer, LocalServer
from undertow.experiment.reporting import Report, Stage
from undertow.store.rundir import RunDirectory

_log = logging.getLogger(__name__)
_SECONDS = 2
PORTS = Within(at_least=0, at_most=65535)
"""0 is any that is free."""


class ReportServer:
    """Serves a run's report at `url` until it is closed. A context manager.

    The page asks for news every two seconds: how the run goes, and its curves. What takes long, the evaluation of a checkpoint,
    is made before the first page is served, again when the run has ended, and when someone asks for it.

    It answers this machine alone, and what changes something its own page alone; other users of this machine can read the page.

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
        port = whole_number("port", port, PORTS)
        self._directory = at_home(path)
        self._report = Report(path, which=which, suites=suites, on_stage=on_stage)
        self._version, self._state = 0, RunDirectory.open(path).status
        self._making = threading.Lock()
        self._page, self._token = "", secrets.token_urlsafe(24)
        self._server = LocalServer(port, self.answer, self._token)  # first: to make the page takes long
        self.port = self._server.port
        try:
            self._make()
        except BaseException:
            self._server.server_close()
            raise

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

    def answer(self, method: str, path: str) -> Answer:
        """What a request gets that may ask."""
        if method == "GET" and path in ("/", "/index.html"):
            return Answer(self.page(), "text/html; charset=utf-8")
        if method == "GET" and path == "/news.json":
            try:
                return Answer(to_json(self.news(), indent=None), "application/json")
            except UndertowError as error:  # the run directory has gone
                return Answer(str(error), status=HTTPStatus.SERVICE_UNAVAILABLE)
        if method == "POST" and path == "/renew":
            self.renew()
            return Answer("{}", "application/json", HTTPStatus.ACCEPTED)
        return Answer("there is no such page", status=HTTPStatus.NOT_FOUND)

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
        except Exception as error:
            _log.warning("the report could not be made anew: %s: %s", type(error).__name__, error)
            _log.debug("where", exc_info=True)
        finally:
            self._making.release()

    def _make(self) -> None:
        version = self._version + 1
        live = {
            "news": "news.json",
            "renew": "renew",
            "token": self._token,
            "seconds": _SECONDS,
            "version": version,
        }
        self._page, self._version = self._report.html(live), version
