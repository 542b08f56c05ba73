"""A PostgreSQL of our own: one cluster in a data folder, reached only by a unix socket in a private folder.

Usable without Django and without the supervisor (the test-suite starts throw-away clusters with it). Roles and
databases are made in `provision.py`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobservice.env import ConfigurationError
from workers.supervisor.folders import make_private_folder, make_runtime_folder, remove_runtime_folder, write_private
from workers.supervisor.launch import choose_account, wrap_command
from workers.supervisor.launched import UNREACHABLE_FOLDER
from workers.supervisor.postgres_binaries import find_programs, find_version

SUPERUSER = "postgres"
SUPERUSER_PASSWORD_FILE = "postgres-superuser.password"  # noqa: S105 - a file's name
POLL_SECONDS = 0.05
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "wal_level": "replica",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    # A failing statement and its row would put tenants' values into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # Whoever lets statements be logged, by their time perhaps, gets them without what was in them.
    "log_parameter_max_length": "0",
}
if sys.platform == "linux":
    # After a crash: one call for the whole file system instead of opening every file.
    SETTINGS["recovery_init_sync_method"] = "syncfs"
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


class EmbeddedPostgres:
    """One cluster under `data_dir`, its socket in `socket_dir` (made 0700 when missing; a short path).

    The caller makes sure that nobody else runs a cluster in the same folder, and starts it from a thread that lives
    as long as the server is wanted: the kernel stops the server when that thread ends.
    """

    def __init__(self, data_dir: Path, socket_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self.socket_dir = socket_dir.absolute()
        self.cluster_dir = self.data_dir / "postgres"
        self.account = choose_account()
        self._durable = durable
        self._programs = find_programs(self.data_dir, account=self.account)
        self._process: subprocess.Popen[bytes] | None = None
        if not self.socket_dir.exists():
            make_private_folder(self.socket_dir, owner=self._owner)

    @property
    def superuser_url(self) -> str:
        """The address of the superuser, which skips row-level security: for provisioning only."""
        return self.url(user=SUPERUSER, password=self._read_superuser_password(), database="postgres")

    @property
    def environment(self) -> dict[str, str]:
        """What the server sees: nothing of ours, and no PG* variable of the operator's shell."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def url(self, *, user: str, password: str, database: str) -> str:
        """An address of this server for a role; the password must be URL-safe."""
        return f"postgresql://{user}:{password}@/{database}?host={self.socket_dir}"

    def init(self) -> None:
        """Make the cluster when there is none. Raises `ConfigurationError` when this user or this version cannot."""
        if not self.cluster_dir.exists():
            self._make_cluster()
        self._check_owner()
        self._check_version()

    def command(self) -> list[str]:
        """The argv that runs the server in the foreground, its log on stderr; `SIGINT` stops it fast and cleanly."""
        settings = {
            **SETTINGS,
            **(DURABLE if self._durable else THROWAWAY),
            "unix_socket_directories": str(self.socket_dir),
            # In every process title, so that leftovers can be found without the right to trace them.
            "cluster_name": self._cluster_name,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = [str(self._programs / "postgres"), "-D", str(self.cluster_dir), *options]
        return wrap_command(program, death_signal=signal.SIGQUIT, folder=self.data_dir, account=self.account)

    def clear_leftovers(self) -> None:
        """End server processes that outlived an earlier run and remove their lock files, which could block a start."""
        for number, patience_seconds in ((signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
            deadline = time.monotonic() + patience_seconds
            for pid in self._leftovers():
                os.kill(pid, number)
            while self._leftovers() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        for path in (self.cluster_dir / "postmaster.pid", *self.socket_dir.glob(".s.PGSQL.*")):
            path.unlink(missing_ok=True)

    def is_ready(self, pid: int) -> bool:
        """Whether the server with this process id accepts connections."""
        try:
            lines = (self.cluster_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def start(self) -> None:
        """Start the server, again if need be, as a child of this process; its log goes to this process's stderr."""
        self.stop()
        self.clear_leftovers()
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=2, env=self.environment, start_new_session=True
        )

    def wait_ready(self, *, seconds: float = 60.0) -> None:
        """Return once the server accepts connections. Raises `ConfigurationError` when it ends or takes longer."""
        if self._process is None:
            raise ConfigurationError("PostgreSQL was not started.")
        deadline = time.monotonic() + seconds
        while not self.is_ready(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ConfigurationError("PostgreSQL did not start; its own log says why.")
            time.sleep(POLL_SECONDS / 5)

    def stop(self) -> None:
        """Stop the server: fast first, then harder. Returns when it is gone."""
        if self._process is None:
            return
        for number, patience_seconds in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            self._process.send_signal(number)
            try:
                self._process.wait(patience_seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    @property
    def _owner(self) -> tuple[int, int] | None:
        return (self.account.uid, self.account.gid) if self.account else None

    @property
    def _cluster_name(self) -> str:
        return f"jobservice-{hashlib.sha256(os.fsencode(self.cluster_dir)).hexdigest()[:12]}"

    def _make_cluster(self) -> None:
        """Make it beside its place, then rename: an interrupted start leaves nothing that looks like a cluster."""
        if self.account is None and _user_name(os.geteuid()).isdigit():
            raise ConfigurationError(
                f"User {os.geteuid()} has no entry in /etc/passwd, which PostgreSQL's initdb asks for; "
                "add one, run as a user who has one, or set DATABASE_URL."
            )
        part = self.data_dir / "postgres.part"
        shutil.rmtree(part, ignore_errors=True)
        make_private_folder(part, owner=self._owner)
        with self._password_file() as password_file:
            options = ["-U", SUPERUSER, f"--pwfile={password_file}", "-A", "scram-sha-256", "-E", "UTF8"]
            options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            options += [] if self._durable else ["--no-sync"]
            command = [str(self._programs / "initdb"), "-D", str(part), *options]
            answer = subprocess.run(
                wrap_command(command, death_signal=signal.SIGKILL, folder=self.data_dir, account=self.account),
                capture_output=True,
                text=True,
                env=self.environment,
                start_new_session=True,
                check=False,
            )
        if answer.returncode != 0:
            shutil.rmtree(part, ignore_errors=True)
            raise ConfigurationError(self._explain_failure(answer))
        part.rename(self.cluster_dir)

    @contextmanager
    def _password_file(self) -> Iterator[Path]:
        """The superuser's password where the account of the server can read it, for as long as `initdb` runs."""
        stored = self.data_dir / SUPERUSER_PASSWORD_FILE
        if not stored.exists():
            write_private(stored, secrets.token_urlsafe(24))
        path = self.socket_dir / "initdb.password"
        write_private(path, self._read_superuser_password())
        try:
            if self._owner:
                os.chown(path, *self._owner)
            yield path
        finally:
            path.unlink()

    def _read_superuser_password(self) -> str:
        path = self.data_dir / SUPERUSER_PASSWORD_FILE
        try:
            return path.read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read ({error.strerror}); restore it from a backup of the data folder."
            ) from None

    def _explain_failure(self, answer: subprocess.CompletedProcess[str]) -> str:
        if answer.returncode == UNREACHABLE_FOLDER:
            return (
                f"JOBSERVICE_DATA_DIR: PostgreSQL runs as user {_user_name(self.account.uid if self.account else 0)} "
                f"here, which cannot enter {self.data_dir}; name a folder that every user may enter, "
                "such as /var/lib/jobservice, or run as a plain user."
            )
        return f"PostgreSQL could not make its folder {self.cluster_dir}: {answer.stderr.strip() or answer.stdout}"

    def _check_owner(self) -> None:
        owner = self.cluster_dir.stat().st_uid
        expected = self.account.uid if self.account else os.geteuid()
        if owner != expected:
            fix = "run it as root again" if self.account is None else f"run it as user {_user_name(owner)} again"
            raise ConfigurationError(
                f"JOBSERVICE_DATA_DIR: {self.cluster_dir} belongs to user {_user_name(owner)} and PostgreSQL would run "
                f"as {_user_name(expected)}; {fix}, or name another folder."
            )

    def _check_version(self) -> None:
        path = self.cluster_dir / "PG_VERSION"
        try:
            made_by = path.read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                f"JOBSERVICE_DATA_DIR: {path} cannot be read ({error.strerror}), so {self.cluster_dir} is not a "
                "PostgreSQL folder of this user; name another folder, or restore it from a backup."
            ) from None
        installed = find_version().split(".")[0]
        if made_by != installed:
            raise ConfigurationError(
                f"JOBSERVICE_DATA_DIR: {self.cluster_dir} was made by PostgreSQL {made_by} and the installed one is "
                f"{installed}; dump it with the old version and restore it into a new folder."
            )

    def _leftovers(self) -> list[int]:
        """Processes of this cluster: the title or the arguments of each carry the cluster's name."""
        wanted = os.fsencode(self._cluster_name)
        numbers = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        return [pid for pid in numbers if wanted in _read_bytes(Path(f"/proc/{pid}/cmdline"))]


@contextmanager
def run_throwaway_postgres() -> Iterator[EmbeddedPostgres]:
    """A running cluster in a temporary folder, without fsync, gone at the end: for tests."""
    runtime = make_runtime_folder()
    # Not TemporaryDirectory: at the interpreter's exit its own finalizer could remove the folder under the server.
    folder = Path(tempfile.mkdtemp(prefix="jobservice-data-"))
    try:
        postgres = EmbeddedPostgres(folder, runtime / "pg", durable=False)
        postgres.init()
        postgres.start()
        try:
            postgres.wait_ready()
            yield postgres
        finally:
            postgres.stop()
    finally:
        remove_runtime_folder(runtime)
        shutil.rmtree(folder, ignore_errors=True)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
