"""What a tenant may hold or use: the names, the defaults and the reading of a tenant's own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jobservice.errors import Fault, Invalid

Quotas = Mapping[str, int | None]
# None is no limit. Sizes in bytes.
DEFAULTS: Quotas = {
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
# Those that refuse what goes beyond them. The others are shown and can be set, and hold nobody back yet.
ENFORCED = frozenset(
    {
        "open_jobs",
        "jobs_per_day",
        "stored_bytes",
        "payload_bytes",
        "running",
        "queues",
        "job_types",
        "webhook_endpoints",
        "api_keys",
        "requests_per_second",
    }
)
# The service's own bound on one payload, whatever a tenant's quota says.
PAYLOAD_BYTES_CEILING = 8 * 1024**2
# Statements read a quota as a bigint.
MOST_DIGITS = 18


def limit_of(quotas: Quotas, name: str) -> int | None:
    """The tenant's limit of this name, or the default; None is no limit."""
    return quotas[name] if name in quotas else DEFAULTS[name]


@dataclass(frozen=True, slots=True)
class VolumeLimits:
    """How much a tenant may hold and have accepted; None is no limit."""

    open_jobs: int | None = DEFAULTS["open_jobs"]
    jobs_per_day: int | None = DEFAULTS["jobs_per_day"]
    stored_bytes: int | None = DEFAULTS["stored_bytes"]


DEFAULT_VOLUME = VolumeLimits()


def volume_limits(quotas: Quotas) -> VolumeLimits:
    """The tenant's quotas of volume."""
    return VolumeLimits(
        open_jobs=limit_of(quotas, "open_jobs"),
        jobs_per_day=limit_of(quotas, "jobs_per_day"),
        stored_bytes=limit_of(quotas, "stored_bytes"),
    )


def payload_bytes_limit(quotas: Quotas) -> int:
    """How large one payload of the tenant may be; without a limit of its own, the service's."""
    limit = limit_of(quotas, "payload_bytes")
    return PAYLOAD_BYTES_CEILING if limit is None else limit


def all_limits(quotas: Quotas) -> dict[str, int | None]:
    """Every limit of the tenant by its name."""
    return {name: limit_of(quotas, name) for name in DEFAULTS}


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """Values to set, and names whose value is to leave, so that what is below it holds."""

    values: Quotas = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    def apply_to(self, quotas: Quotas) -> Quotas:
        """The quotas after the change."""
        return {name: value for name, value in {**quotas, **self.values}.items() if name not in self.removed}


def parse_change(texts: Iterable[str]) -> QuotaChange:
    """Read `name=value …` of the command line: `null` is no limit, nothing removes; the last of a name counts.

    Raises `Invalid` with all faults.
    """
    wanted, faults = {}, []
    for text in texts:
        name, _, value = text.partition("=")
        if detail := _find_fault(name, value, is_pair="=" in text):
            faults.append(Fault(f"/{name}", "bad-format", detail))
        wanted[name] = value
    if faults:
        raise Invalid(faults)
    values = {name: None if value == "null" else int(value) for name, value in wanted.items() if value}
    return QuotaChange(values, frozenset(wanted.keys() - values.keys()))


def _find_fault(name: str, value: str, *, is_pair: bool) -> str | None:
    if name not in DEFAULTS:
        return f"{name!r} is not a quota; the names are {', '.join(DEFAULTS)}."
    is_bounded = name == "payload_bytes"
    if (is_pair and value == "") or (value == "null" and not is_bounded):
        return None
    is_number = value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS
    if is_number and not (is_bounded and int(value) > PAYLOAD_BYTES_CEILING):
        return None
    ceiling = f" up to {PAYLOAD_BYTES_CEILING}" if is_bounded else ", or null for no limit"
    return f"{name} must be a whole number{ceiling}."


def show_quotas(quotas: Quotas) -> list[str]:
    """`name = value` of each, by name."""
    return [f"{name} = {'null' if value is None else value}" for name, value in sorted(quotas.items())]
