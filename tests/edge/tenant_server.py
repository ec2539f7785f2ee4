"""A tenant's server for tests: says who it is and what it was asked. Usage: NAME ADDRESS PORT."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/drip":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)  # noqa: TID251  # slowness is its purpose
            return
        status = int(self.path.removeprefix("/status/")) if "/status/" in self.path else 200
        asked = {"server": sys.argv[1], "path": self.path, "headers": self.headers.items()}
        body = b"x" * 200_000 if self.path == "/big" else json.dumps(asked).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *arguments: object) -> None:
        """Stay silent: an edge that is killed leaves broken connections."""


Server((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()
