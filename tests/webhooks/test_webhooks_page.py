"""The code and the fields of docs/webhooks.md are what the service does."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from jobservice.jobs.event_examples import event_of
from jobservice.webhooks.endpoint_spec import DEFAULTS, parse_endpoint
from jobservice.webhooks.event_types import SENT_TYPES
from jobservice.webhooks.retry_schedule import next_delivery_delay
from jobservice.webhooks.signing import public_key, signed_headers
from tenants.signing_secrets import new_secret

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text()
BODY = b'{"type":"job.completed"}'


def verify_of(name: str) -> Any:
    """The function of one of the page's files."""
    files = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
    module: dict[str, Any] = {}
    exec(compile(files[name], name, "exec"), module)  # noqa: S102 (the page's own code, which readers copy)
    return module["verify"]


@pytest.mark.parametrize(("name", "scheme", "key_of"), [("v1.py", "v1", str), ("v1a.py", "v1a", public_key)])
def test_the_code_takes_what_is_signed_and_nothing_else(name: str, scheme: Any, key_of: Any) -> None:
    verify, (old, new, other) = verify_of(name), (new_secret() for _ in range(3))
    now = int(time.time())
    headers = signed_headers([new, old], message_id="evt_1", timestamp=now, body=BODY, scheme=scheme)
    assert verify(key_of(new), headers, BODY)
    assert verify(key_of(old), headers, BODY)
    assert not verify(key_of(other), headers, BODY)
    assert not verify(key_of(new), headers, BODY + b" ")
    assert not verify(key_of(new), {**headers, "webhook-id": "evt_2"}, BODY)
    late = signed_headers([new], message_id="evt_1", timestamp=now - 400, body=BODY, scheme=scheme)
    assert not verify(key_of(new), late, BODY)


def test_the_request_of_the_page_is_taken_and_every_setting_is_told() -> None:
    sent = re.search(r"-d '(\{.*?\})'", PAGE, re.DOTALL)
    assert sent is not None
    parse_endpoint(json.loads(sent[1]))
    assert all(f"`{name}`" in PAGE for name in DEFAULTS)


def test_every_type_of_events_is_told_with_what_is_in_it() -> None:
    rows = dict(re.findall(r"^\| (`[a-z.`, ]+) \| (.*) \|$", PAGE, re.MULTILINE))
    for name in SENT_TYPES:
        (told,) = [text for types, text in rows.items() if f"`{name}`" in types]
        if "the same" in told:
            told += rows["`job.completed`, `job.discarded`, `job.cancelled`"]
        assert all(f"`{member}`" in told for member in event_of(name)["data"]), name


def test_the_schedule_of_the_page_is_the_services() -> None:
    delays = [next_delivery_delay(attempt, 0.5) for attempt in range(1, 11)]
    assert delays == [5, 300, 1800, 7200, 18_000, 36_000, 36_000, 86_400, 86_400, None]
    assert "after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h and twice\nafter a day" in PAGE
