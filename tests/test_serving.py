"""The served report's door, over raw sockets: what is let in, what is refused, and the bounds on all that is read."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertow.experiment import local_http, serving
from undertow.experiment.local_http import Answer, LocalServer, is_local

TOKEN = "the-secret"
SEEN: list[tuple[str, str]] = []


def answer(method: str, path: str) -> Answer:
    SEEN.append((method, path))
    if path == "/large":
        return Answer("x" * 2_000_000)
    return Answer(f"answered {method} {path}")


@pytest.fixture(scope="module")
def server():
    with LocalServer(0, answer, TOKEN) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(local_http, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(local_http, "_REST_SECONDS", 0.1)


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            parts.append(data)
    return b"".join(parts)


def ask(server, request: bytes) -> bytes:
    with connect(server) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before all is sent
            connection.sendall(request)
        return everything(connection)


def head(server, line="GET / HTTP/1.1", **headers: str) -> bytes:
    given = {"Host": f"127.0.0.1:{server.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in given.items() if value), "", ""]).encode(
        "latin-1"
    )


def status(answer: bytes) -> int:
    assert answer.count(b"HTTP/1.") == 1, answer  # one answer, whatever was sent
    return int(answer.split()[1])


def test_the_page_is_answered_and_the_connection_ends(server):
    told = ask(server, head(server, Connection="keep-alive"))
    assert status(told) == 200 and told.endswith(b"\r\n\r\nanswered GET /")
    assert b"frame-ancestors 'none'" in told and b"Cross-Origin-Resource-Policy: same-origin" in told


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "LOCALHOST", "LocalHost:80", "[::1]:9000", "127.0.0.1:65535"]
)
def test_names_of_this_machine_are_let_in(server, name):
    assert is_local(name) and status(ask(server, head(server, Host=name))) == 200


FOREIGN = (
    "evil.com",
    "127.0.0.1:18765@evil.com",
    "127.0.0.1:evil.com",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:١٢",
    "127.0.0.1.evil.com",
    "user@localhost",
    "localhost.",
    "0.0.0.0",
    "127.0.0.1 evil.com",
    "127.0.0.1,evil.com",
    "[::1",
    "localhost\n",
    "ſlocalhost",
    "",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_other_names_are_not(name):
    assert not is_local(name)


@given(st.sampled_from(["127.0.0.1", "localhost", "[::1]", ""]), st.text(max_size=12))
def test_nothing_but_a_port_may_follow_a_name(name, tail):
    port = tail.removeprefix(":")
    good = bool(name) and (
        not tail or (tail != port and port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535)
    )
    assert is_local(name + tail) == good


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.com"},
        {"Host": ""},
        {"Origin": "http://evil.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},  # another page of this machine
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
)
@pytest.mark.parametrize("line", ["GET /news.json HTTP/1.1", "POST /renew HTTP/1.1", "GET / HTTP/1.0"])
def test_other_sites_are_refused(server, line, headers):
    assert status(ask(server, head(server, line, X_Undertow_Token=TOKEN, **headers))) == 403
    assert SEEN == []


def test_a_link_may_lead_here_and_two_hosts_may_not(server):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert status(ask(server, head(server, **link))) == 200
    assert status(ask(server, head(server, "POST /renew HTTP/1.1", X_Undertow_Token=TOKEN, **link))) == 403
    two = head(server).replace(b"\r\n\r\n", b"\r\nHost: evil.com\r\n\r\n")
    assert status(ask(server, two)) == 403


def test_a_post_needs_the_secret(server):
    post = "POST /renew HTTP/1.1"
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec_Fetch_Site": "same-origin", "Content_Length": "0"}
    for token in ("", "guess", TOKEN + "x", "é"):
        assert status(ask(server, head(server, post, X_Undertow_Token=token, **own))) == 403
    assert SEEN == []
    assert status(ask(server, head(server, post, X_Undertow_Token=TOKEN, **own))) == 200
    assert SEEN == [("POST", "/renew")]


@pytest.mark.parametrize("host", ["evil.com", None], ids=["refused", "let in"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_a_body_is_never_the_next_request(server, hasty, host, method):
    inner = head(server, "POST /renew HTTP/1.1", X_Undertow_Token=TOKEN, Content_Length="0") * 3
    more = {} if host is None else {"Host": host}
    outer = head(server, f"{method} /x HTTP/1.1", Content_Type="text/plain", Content_Length=str(len(inner)), **more)
    assert status(ask(server, outer + inner)) in (400, 403, 501)
    assert SEEN == []


def test_requests_in_a_row_get_one_answer(server):
    assert status(ask(server, head(server, Connection="keep-alive") * 5)) == 200
    assert SEEN == [("GET", "/")]


LENGTHS = ["abc", "0x10", "5, 5", "100000000000", "-1", "+0", "00", "0, 0", "1e3", "٠", "5"]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_odd_lengths_are_refused_at_once(server, capfd, method, length):
    request = head(server, f"{method} / HTTP/1.1", X_Undertow_Token=TOKEN).replace(
        b"\r\n\r\n", f"\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    assert status(ask(server, request)) == 400
    assert SEEN == [] and capfd.readouterr() == ("", "")


def test_chunks_are_refused(server):
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    post = head(server, "POST /renew HTTP/1.1", X_Undertow_Token=TOKEN, Transfer_Encoding="chunked")
    assert status(ask(server, post + chunks)) == 400 and SEEN == []


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"",
        b"GET",
        b"\x00\xff" * 300,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"A" * 100_000,
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1 more\r\nHost: localhost\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
)
def test_what_is_no_request_ends_soon_and_silently(server, hasty, capfd, bytes_sent):
    begun = time.monotonic()
    told = ask(server, bytes_sent)
    assert time.monotonic() - begun < 5  # an end at all, not a speed
    assert b"answered" not in told and b"200 OK" not in told
    assert SEEN == [] and capfd.readouterr() == ("", "")


def test_a_dripping_head_has_an_end(server, hasty):
    with connect(server) as connection:
        ended = False
        for _ in range(100):  # at most 5 s
            try:
                connection.sendall(b"X")
            except OSError:
                ended = True
                break
            time.sleep(0.05)
        assert ended


def test_connections_are_counted_and_the_page_comes_back(server, monkeypatch):
    monkeypatch.setattr(local_http, "HEAD_SECONDS", 1.0)
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(server))
        time.sleep(0.2)
        assert threading.active_count() - before <= local_http.CONNECTIONS
    for _ in range(50):  # they end by themselves
        with contextlib.suppress(AssertionError, OSError):
            assert status(ask(server, head(server))) == 200
            break
        time.sleep(0.1)
    else:
        pytest.fail("the server does not answer again")


def test_who_reads_nothing_is_left(server, monkeypatch):
    monkeypatch.setattr(local_http, "ANSWER_SECONDS", 0.3)
    before = threading.active_count()
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(head(server, "GET /large HTTP/1.1"))
        for _ in range(100):
            if SEEN and threading.active_count() <= before:
                break
            time.sleep(0.05)
        assert SEEN == [("GET", "/large")] and threading.active_count() <= before


# --- the report behind it ---------------------------------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch):
    report = SimpleNamespace(
        html=lambda live: json.dumps(live),
        forget=lambda: None,
        status=lambda: "training",
        training=lambda: SimpleNamespace(to_dict=dict),
    )
    monkeypatch.setattr(serving, "Report", lambda *arguments, **options: report)
    monkeypatch.setattr(serving.RunDirectory, "open", lambda path: SimpleNamespace(status="running"))
    with serving.ReportServer("run") as server:
        threading.Thread(target=server.serve, daemon=True).start()
        yield server
        server.close()


def test_the_page_knows_how_to_ask_for_more(served):
    live = json.loads(ask(served, head(served)).split(b"\r\n\r\n")[1])
    assert json.loads(ask(served, head(served, "GET /news.json HTTP/1.1")).split(b"\r\n\r\n")[1])["version"] == 1
    assert status(ask(served, head(served, "GET /nothing HTTP/1.1"))) == 404
    renew = f"POST /{live['renew']} HTTP/1.1"
    assert status(ask(served, head(served, renew))) == 403
    assert status(ask(served, head(served, renew, X_Undertow_Token=live["token"]))) == 202
    for _ in range(100):
        if served.news()["version"] == 2:
            break
        time.sleep(0.02)
    assert served.news()["version"] == 2


def test_every_server_has_a_secret_of_its_own(served):
    with serving.ReportServer("run") as other:
        assert other._token != served._token


def test_a_port_that_is_taken_is_told_before_the_work(served, monkeypatch):
    monkeypatch.setattr(serving.ReportServer, "_make", lambda self: pytest.fail("worked first"))
    with pytest.raises(serving.UndertowError, match="choose another"):
        serving.ReportServer("run", port=served.port)
