"""Which crash points are tried together: one process of each kind dies in a wave, so that faults overlap.

A job whose process dies under it three times is held: hence one point of the handler processes in a wave, and one of
the egress, so that no job can be hit three times.
"""

from __future__ import annotations

WAVES: tuple[tuple[str, ...], ...] = (
    # A message that was taken and forgotten: its claims come back when their lease ends.
    ("message.taken", "reap.before_return", "idempotency.claimed", "deliver.recorded"),
    ("start.before_commit", "reap.returned", "idempotency.kept", "deliver.before_commit"),
    # The egress dies with http jobs in flight: a crash of each is counted when its lease ends.
    ("start.after_commit", "http.before_send", "reap.before_commit", "accept.before_insert"),
    ("board.opened", "http.after_response", "reap.after_commit", "accept.before_commit"),
    ("board.admitted", "deliver.before_send", "deliver.reaped", "accept.after_commit"),
    # A handler process dies, and its parent while it sees to that.
    ("handler.before_run", "keeper.before_settle", "dispatch.claimed", "idempotency.committed", "flights.admitted"),
    ("handler.after_run", "keeper.blamed", "dispatch.before_publish", "accept.sealed", "http.prepared"),
    ("board.done", "watchdog.buried", "presence.registered", "dispatch.published", "notify.before_send"),
    ("record.sealed", "keeper.before_renew", "stage.before_commit", "flights.renewed"),
    ("record.after_lock", "keeper.renewed", "stage.after_commit", "deliver.before_start"),
    ("record.ended", "dispatch.surveyed", "deliver.started"),
    ("record.requeued", "deliver.claimed", "deliver.after_answer"),
    ("record.before_commit", "chores.acted", "deliver.after_lock"),
    ("record.after_commit", "flights.recorded"),
    ("board.before_settled",),
    ("board.before_close",),
)

# Each of these needs something done to it, and has a test of its own.
ALONE = frozenset({
    "dispatch.before_give_back",
    "dispatch.given_back",
    "release.before_commit",
    "release.after_commit",
    "watchdog.killed",
    "lanes.before_sleep",
    "cancel.before_commit",
    "retry.before_commit",
    "expire.before_commit",
})  # fmt: skip

EXERCISED = frozenset(point for wave in WAVES for point in wave) | ALONE

# Whose death brings these about, should the mixture of jobs alone not do it.
PROVOKED_BY = {
    "keeper.before_settle": "child",
    "keeper.blamed": "child",
    "watchdog.buried": "child",
    "reap.before_return": "handlers",
    "reap.returned": "handlers",
    "reap.before_commit": "egress",
    "reap.after_commit": "egress",
    "deliver.reaped": "egress",
    "presence.registered": "egress",
}
