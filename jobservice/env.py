"""Every environment variable the service reads: one table, each with its default, its meaning and its check.

`load()` reads them all and reports every bad value at once; nothing else in the project reads `os.environ` for
configuration. Connection addresses that `manage.py up` generates come from `connections.json` in the data folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environs import EnvError, FileAwareEnv

from jobservice import env_checks, key_settings
from jobservice.env_checks import Network as Network
from jobservice.key_settings import Credential, VaultSettings

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE_URLS = {
    "owner": "DATABASE_URL",
    "web": "JOBSERVICE_WEB_DATABASE_URL",
    "worker": "JOBSERVICE_WORKER_DATABASE_URL",
    "dispatcher": "JOBSERVICE_DISPATCHER_DATABASE_URL",
}
PROCESSES = tuple(DATABASE_URLS)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CONNECTIONS_FILE = "connections.json"
FILE_SUFFIX = "_FILE"
# These end in the suffix themselves: what they name is the file, not the value.
_NAMES_OF_FILES = frozenset({"JOBSERVICE_ROOT_KEY_FILE", "JOBSERVICE_MESSAGE_KEY_FILE", "JOBSERVICE_VAULT_CA_FILE"})


class ConfigurationError(Exception):
    """A setting is wrong. The text is one sentence per fault: it names the setting and the fix."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The checked values. Durations in seconds, sizes in bytes, paths absolute."""

    process: str
    data_dir: Path
    database_urls: dict[str, str]
    broker_url: str
    root_key_file: Path
    message_key_file: Path
    allowed_hosts: list[str]
    public_url: str
    egress_allow: tuple[Network, ...] | None
    egress_ports: tuple[int, ...]
    egress_schemes: tuple[str, ...]
    host: str
    port: int
    web_workers: int
    web_threads: int
    handler_processes: int
    egress_slots: int
    handlers: list[str]
    lease_seconds: float
    stop_grace_seconds: float
    log_format: str
    log_level: str
    metrics_dir: Path
    metrics_token: str = field(repr=False)
    metrics_host: str
    metrics_port: int | None
    restart_backoff_seconds: float = 30.0
    prepared_statements: bool = True
    crash_points_dir: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    # Given by whoever starts the process: an open socket to listen on, and where to say that it is ready.
    listen_fd: int | None = None
    notify_socket: str = ""
    # "file", "environment" or "vault", with the settings of the latter two.
    root_key_provider: str = key_settings.FILE
    root_keys: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    vault: VaultSettings = field(default_factory=VaultSettings)
    key_outage_seconds: float = 3600.0
    # Of people in the console: without a request, and at all.
    session_idle_seconds: float = 43_200.0
    session_seconds: int = 604_800
    # The server that sends mail, and whom it is from; empty: no mail is sent.
    smtp_url: str = field(default="", repr=False)
    mail_from: str = ""
    # A page that receives callbacks and shows them, of `make run` over a database of its own.
    dev_inbox: bool = False
    # Whether the first start of `make run` fills the tenant demo with jobs.
    demo: bool = True

    @property
    def database_url(self) -> str:
        """The address under which this process's role connects; empty when none is configured."""
        return self.database_urls.get(self.process, "")

    @property
    def public_origin(self) -> str:
        """The public address as browsers write an origin: lower case, no path, no port that goes without saying."""
        return env_checks.origin_of(self.public_url) if self.public_url else ""

    @property
    def connections_path(self) -> Path:
        return self.data_dir / CONNECTIONS_FILE


def load() -> Environment:
    """Read and check the environment.

    Raises `ConfigurationError` with one line per wrong variable.
    """
    _check_value_files()
    env = FileAwareEnv(eager=False, strip_whitespace=True)
    folder = env.str("JOBSERVICE_DATA_DIR", str(BASE_DIR / "var"), validate=env_checks.check_folder)
    values: dict[str, Any] = {
        "process": env.str("JOBSERVICE_PROCESS", "owner", validate=env_checks.one_of(PROCESSES)),
        "root_key_file": env.str("JOBSERVICE_ROOT_KEY_FILE", None, validate=env_checks.check_file),
        "message_key_file": env.str("JOBSERVICE_MESSAGE_KEY_FILE", None, validate=env_checks.check_file),
        "root_key_provider": env.str(
            "JOBSERVICE_ROOT_KEY_PROVIDER", key_settings.FILE, validate=env_checks.one_of(key_settings.PROVIDERS)
        ),
        "root_keys": env.str("JOBSERVICE_ROOT_KEYS", None, validate=key_settings.check_root_keys),
        "vault": _read_vault(env),
        "key_outage_seconds": env.float("JOBSERVICE_KEY_OUTAGE_SECONDS", 3600.0, **env_checks.seconds(0, 86_400)),
        "allowed_hosts": list(
            _read_list(
                env,
                "JOBSERVICE_ALLOWED_HOSTS",
                ("localhost", "127.0.0.1", "[::1]"),
                env_checks.read_allowed_host,
                least=1,
            )
        ),
        "public_url": env.str("JOBSERVICE_PUBLIC_URL", "", validate=env_checks.check_public_url),
        "egress_allow": _read_list(env, "JOBSERVICE_EGRESS_ALLOW", None, env_checks.read_network),
        # Proxies whose X-Forwarded-For is believed; nobody's unless the operator says so.
        "trusted_proxies": _read_list(env, "JOBSERVICE_TRUSTED_PROXIES", (), env_checks.read_network),
        "egress_ports": _read_list(env, "JOBSERVICE_EGRESS_PORTS", (443, 8443), env_checks.read_port),
        "egress_schemes": _read_list(env, "JOBSERVICE_EGRESS_SCHEMES", ("https",), env_checks.read_scheme),
        "host": env.str("JOBSERVICE_HOST", "127.0.0.1", validate=env_checks.check_listening_host),
        "port": env.int("PORT", 8000, **env_checks.whole_number(1, 65535)),
        "web_workers": env.int("JOBSERVICE_WEB_WORKERS", 2, **env_checks.whole_number(1, 64)),
        "web_threads": env.int("JOBSERVICE_WEB_THREADS", 8, **env_checks.whole_number(1, 256)),
        "handler_processes": env.int(
            "JOBSERVICE_HANDLER_PROCESSES", os.cpu_count() or 2, **env_checks.whole_number(1, 256)
        ),
        "egress_slots": env.int("JOBSERVICE_EGRESS_SLOTS", 200, **env_checks.whole_number(1, 5000)),
        "handlers": list(_read_list(env, "JOBSERVICE_HANDLERS", (), env_checks.read_module)),
        "lease_seconds": env.float("JOBSERVICE_LEASE_SECONDS", 30.0, **env_checks.seconds(1, 3600)),
        "stop_grace_seconds": env.float("JOBSERVICE_STOP_GRACE_SECONDS", 25.0, **env_checks.seconds(0, 3600)),
        "restart_backoff_seconds": env.float("JOBSERVICE_RESTART_BACKOFF_SECONDS", 30.0, **env_checks.seconds(0, 3600)),
        "log_format": env.str("JOBSERVICE_LOG_FORMAT", "console", validate=env_checks.one_of(("console", "json"))),
        "log_level": env.str("JOBSERVICE_LOG_LEVEL", "INFO", validate=env_checks.one_of(LOG_LEVELS)),
        # Off behind a pooler that keeps none between transactions.
        "prepared_statements": env.str(
            "JOBSERVICE_PREPARED_STATEMENTS", "on", validate=env_checks.one_of(("on", "off"))
        )
        == "on",
        "session_idle_seconds": env.float(
            "JOBSERVICE_SESSION_IDLE_SECONDS", 43_200.0, **env_checks.seconds(60, 604_800)
        ),
        "session_seconds": env.int("JOBSERVICE_SESSION_SECONDS", 604_800, **env_checks.whole_number(60, 2_592_000)),
        "smtp_url": env.str("JOBSERVICE_SMTP_URL", "", validate=env_checks.check_smtp_url),
        "mail_from": env.str("JOBSERVICE_MAIL_FROM", "", validate=env_checks.check_mail_address),
        "dev_inbox": env.str("JOBSERVICE_DEV_INBOX", "off", validate=env_checks.one_of(("on", "off"))) == "on",
        "demo": env.str("JOBSERVICE_DEMO", "on", validate=env_checks.one_of(("on", "off"))) == "on",
        "metrics_dir": env.str("JOBSERVICE_METRICS_DIR", None, validate=env_checks.check_folder),
        "metrics_token": env.str("JOBSERVICE_METRICS_TOKEN", "", validate=env_checks.check_metrics_token),
        "metrics_host": env.str("JOBSERVICE_METRICS_HOST", "127.0.0.1", validate=env_checks.check_listening_host),
        "metrics_port": env.int("JOBSERVICE_METRICS_PORT", None, **env_checks.whole_number(1, 65535)),
        # For tests only: in this folder files name places where a process ends itself.
        "crash_points_dir": env.str("JOBSERVICE_CRASH_POINTS_DIR", None, validate=env_checks.check_folder),
        "listen_fd": env.int("JOBSERVICE_LISTEN_FD", None, **env_checks.whole_number(3, 1_000_000)),
        "notify_socket": env.str("NOTIFY_SOCKET", ""),
    }
    own_urls = {
        role: env.str(variable, "", validate=env_checks.check_database_url) for role, variable in DATABASE_URLS.items()
    }
    broker_url = env.str("BROKER_URL", "", validate=env_checks.check_broker_url)
    try:
        env.seal()
    except EnvError as error:
        raise ConfigurationError(_sentences(error)) from None
    if values["dev_inbox"] and any(own_urls.values()):
        raise ConfigurationError(
            "JOBSERVICE_DEV_INBOX: the inbox is for `make run` with its own database only; unset it, or DATABASE_URL."
        )
    data_dir = Path(folder).absolute()
    stored = _read_connections(data_dir / CONNECTIONS_FILE)
    values["root_key_file"] = Path(values["root_key_file"] or data_dir / "root.key").absolute()
    values["message_key_file"] = Path(values["message_key_file"] or data_dir / "message.key").absolute()
    values["crash_points_dir"] = values["crash_points_dir"] and Path(values["crash_points_dir"])
    values["metrics_dir"] = Path(values["metrics_dir"] or data_dir / "metrics").absolute()
    values["root_keys"] = key_settings.read_root_keys(values["root_keys"] or "")
    if values["process"] != "dispatcher":  # which opens nothing
        _check_provider(values)
    return Environment(
        data_dir=data_dir,
        database_urls={role: own_urls[role] or stored.get(role, "") for role in PROCESSES},
        broker_url=broker_url or stored.get("broker", ""),
        **values,
    )


def _read_vault(env: FileAwareEnv) -> VaultSettings:
    ca_file = env.str("JOBSERVICE_VAULT_CA_FILE", None, validate=env_checks.check_readable_file)
    return VaultSettings(
        url=env.str("JOBSERVICE_VAULT_URL", "", validate=key_settings.check_vault_url),
        namespace=env.str("JOBSERVICE_VAULT_NAMESPACE", "", validate=key_settings.check_vault_path),
        mount=env.str("JOBSERVICE_VAULT_MOUNT", "transit", validate=key_settings.check_vault_path),
        key=env.str("JOBSERVICE_VAULT_KEY", "jobservice", validate=key_settings.check_vault_key),
        token=_read_credential(env, "JOBSERVICE_VAULT_TOKEN"),
        role_id=env.str("JOBSERVICE_VAULT_ROLE_ID", "", validate=key_settings.check_vault_secret),
        secret_id=_read_credential(env, "JOBSERVICE_VAULT_SECRET_ID"),
        approle_mount=env.str("JOBSERVICE_VAULT_APPROLE_MOUNT", "approle", validate=key_settings.check_vault_path),
        ca_file=Path(ca_file) if ca_file else None,
        timeout_seconds=env.float("JOBSERVICE_VAULT_TIMEOUT_SECONDS", 2.0, **env_checks.seconds(0.1, 30)),
    )


def _read_credential(env: FileAwareEnv, name: str) -> Credential:
    path = os.environ.get(name + FILE_SUFFIX)
    return Credential(env.str(name, "", validate=key_settings.check_vault_secret), Path(path) if path else None)


def _check_provider(values: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` when the chosen provider of the root key lacks a setting."""
    faults = key_settings.find_faults(values["root_key_provider"], root_keys=values["root_keys"], vault=values["vault"])
    if faults:
        raise ConfigurationError("\n".join(faults))


def _read_list(
    env: FileAwareEnv, name: str, default: tuple[Any, ...] | None, read: Callable[[str], Any], *, least: int = 0
) -> Any:
    """A tuple of the checked parts between commas; when the variable is not set at all, the default."""
    # As a text: environs keeps of a list's faults only their places.
    text = env.str(name, None, validate=lambda text: env_checks.check_parts(text, read, least=least))
    return default if text is None else tuple(read(part) for part in env_checks.split_parts(text))


def _check_value_files() -> None:
    """Raise `ConfigurationError` when a variable names a file for its value that cannot be read."""
    faults = []
    for name, path in sorted(os.environ.items()):
        if name.removesuffix(FILE_SUFFIX) == name or name in _NAMES_OF_FILES or not path:
            continue
        if name.startswith("JOBSERVICE_") or name.removesuffix(FILE_SUFFIX) in ("PORT", "DATABASE_URL", "BROKER_URL"):
            try:
                Path(path).read_text()
            except (OSError, ValueError) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
                faults.append(f"{name}: {path} cannot be read ({reason}); name a file that holds the value.")
    if faults:
        raise ConfigurationError("\n".join(faults))


def _sentences(error: EnvError) -> str:
    faults = getattr(error, "error_messages", None)
    if not faults:
        return str(error)
    return "\n".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in faults.items())


def _read_connections(path: Path) -> dict[str, str]:
    """The addresses written by `manage.py up`; none when it has not run here."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(
            f"JOBSERVICE_DATA_DIR: {path} cannot be read ({error.strerror}); run as the user that owns it."
        ) from None
    try:
        content = json.loads(text)
    except ValueError:
        raise ConfigurationError(f"{path} is not valid JSON; remove it and run `make run` again.") from None
    return {str(role): str(url) for role, url in content.items()}
