"""Stands in for the web process: answers every GET with its process id, and says when it is asked to stop."""

import http.server
import os
import signal
import socket
import sys

from jobservice.ready import say_ready


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        return None


def stop(_number: int, _frame: object) -> None:
    os.write(1, b"web got TERM\n")
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
server.socket = socket.socket(fileno=int(os.environ["JOBSERVICE_LISTEN_FD"]))
say_ready(os.environ["NOTIFY_SOCKET"])
server.serve_forever()
