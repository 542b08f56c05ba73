"""Idempotency keys: a request that is sent again is the same request.

IETF draft-ietf-httpapi-idempotency-key-header-07.
1. `claim_key` takes an advisory lock until the transaction ends: a twin at the same moment is refused at once.
2. It looks for the key: the answer kept under it is given back; another body under the same key is refused.
3. `keep_answer` stores the answer, sealed, in the transaction that did the work. Who rolls back keeps nothing.
The key, the operation and the body are stored as hashes under the tenant's index key only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from django.db import IntegrityError, transaction

from jobservice.crash_points import crash_point
from jobservice.crypto.keyed_hash import keyed_hash
from jobservice.errors import JobserviceError
from jobservice.statements import run_statement
from tenants.data_keys import open_column, seal_column, tenant_keys

KEEP_SECONDS = 24 * 3600
PRUNE_LIMIT = 1000
_SQL = Path(__file__).resolve().parent / "sql"
_TABLE, _COLUMN = "idempotency_key", "answer_sealed"


class IdempotencyKeyInUse(JobserviceError):
    """The first request under this key has not ended yet."""

    code = "idempotency-key-in-use"


class IdempotencyKeyReused(JobserviceError):
    """The key belongs to a request with another body."""

    code = "idempotency-key-reused"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to the first request, to be given again byte for byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClaimedKey:
    """A key of this transaction, and the answer already kept under it, if any."""

    tenant_id: UUID
    hash: bytes
    fingerprint: bytes
    answer: KeptAnswer | None


def claim_key(tenant_id: UUID, key: str, *, operation: str, body: object) -> ClaimedKey:
    """Claim a key for one operation and one parsed JSON body, in the tenant's transaction.

    Raises `IdempotencyKeyInUse` and `IdempotencyKeyReused`.
    """
    index_key = tenant_keys(tenant_id).index
    hashed = keyed_hash(index_key, "idempotency-key", operation.encode(), key.encode())
    fingerprint = keyed_hash(index_key, "idempotency-body", canonical_json(body))
    lock = int.from_bytes(hashed[:8], signed=True)
    # Two statements: what the second one sees was committed before the lock was ours.
    (locked,) = run_statement(_SQL / "lock_idempotency_key.sql", {"lock": lock})
    if not locked.is_ours:
        raise _in_use()
    rows = run_statement(
        _SQL / "find_idempotency_key.sql", {"tenant": tenant_id, "hash": hashed, "keep_seconds": KEEP_SECONDS}
    )
    crash_point("idempotency.claimed")
    if not rows:
        return ClaimedKey(tenant_id, hashed, fingerprint, None)
    (row,) = rows
    if bytes(row.fingerprint) != fingerprint:
        raise IdempotencyKeyReused("The Idempotency-Key was used with another body; use a new key for a new request.")
    return ClaimedKey(tenant_id, hashed, fingerprint, _open(tenant_id, hashed, row.status, bytes(row.answer_sealed)))


def keep_answer(claimed: ClaimedKey, answer: KeptAnswer) -> None:
    """Store the answer under the claimed key, in the same transaction. Raises `IdempotencyKeyInUse`."""
    parameters = {**_row(claimed, answer), "keep_seconds": KEEP_SECONDS}
    try:
        kept = run_statement(_SQL / "keep_idempotency_key.sql", parameters)
    except IntegrityError:
        raise _in_use() from None
    if not kept:
        # The lock makes this impossible; were it not held, the twin's answer must stand and ours be undone.
        raise _in_use()
    crash_point("idempotency.kept")


def replace_answer(claimed: ClaimedKey, answer: KeptAnswer) -> None:
    """Store the answer in place of the one that was kept when the request began, for what takes several transactions.

    Of a key that has left by age, or with its tenant, nothing is kept.
    """
    run_statement(_SQL / "replace_idempotent_answer.sql", _row(claimed, answer))


def prune_idempotency_keys() -> int:
    """Remove a batch of keys that are past their day. The number removed. Run by the dispatcher."""
    with transaction.atomic():
        return len(
            run_statement(_SQL / "prune_idempotency_keys.sql", {"keep_seconds": KEEP_SECONDS, "limit": PRUNE_LIMIT})
        )


def canonical_json(value: object) -> bytes:
    """One text for all ways to write the same JSON value: sorted members, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _row(claimed: ClaimedKey, answer: KeptAnswer) -> dict[str, object]:
    plaintext = json.dumps(dict(answer.headers)).encode() + b"\n" + answer.body
    row_id = _row_id(claimed.hash)
    return {
        "tenant": claimed.tenant_id,
        "hash": claimed.hash,
        "fingerprint": claimed.fingerprint,
        "status": answer.status,
        "answer": seal_column(claimed.tenant_id, table=_TABLE, column=_COLUMN, row_id=row_id, plaintext=plaintext),
    }


def _open(tenant_id: UUID, hashed: bytes, status: int, sealed: bytes) -> KeptAnswer:
    plaintext = open_column(tenant_id, table=_TABLE, column=_COLUMN, row_id=_row_id(hashed), sealed=sealed)
    headers, _, body = plaintext.partition(b"\n")
    return KeptAnswer(status, json.loads(headers), body)


def _row_id(hashed: bytes) -> UUID:
    """The row has no id of its own: half of its hash names it in the seal."""
    return UUID(bytes=hashed[:16])


def _in_use() -> IdempotencyKeyInUse:
    return IdempotencyKeyInUse("A request with this Idempotency-Key is still being answered; try again in a moment.")
