"""What a newcomer meets: one command, a line to paste, a second start, and a clear word when something is wrong."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest

from tests.journeys.product import Product, running, scrape, value, wait_until


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
        with running(tmp_path / "another") as another:
            another.stop()
        root_key.write_bytes((tmp_path / "another" / "root.key").read_bytes())
        root_key.chmod(0o600)
        assert "is not the root key of this database" in refusal(product)
        root_key.write_bytes(right)
        product.start()
        assert product.job(job_id, include="result")["result"] == "kept"


def assert_sound(product: Product) -> None:
    """The doctor finds nothing wrong, once every worker had the time to say that it is there."""
    wait_until(
        lambda: product.command("doctor").returncode == 0,
        seconds=60,
        what="sound",
        log=lambda: product.command("doctor").stdout,
    )
    findings = json.loads(product.command("doctor", "--json").stdout)
    assert {finding["status"] for finding in findings} == {"ok"}, findings


def refusal(product: Product) -> str:
    """Start, expect exit code 2, and return the sentence."""
    with pytest.raises(AssertionError, match="ended with 2"):
        product.start()
    assert product.pids() == []
    (sentence,) = re.findall(r"JOBSERVICE_ROOT_KEY_FILE: .*", product.log.split("=== start\n")[-1])
    return str(sentence)
