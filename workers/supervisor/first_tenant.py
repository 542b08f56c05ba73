"""The tenant `demo` of the first start, so that there is a key to try the service with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jobservice.env import ConfigurationError, Environment
from workers.supervisor.children import ChildSpec
from workers.supervisor.folders import write_private
from workers.supervisor.plan import Plan, plan_operator_command
from workers.supervisor.provision import has_tenants

NAME = "demo"
KEY_FILE = "demo-api-key"


def key_path(environment: Environment) -> Path:
    return environment.data_dir / KEY_FILE


def make_first_tenant(
    owner_url: str, environment: Environment, *, plan: Plan, run_once: Callable[[ChildSpec], str]
) -> str:
    """Make the demo tenant and keep its key (mode 0600) when there is no tenant at all.

    Returns the key, or an empty text when there were tenants. Raises `ConfigurationError` when it cannot be made.
    """
    if has_tenants(owner_url):
        return ""
    spec = plan_operator_command(("create_tenant", NAME, "--json"), environment, plan=plan)
    key = _read_key(run_once(replace(spec, is_captured=True)))
    write_private(key_path(environment), f"{key}\n")
    return key


def _read_key(output: str) -> str:
    """The key in the command's last line; its text is never repeated, because a secret is in it."""
    try:
        return str(json.loads(output.strip().splitlines()[-1])["api_key"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise ConfigurationError("`manage.py create_tenant` did not answer with the tenant's key.") from None
