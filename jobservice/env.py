"""Every environment variable the service reads: one table, each with its default, its meaning and its check.

`load()` reads them all and reports every bad value at once; nothing else in the project reads `os.environ` for
configuration. Connection addresses that `manage.py up` generates come from `connections.json` in the data folder.
"""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import EnvError, FileAwareEnv, ValidationError, validate

BASE_DIR = Path(__file__).resolve().parent.parent
PROCESSES = ("owner", "web", "worker", "dispatcher")
CONNECTIONS_FILE = "connections.json"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def database_url(self) -> str:
        """The address under which this process's role connects; empty when none is configured."""
        return self.database_urls.get(self.process, "")

    @property
    def connections_path(self) -> Path:
        return self.data_dir / CONNECTIONS_FILE


def load() -> Environment:
    """Read and check the environment.

    Raises `ConfigurationError` with one line per wrong variable.
    """
    env = FileAwareEnv(eager=False)
    data_dir = env.path("JOBSERVICE_DATA_DIR", BASE_DIR / "var")
    process = env.str("JOBSERVICE_PROCESS", "owner", validate=validate.OneOf(PROCESSES))
    values: dict[str, Any] = {
        "process": process,
        "root_key_file": env.path("JOBSERVICE_ROOT_KEY_FILE", None),
        "message_key_file": env.path("JOBSERVICE_MESSAGE_KEY_FILE", None),
        "allowed_hosts": env.list("JOBSERVICE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"]),
        "public_url": env.str("JOBSERVICE_PUBLIC_URL", "", validate=_check_public_url),
        "egress_allow": _networks(env),
        # Proxies whose X-Forwarded-For is believed; nobody's unless the operator says so.
        "trusted_proxies": tuple(env.list("JOBSERVICE_TRUSTED_PROXIES", [], subcast=_network) or ()),
        "egress_ports": tuple(env.list("JOBSERVICE_EGRESS_PORTS", [443, 8443], subcast=_port) or ()),
        "egress_schemes": tuple(env.list("JOBSERVICE_EGRESS_SCHEMES", ["https"], subcast=_scheme) or ()),
        "host": env.str("JOBSERVICE_HOST", "127.0.0.1"),
        "port": env.int("PORT", 8000, validate=validate.Range(1, 65535)),
        "web_workers": env.int("JOBSERVICE_WEB_WORKERS", 2, validate=validate.Range(1, 64)),
        "web_threads": env.int("JOBSERVICE_WEB_THREADS", 8, validate=validate.Range(1, 256)),
        "handler_processes": env.int(
            "JOBSERVICE_HANDLER_PROCESSES", os.cpu_count() or 2, validate=validate.Range(1, 256)
        ),
        "egress_slots": env.int("JOBSERVICE_EGRESS_SLOTS", 200, validate=validate.Range(1, 5000)),
        "handlers": env.list("JOBSERVICE_HANDLERS", []),
        "lease_seconds": env.float("JOBSERVICE_LEASE_SECONDS", 30.0, validate=validate.Range(1, 3600)),
        "stop_grace_seconds": env.float("JOBSERVICE_STOP_GRACE_SECONDS", 25.0, validate=validate.Range(0, 3600)),
        "log_format": env.str("JOBSERVICE_LOG_FORMAT", "console", validate=validate.OneOf(("console", "json"))),
        "log_level": env.str(
            "JOBSERVICE_LOG_LEVEL", "INFO", validate=validate.OneOf(("DEBUG", "INFO", "WARNING", "ERROR"))
        ),
        "metrics_dir": env.path("JOBSERVICE_METRICS_DIR", None),
        "metrics_token": env.str("JOBSERVICE_METRICS_TOKEN", "", validate=_check_metrics_token),
        "metrics_host": env.str("JOBSERVICE_METRICS_HOST", "127.0.0.1"),
        "metrics_port": env.int("JOBSERVICE_METRICS_PORT", None, validate=validate.Range(1, 65535)),
    }
    own_urls = {
        "owner": env.str("DATABASE_URL", "", validate=_check_database_url),
        "web": env.str("JOBSERVICE_WEB_DATABASE_URL", "", validate=_check_database_url),
        "worker": env.str("JOBSERVICE_WORKER_DATABASE_URL", "", validate=_check_database_url),
        "dispatcher": env.str("JOBSERVICE_DISPATCHER_DATABASE_URL", "", validate=_check_database_url),
    }
    broker_url = env.str("BROKER_URL", "", validate=_check_broker_url)
    try:
        env.seal()
    except EnvError as error:
        raise ConfigurationError(_sentences(error)) from None
    data_dir = Path(data_dir).absolute()
    stored = _read_connections(data_dir / CONNECTIONS_FILE)
    values["root_key_file"] = Path(values["root_key_file"] or data_dir / "root.key").absolute()
    values["message_key_file"] = Path(values["message_key_file"] or data_dir / "message.key").absolute()
    values["metrics_dir"] = Path(values["metrics_dir"] or data_dir / "metrics").absolute()
    return Environment(
        data_dir=data_dir,
        database_urls={role: own_urls[role] or stored.get(role, "") for role in PROCESSES},
        broker_url=broker_url or stored.get("broker", ""),
        **values,
    )


def _networks(env: FileAwareEnv) -> tuple[Network, ...] | None:
    """CIDRs the egress may dial beyond public addresses; None when the variable is not set at all."""
    if "JOBSERVICE_EGRESS_ALLOW" not in os.environ:
        return None
    return tuple(env.list("JOBSERVICE_EGRESS_ALLOW", [], subcast=_network) or ())


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValidationError(f"{text.strip()!r} is not a network such as 10.0.0.0/8.") from None


def _port(text: str | int) -> int:
    if not str(text).strip().isdigit() or not 1 <= int(text) <= 65535:
        raise ValidationError(f"{text!r} is not a port between 1 and 65535.")
    return int(text)


def _scheme(text: str) -> str:
    if text not in ("http", "https"):
        raise ValidationError(f"{text!r} is neither http nor https.")
    return text


def _check_database_url(value: str) -> None:
    if value and urlsplit(value).scheme not in ("postgres", "postgresql"):
        raise ValidationError("must be a postgresql:// address.")


def _check_broker_url(value: str) -> None:
    known = ("amqp", "amqps", "pyamqp", "redis", "rediss", "redis+socket")
    if value and urlsplit(value).scheme not in known:
        raise ValidationError(f"must start with one of {', '.join(known)} and then ://.")


def _check_public_url(value: str) -> None:
    if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
        raise ValidationError("must be an http:// or https:// address.")


def _check_metrics_token(value: str) -> None:
    if value and (len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value):
        raise ValidationError("must be at least 16 printable ASCII characters without spaces.")


def _sentences(error: EnvError) -> str:
    faults = getattr(error, "error_messages", None)
    if not faults:
        return str(error)
    return "\n".join(f"{name}: {' '.join(str(text) for text in texts)}" for name, texts in faults.items())


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
