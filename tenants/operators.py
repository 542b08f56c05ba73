"""Operators of the installation in the console: for whom the database lets the web see and change what is theirs.

The web's role sees one tenant at a time. For figures of all tenants it calls functions that run as the owner; they, a
trigger of `tenant` and policies of `plan` and `health_report` want the key of a living session of an operator with a
second factor, and know no other proof: `sql/operators.sql` says why. The key opens the console, so that it goes to the
database as a parameter of a statement and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from jobservice.crypto.root_key import fingerprint_version
from jobservice.errors import Fault, Invalid
from jobservice.field_checks import is_storable
from jobservice.statements import run_statement
from tenants.context import set_local, tenant_tx
from tenants.models import Account, HealthReport, Installation, Plan
from tenants.quotas import Quotas

_SQL = Path(__file__).resolve().parent / "sql"
MOST_REASON = 200
ROTATIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """An operator who is logged in. `key`: of the session, as the browser's cookie has it."""

    account_id: UUID
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """A tenant's data key between two versions."""

    tenant_id: UUID
    name: str
    old_version: int
    new_version: int
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class KeyProgress:
    """`in_use`: the version of the root key that wraps now; `keys`: by version, how many keys are wrapped under it."""

    in_use: int
    keys: dict[int, int]
    rotations: list[KeyRotation]


@contextmanager
def operator_tx(session: OperatorSession, tenant_id: UUID | None = None) -> Iterator[None]:
    """A transaction for an operator, of this tenant or of none: the verbs of the commands run in it as they are."""
    with transaction.atomic() if tenant_id is None else tenant_tx(tenant_id):
        set_local("app.operator", session.key)
        yield


def parse_reason(text: str) -> str:
    """Why an operator does something, for the tenant's log. Raises `Invalid`."""
    reason = text.strip()
    if not 0 < len(reason) <= MOST_REASON or not reason.isprintable() or not is_storable(reason):
        wrong = _("The reason has 1 to %(most)s printable characters.") % {"most": MOST_REASON}
        raise Invalid([Fault("/reason", "bad-format", wrong)])
    return reason


def read_plans(session: OperatorSession) -> dict[str, Quotas]:
    """The quotas of each plan, by name."""
    with operator_tx(session):
        return {plan.name: plan.quotas for plan in Plan.objects.order_by("name")}


def read_key_progress(session: OperatorSession) -> KeyProgress:
    """How far rotations of the root key and of tenants' keys are."""
    of_session = {"session_key": session.key}
    rows = run_statement(_SQL / "key_progress.sql", of_session)
    rotations = run_statement(_SQL / "key_rotations.sql", {**of_session, "limit": ROTATIONS_SHOWN})
    fingerprint = Installation.objects.values_list("root_key_fingerprint", flat=True).get()
    return KeyProgress(
        in_use=fingerprint_version(fingerprint),
        keys={row.root_version: row.keys for row in rows},
        rotations=[KeyRotation(*row) for row in rotations],
    )


def read_health(session: OperatorSession) -> HealthReport:
    """What the checks found last, and whether somebody asked for them anew."""
    with operator_tx(session):
        return HealthReport.objects.get()


def ask_for_examination(session: OperatorSession) -> None:
    """Let a dispatcher carry out the checks; one wish stands for all until it is fulfilled, or came to nothing."""
    with operator_tx(session):
        open_to_wishes = HealthReport.objects.filter(Q(wanted_at=None) | Q(failure__isnull=False))
        open_to_wishes.update(wanted_at=Now(), taken_at=None, failure=None)


def take_examination(*, forgotten_seconds: float) -> datetime | None:
    """When this process took the wish for the checks, and so is the one to carry them out; None when there is none.

    After `forgotten_seconds` whoever took it is thought to be dead. As the dispatcher.
    """
    rows = run_statement(_SQL / "take_examination.sql", {"forgotten": forgotten_seconds})
    return rows[0].taken_at if rows else None


def fail_examination(taken_at: datetime, failure: str) -> bool:
    """Note why the wish that was taken then came to nothing; False when it was fulfilled. As the dispatcher.

    `failure`: not-begun, cannot-look or too-long.
    """
    return bool(HealthReport.objects.filter(taken_at=taken_at).update(failure=failure))


def read_clock() -> datetime:
    """Now, by the database's clock, which wishes go by."""
    now: datetime = run_statement(_SQL / "read_clock.sql", {})[0].now
    return now


def keep_findings(findings: list[dict[str, Any]], *, begun_at: datetime) -> None:
    """Keep what the checks found, in place of what they found before. As the owner.

    A wish from after their begin, by the database's clock, stands: they may not have seen what it is about.
    """
    with transaction.atomic():
        HealthReport.objects.update(findings=findings, examined_at=Now())
        HealthReport.objects.filter(wanted_at__lt=begun_at).update(wanted_at=None, taken_at=None, failure=None)


def name_operators(account_ids: set[UUID]) -> dict[UUID, str]:
    """The addresses of these accounts."""
    return dict(Account.objects.filter(id__in=account_ids).values_list("id", "email"))
