"""A server on the loopback address that streams what a test tells it to, piece by piece, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What is answered to every request for a path."""

    #: bytes to send at once, seconds to wait, or an event to wait for.
    pieces: list[bytes | float | threading.Event]
    headers: dict[str, str] = field(default_factory=dict)
    #: Sent in chunks, or up to the end of the connection.
    chunked: bool = True
    #: The connection breaks off behind the pieces.
    cut: bool = False
    #: Set when the client has gone before all was sent.
    gone: threading.Event = field(default_factory=threading.Event)
    requests: list[bytes] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        reply = self.server.replies[self.path.partition("?")[0]]
        reply.requests.append(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.send_response(200)
        for name, value in {"content-type": "text/event-stream", **reply.headers}.items():
            self.send_header(name, value)
        if reply.chunked:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("connection", "close")
        self.close_connection = reply.cut or not reply.chunked
        try:
            self.end_headers()
            for piece in reply.pieces:
                self._send(piece, reply.chunked)
            if reply.chunked and not reply.cut:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            reply.gone.set()

    do_GET = do_POST

    def _send(self, piece: bytes | float | threading.Event, chunked: bool) -> None:
        if isinstance(piece, threading.Event):
            piece.wait(20)
        elif isinstance(piece, float):
            time.sleep(piece)
        else:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    replies: dict[str, Reply]

    def handle_error(self, *_: Any) -> None:
        pass


class Site:
    """A running server: its address, and the replies by path."""

    def __init__(self, server: _Server) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.replies = server.replies

    def serve(self, path: str, *pieces: bytes | float | threading.Event, **options: Any) -> Reply:
        reply = self.replies[path] = Reply(list(pieces), **options)
        return reply


@contextmanager
def serving() -> Iterator[Site]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.replies = {}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield Site(server)
        finally:
            server.shutdown()
            thread.join()
