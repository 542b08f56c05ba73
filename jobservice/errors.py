"""The domain's errors, one tree. Each has a stable `code` and a sentence; `api/errors.py` maps them to HTTP.

JobserviceError
├── Invalid            a value from outside breaks a rule; carries one Fault per rule broken
├── UnknownJobType     no such type for this tenant
├── Forbidden          the caller's key does not reach that far
├── EgressRefused      a URL the service will not dial
├── NotFound           no such object for this tenant (another tenant's object is the same)
├── Conflict           the object's state forbids it
├── TooManyTries       somebody tries to log in too often
├── QuotaExceeded      the tenant holds as much as it may
├── Unavailable        a dependency (database, key) is away; try again later
│   └── KeyProviderAway  the service that keeps the root key does not answer, and nothing kept serves in its place
├── SealingError       a key or a sealed value is not what it must be
│   └── Unreadable     a sealed value does not open under the key and place it claims
│       └── KeyNotHeld the version of the key that it claims is not at hand: newer than what was loaded, or retired
└── ClaimLost          a guarded write found another epoch or state: somebody else owns the job now
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class JobserviceError(Exception):
    """Root of the tree. `detail` is one sentence for a person and holds no secret."""

    code = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule: where (an RFC 6901 pointer into the request), which rule, and a sentence."""

    pointer: str
    code: str
    detail: str


class Invalid(JobserviceError):
    code = "invalid"

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("The request has invalid values.")
        self.faults = faults


class UnknownJobType(JobserviceError):
    code = "unknown-job-type"


class Forbidden(JobserviceError):
    code = "forbidden"


class EgressRefused(JobserviceError):
    """`reason` is the kind of rule, to be counted: url, header, name, address, origin (scheme and port) or own."""

    code = "egress-refused"

    def __init__(self, detail: str, *, reason: str = "url") -> None:
        super().__init__(detail)
        self.reason = reason


class NotFound(JobserviceError):
    code = "not-found"


class Conflict(JobserviceError):
    code = "conflict"


class TooManyTries(JobserviceError):
    code = "rate-limited"

    def __init__(self, detail: str, *, retry_seconds: int) -> None:
        super().__init__(detail)
        self.retry_seconds = retry_seconds


class QuotaExceeded(JobserviceError):
    """`quota` is its name in tenants/quotas.py; `resets_at` is when it frees by itself, None: by the tenant's acts.

    `pointer` is the field of the request that asks for more, where it is one field.
    """

    code = "quota-exceeded"

    def __init__(
        self, quota: str, *, limit: int, used: int, resets_at: datetime | None = None, pointer: str | None = None
    ) -> None:
        super().__init__(f"The tenant's quota {quota} is {limit}, and {used} are in use.")
        self.quota = quota
        self.limit = limit
        self.used = used
        self.resets_at = resets_at
        self.pointer = pointer


class Unavailable(JobserviceError):
    code = "unavailable"


class KeyProviderAway(Unavailable):
    """`code` stays `unavailable`. `cause` is a sentence for the operator; callers are not told what our inside is."""

    def __init__(self, cause: str) -> None:
        super().__init__("The service that keeps the keys does not answer; try again.")
        self.cause = cause


class SealingError(JobserviceError):
    code = "sealing"


class Unreadable(SealingError):
    code = "unreadable"


class KeyNotHeld(Unreadable):
    """`code` stays `unreadable`: to a caller it is the same."""


class ClaimLost(JobserviceError):
    code = "lease-lost"
