"""The events that an endpoint can be told of. A name is a promise: it never changes what it means."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

ALL = "*"
ENDPOINT_DISABLED = "endpoint.disabled"
QUOTA_WARNING = "quota.warning"
RETRYING = "job.retrying"
TEST = "webhook.test"

EVENT_TYPES: Mapping[str, str] = {
    "job.completed": gettext_noop("A job is completed."),
    "job.discarded": gettext_noop(
        "A job has failed for good: its attempts are used up, or another try makes no sense."
    ),
    "job.cancelled": gettext_noop("A job is cancelled."),
    "job.suspended": gettext_noop("A job is held: it crashed too often, or its type was switched off."),
    RETRYING: gettext_noop("An attempt of a job has failed, and the job will be tried again."),
    ENDPOINT_DISABLED: gettext_noop(
        "An endpoint of the tenant is disabled: it answered 410, or every try failed for five days."
    ),
    QUOTA_WARNING: gettext_noop("A quota of the tenant is used to 80 %."),
}
# All that is ever sent: nobody asks for a test in advance.
SENT_TYPES: Mapping[str, str] = {**EVENT_TYPES, TEST: gettext_noop("Somebody has an endpoint tested.")}
