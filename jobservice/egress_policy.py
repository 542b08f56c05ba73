"""What the service may dial, as the operator set it: for the check when a URL is written and for the egress worker."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from jobservice.egress.policy import EgressPolicy, build_policy


@lru_cache(maxsize=1)
def egress_policy() -> EgressPolicy:
    """The policy of this process."""
    return build_policy(settings.ENVIRONMENT)
