"""What the repository's files show: nothing secret is among them, and what is installed is what was locked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tenants.api_key_format import PREFIX as KEY_PREFIX
from tenants.invitations import PREFIX as INVITATION_PREFIX

ROOT = Path(__file__).parents[2]
# Private parts, whole: a prefix alone, or one with dots, is an explanation.
SECRETS = {
    "an API key": re.compile(rf"{KEY_PREFIX}[0-9A-Za-z]{{12}}_[0-9A-Za-z]{{49}}"),
    "an invitation": re.compile(rf"{INVITATION_PREFIX}[0-9A-Za-z]{{43}}"),
    "a signing secret": re.compile(r"whsec_[A-Za-z0-9+/]{32,}={0,2}"),
    "a signing key": re.compile(r"whsk_[A-Za-z0-9+/]{32,}={0,2}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}"),
    "a root key": re.compile(r"(?m)^[1-9][0-9]{0,8}:[0-9a-fA-F]{64}$"),
    "a token of Vault": re.compile(r"hv[sb]\.[A-Za-z0-9_-]{24,}"),
    "a key of a cloud": re.compile(r"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    "a token of a code host": re.compile(r"gh[pousr]_[A-Za-z0-9]{36}"),
}
# The one that the Standard Webhooks' own documentation shows.
KNOWN_EXAMPLES = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3NkZ0Yy6B1c="}
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-vault.lock")


def find_secrets(text: str) -> set[tuple[str, str]]:
    return {
        (kind, found)
        for kind, pattern in SECRETS.items()
        for found in pattern.findall(text)
        if found not in KNOWN_EXAMPLES
    }


def test_no_file_holds_a_secret() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    assert len(paths) > 500
    found = {path: find_secrets(path.read_text(errors="replace")) for path in paths if path.is_file()}
    assert {path: secrets for path, secrets in found.items() if secrets} == {}


@pytest.mark.parametrize(
    "text",
    [
        f"key = '{KEY_PREFIX}{'a' * 12}_{'b' * 49}'",
        INVITATION_PREFIX + "c" * 43,
        "whsec_" + "d" * 43 + "=",
        "-----BEGIN " + "PRIVATE KEY-----\n" + "M" * 64,
        "note\n1:" + "0f" * 32 + "\n",
    ],
)
def test_a_secret_would_be_found(text: str) -> None:
    assert len(find_secrets(text)) == 1


@pytest.mark.parametrize("name", LOCKS)
def test_everything_is_installed_by_its_hash(name: str) -> None:
    packages = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    pinned = [package for package in packages if not package.startswith("#")]
    assert len(pinned) > 5
    assert [package[:60] for package in pinned if "==" not in package or "--hash=sha256:" not in package] == []
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^INSTALL := .* --require-hashes$", makefile, re.MULTILINE)
    # No other way to install is taken by the commands, nor by the run of all of them.
    commands = makefile + (ROOT / ".ci/run").read_text()
    assert [line for line in commands.splitlines() if "pip install" in line and "--require-hashes" not in line] == []
