"""What a newcomer meets: one command, a line to paste, a second start, and a clear word when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jobservice.crypto.root_key import create_root_key_file
from jobservice.jobs.states import STATES as ALL_STATES
from tests.journeys.console.session import CHROMIUM, WATCH, browsing, violations
from tests.journeys.pictures import follow_link, printed_link, wait_until_filled
from tests.journeys.product import Product, running, scrape, value, wait_until

STATES = frozenset(map(str, ALL_STATES))


def test_the_printed_curl_line_works_when_pasted(product: Product) -> None:
    line = re.search(r"^\s*Try it\s+(curl .*)$", product.log, re.MULTILINE)
    assert line is not None, product.log
    pasted = subprocess.run(["bash", "-c", line[1]], capture_output=True, text=True, timeout=60, check=True)
    job_id = re.search(r'"id":\s*"(job_[0-9a-z]{26})"', pasted.stdout)
    assert job_id is not None, pasted.stdout
    product.wait_for_end([job_id[1]])
    job = product.job(job_id[1], include="payload,result")
    assert (job["state"], job["result"]) == ("completed", {"hello": "world"})


def test_the_demo_key_is_kept_for_its_owner_alone(product: Product) -> None:
    mode = (product.data_dir / "demo-api-key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_an_operator_makes_a_tenant_and_other_tenants_see_nothing_of_it(product: Product) -> None:
    made = product.command("create_tenant", "acme", "--json")
    assert made.returncode == 0, made.stderr
    key = re.search(r'"api_key": "([^"]+)"', made.stdout)
    assert key is not None
    job_id = product.submit(type="echo", payload=1)
    assert product.call("GET", f"/v1/jobs/{job_id}")[0] == 200
    foreign_status, foreign = product.call("GET", f"/v1/jobs/{job_id}", key=key[1])
    unknown_status, unknown = product.call("GET", "/v1/jobs/job_01h455vb4pex5vsknk084sn02q", key=key[1])
    assert foreign_status == unknown_status == 404
    assert {**foreign, "request_id": ""} == {**unknown, "request_id": ""}
    assert product.command("create_tenant", "acme", "--json").returncode == 2


def test_a_stop_and_a_second_start_keep_everything_and_a_wrong_root_key_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "var") as product:
        job_id = product.submit(type="echo", payload="kept")
        product.wait_for_end([job_id])
        assert_sound(product)
        assert product.stop() == 0
        assert product.command("doctor").returncode == 2, "there is no database to look at"
        assert product.pids() == []
        assert product.log.count("shown once") == 1

        product.start()
        assert value(scrape(product), "jobs_accepted_total", executor="handler") == 0, "counters begin anew"
        assert product.job(job_id, include="result")["result"] == "kept"
        assert product.log.count("shown once") == 1, "the key is printed at the first start only"
        assert_sound(product)
        product.stop()

        root_key = product.data_dir / "root.key"
        right = root_key.read_bytes()
        root_key.unlink()
        assert "is missing" in refusal(product)
        (product.data_dir / "message.key").rename(product.data_dir / "message.kept")
        create_root_key_file(root_key)
        assert "is not the root key of this database" in refusal(product)
        root_key.write_bytes(right)
        product.start()
        assert product.job(job_id, include="result")["result"] == "kept"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_a_newcomer_follows_the_link_and_finds_jobs_in_every_state_and_verified_callbacks(tmp_path: Path) -> None:
    # The lease of a real start: no run is killed here, and none is to begin again while all are counted.
    settings = {"JOBSERVICE_DEMO": "on", "JOBSERVICE_LEASE_SECONDS": "30"}
    with running(tmp_path / "var", **settings) as product:
        kill_the_fill(product)
        assert product.stop() == 0
        product.start()
        wait_until_filled(product)
        states = count_states(product)
        link = printed_link(product)
        assert product.log.count(link) == 3, "at each start, and once more when there is something to see"
        with browsing() as browser:
            page = browser.new_page()
            page.add_init_script(WATCH)
            follow_link(page, link, "a pass phrase of my own")
            assert read_ticks(page) == [True, True, False, True, False, False]
            page.goto(page.url + "jobs")
            assert {state for state in STATES if states[state]} == STATES - {"dispatched"}
            for word in ("Executing", "Suspended", "Discarded", "Retryable", "Completed", "Scheduled", "Available"):
                expect(page.locator("tbody .chip", has_text=word).first).to_be_visible()
            page.goto(f"{product.address.replace('127.0.0.1', 'localhost')}/dev/inbox")
            expect(page.locator("tbody tr", has_text="job.completed").first).to_contain_text("Verified")
            expect(page.get_by_text("Not verified")).to_have_count(0)
            page.locator("summary").first.click()
            expect(page.locator("details[open] pre").first).to_contain_text('"type": "job.')
            before = page.locator("tbody tr").first.get_attribute("id")
            product.submit(type="echo", payload={"seen": "live"})
            expect(page.locator("tbody tr").first).not_to_have_attribute("id", str(before))
            expect(page.locator("details[open]"), "what somebody reads stays open").to_have_count(1)
            assert violations(page) == []
            take_the_other_steps(product, page)
            page.goto(link)
            expect(page.get_by_text("This invitation is spent")).to_be_visible()
        # A fill that is begun once more makes nothing twice.
        (product.data_dir / "demo-fill").touch()
        product.environment |= {"PORT": str(product.port), "JOBSERVICE_DEV_INBOX": "on"}
        assert product.command("fill_demo").returncode == 0
        assert count_states(product) == {**states, "completed": states["completed"] + 1}
        assert len(product.call("GET", "/v1/webhook-endpoints")[1]["data"]) == 1
        assert_sound(product)
        product.stop()
        product.start()
        assert f"  Console    http://localhost:{product.port}/console\n" in product.log.split("=== start\n")[-1]


def take_the_other_steps(product: Product, page: Page) -> None:
    """Each is ticked by what was done, wherever that was; with the last one the list goes."""
    page.goto(f"{product.address.replace('127.0.0.1', 'localhost')}/console/")
    assert read_ticks(page) == [True, True, False, True, False, False]
    failed = product.call("GET", "/v1/jobs?state=discarded&limit=1")[1]["data"][0]["id"]
    assert product.call("POST", f"/v1/jobs/{failed}/retry", {})[0] == 200
    product.wait_for_end([failed])
    page.reload()
    assert read_ticks(page) == [True, True, True, True, False, False]
    assert product.call("POST", "/v1/api-keys", {"name": "second", "scopes": ["jobs:read"]})[0] == 201
    page.reload()
    assert read_ticks(page) == [True, True, True, True, True, False]
    assert product.command("create_member", "demo", "ada@example.com", "--role", "viewer").returncode == 0
    page.reload()
    expect(page.locator("h1")).to_have_text("Overview")
    assert read_ticks(page) == []


def kill_the_fill(product: Product) -> None:
    """In the middle: when it has made queues. It goes on for a moment at a time, so that it is not over meanwhile."""
    product.await_pid("fill")

    def has_made_queues() -> bool:
        signal_fill(product, signal.SIGCONT)
        time.sleep(0.05)
        signal_fill(product, signal.SIGSTOP)
        return bool(product.call("GET", "/v1/queues")[1]["data"])

    wait_until(has_made_queues, seconds=60, what="it began", log=lambda: product.log)
    signal_fill(product, signal.SIGKILL)
    wait_until(lambda: not product.pids("fill"), seconds=30, what="it is gone", log=lambda: product.log)
    assert (product.data_dir / "demo-fill").exists()


def signal_fill(product: Product, number: int) -> None:
    for pid in product.pids("fill"):
        os.kill(pid, number)


def count_states(product: Product) -> dict[str, int]:
    return {state: len(product.call("GET", f"/v1/jobs?state={state}&limit=100")[1]["data"]) for state in sorted(STATES)}


def read_ticks(page: Page) -> list[bool]:
    return [row.get_attribute("data-tone") == "success" for row in page.locator(".step-row").all()]


def assert_sound(product: Product) -> None:
    """The doctor finds nothing wrong, once every worker had the time to say that it is there."""

    def is_sound() -> bool:
        ended = product.command("doctor", "--json")
        findings = json.loads(ended.stdout) if ended.returncode == 0 else []
        return {finding["status"] for finding in findings} == {"ok"}

    wait_until(is_sound, seconds=60, what="sound", log=lambda: product.command("doctor").stdout)


def refusal(product: Product) -> str:
    """Start, expect exit code 2, and return the sentence."""
    with pytest.raises(AssertionError, match="ended with 2"):
        product.start()
    assert product.pids() == []
    # The process that refuses says it, and the supervisor last of all.
    (sentence,) = set(re.findall(r"JOBSERVICE_ROOT_KEY_FILE: .*", product.log.split("=== start\n")[-1]))
    assert product.log.splitlines()[-1] == sentence
    return str(sentence)
