"""The web process's own settings, with less patience, so that tests of slow clients need not be patient."""

from pathlib import Path

from api import patient_socket, web_worker

exec(Path("deploy/gunicorn.conf.py").read_text())  # noqa: S102 (the very file that is under test)

web_worker.FIRST_BYTE_SECONDS = 1.5
web_worker.HEAD_SECONDS = 1.5
web_worker.BODY_SECONDS = 1.5
patient_socket.WRITE_SECONDS = 1.5
