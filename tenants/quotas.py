"""What a tenant may hold or use: the names, the defaults and the reading of a tenant's own values."""

from __future__ import annotations

from collections.abc import Mapping

from jobservice.errors import Fault, Invalid

# None is no limit. Sizes in bytes.
DEFAULTS: Mapping[str, int | None] = {
    "open_jobs": 100_000,
    "jobs_per_day": None,
    "stored_bytes": 10 * 1024**3,
    "payload_bytes": 1024**2,
    "running": 200,
    "queues": 100,
    "job_types": 100,
    "webhook_endpoints": 50,
    "schedules": 100,
    "api_keys": 50,
    "requests_per_second": 1_000,
}
# The service's own bound on one payload, whatever a tenant's quota says.
PAYLOAD_BYTES_CEILING = 8 * 1024**2


def limit_of(quotas: Mapping[str, int | None], name: str) -> int | None:
    """The tenant's limit of this name, or the default; None is no limit."""
    return quotas[name] if name in quotas else DEFAULTS[name]


def payload_bytes_limit(quotas: Mapping[str, int | None]) -> int:
    """How large one payload of the tenant may be; without a limit of its own, the service's."""
    limit = limit_of(quotas, "payload_bytes")
    return PAYLOAD_BYTES_CEILING if limit is None else limit


def all_limits(quotas: Mapping[str, int | None]) -> dict[str, int | None]:
    """Every limit of the tenant by its name."""
    return {name: limit_of(quotas, name) for name in DEFAULTS}


def parse_quota(text: str) -> tuple[str, int | None]:
    """Read `name=value` of the command line; `null` is no limit. Raises `Invalid`."""
    name, _, value = text.partition("=")
    if name not in DEFAULTS:
        raise _invalid(name, f"{name!r} is not a quota; the names are {', '.join(DEFAULTS)}.")
    if value == "null" and name != "payload_bytes":
        return name, None
    if not value.isdigit() or (name == "payload_bytes" and int(value) > PAYLOAD_BYTES_CEILING):
        ceiling = f" up to {PAYLOAD_BYTES_CEILING}" if name == "payload_bytes" else ", or null for no limit"
        raise _invalid(name, f"{name} must be a whole number{ceiling}.")
    return name, int(value)


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid([Fault(f"/{name}", "bad-format", detail)])
