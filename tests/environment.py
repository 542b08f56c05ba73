"""A pytest plugin, loaded before Django's settings: a database, key files and a data folder for this test run alone.

Without `TEST_DATABASE_URL` (a superuser's address) it starts a throw-away PostgreSQL from the embedded wheel. The
workers of pytest-xdist inherit what the first process made.
"""

from __future__ import annotations

from jobservice.testing.setup import prepare_environment

prepare_environment(JOBSERVICE_EGRESS_ALLOW="127.0.0.0/8,::1/128")
