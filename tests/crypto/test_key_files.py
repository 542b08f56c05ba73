"""Key files: made private and whole, refused with a fix when anything about them is wrong."""

from __future__ import annotations

import json
import os
import secrets
import stat
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from jobservice.crypto.first_start import create_key_files
from jobservice.crypto.message_mac import create_message_key_file, load_message_key
from jobservice.crypto.root_key import add_root_key_version, create_root_key_file, load_root_keyring
from jobservice.env import ConfigurationError

KINDS = {
    "JOBSERVICE_ROOT_KEY_FILE": (create_root_key_file, load_root_keyring),
    "JOBSERVICE_MESSAGE_KEY_FILE": (create_message_key_file, load_message_key),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.key"


@pytest.fixture(params=KINDS)
def setting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def create(setting: str) -> Callable[[Path], None]:
    return KINDS[setting][0]


@pytest.fixture
def load(setting: str) -> Callable[[Path], object]:
    return KINDS[setting][1]


def refusal(load: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_new_file_is_private_whatever_the_umask_and_loads(path: Path, create: Callable[[Path], None]) -> None:
    before = os.umask(0)
    try:
        create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_two_new_files_hold_different_secrets(tmp_path: Path) -> None:
    create_root_key_file(tmp_path / "one")
    create_root_key_file(tmp_path / "two")
    one, two = load_root_keyring(tmp_path / "one"), load_root_keyring(tmp_path / "two")
    assert len(one.secrets[1]) == 32
    assert one.secrets[1] != two.secrets[1]


def test_an_existing_file_is_never_replaced(path: Path, create: Callable[[Path], None]) -> None:
    create(path)
    content = path.read_bytes()
    with pytest.raises(FileExistsError):
        create(path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_dangling_link_is_not_followed_when_a_file_is_made(path: Path, create: Callable[[Path], None]) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(FileExistsError):
        create(path)
    assert not path.with_name("elsewhere").exists()


def test_processes_that_start_together_agree_on_one_key(path: Path) -> None:
    barrier = Barrier(8)

    def start() -> str:
        barrier.wait()
        create_key_files(root_key_file=path, message_key_file=path.with_name("m.key"))
        return load_root_keyring(path).fingerprint()

    with ThreadPoolExecutor(8) as pool:
        starts = [pool.submit(start) for _ in range(8)]
    assert len({start.result() for start in starts}) == 1


def test_a_first_start_makes_what_is_missing_and_keeps_the_rest(tmp_path: Path) -> None:
    root, message = tmp_path / "root.key", tmp_path / "message.key"
    create_root_key_file(root)
    fingerprint = load_root_keyring(root).fingerprint()
    assert create_key_files(root_key_file=root, message_key_file=message) == [message]
    assert create_key_files(root_key_file=root, message_key_file=message) == []
    assert load_root_keyring(root).fingerprint() == fingerprint


def test_a_file_that_cannot_be_made_names_the_setting(
    tmp_path: Path, setting: str, create: Callable[[Path], None]
) -> None:
    text = refusal(create, tmp_path / "absent" / "a.key")
    assert text.startswith(f"{setting}: ")
    assert "writable" in text


def test_a_missing_file_names_the_setting_and_the_fix(path: Path, setting: str, load: Callable[[Path], object]) -> None:
    text = refusal(load, path)
    assert text.startswith(f"{setting}: {path} does not exist")
    assert "backup" in text


def test_an_unreadable_file_names_the_setting_and_the_fix(
    path: Path, setting: str, load: Callable[[Path], object]
) -> None:
    path.symlink_to(path)
    text = refusal(load, path)
    assert text.startswith(f"{setting}: {path} cannot be read")
    assert "run as the user that owns it" in text


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_for_its_owner_only_loads(
    path: Path, mode: int, create: Callable[[Path], None], load: Callable[[Path], object]
) -> None:
    create(path)
    path.chmod(mode)
    assert load(path)


@pytest.mark.parametrize(
    "mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o440, 0o444, 0o660, 0o666, 0o700, 0o777, 0o4600]
)
def test_a_file_with_any_other_mode_is_refused(
    path: Path, mode: int, setting: str, create: Callable[[Path], None], load: Callable[[Path], object]
) -> None:
    create(path)
    path.chmod(mode)
    text = refusal(load, path)
    assert text.startswith(f"{setting}: {path} has mode {mode:04o}")
    assert f"chmod 600 {path}" in text


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "named pipe"])
def test_what_is_not_a_file_is_refused_without_waiting(
    path: Path, setting: str, load: Callable[[Path], object], make: Callable[[Path], None]
) -> None:
    make(path)
    text = refusal(load, path)
    assert text.startswith(f"{setting}: {path} is not a regular file")


def write(path: Path, content: object) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)


def root_file(*keys: object) -> dict[str, object]:
    return {"format": "jobservice-root-key/v1", "keys": list(keys)}


SECRET = secrets.token_hex(32)
MALFORMED: dict[str, tuple[object, str]] = {
    "empty": ("", "not valid JSON"),
    "text": (SECRET, "not valid JSON"),
    "nested too deep": ("[" * 60_000, "not valid JSON"),
    "too large": (" " * 70_000 + "{}", "not valid JSON"),
    "list": ([SECRET], "does not say"),
    "message key": ({"format": "jobservice-message-key/v1", "keys": [{"version": 1, "secret": SECRET}]}, "right file"),
    "newer format": ({"format": "jobservice-root-key/v2", "keys": [{"version": 1, "secret": SECRET}]}, "does not say"),
    "no keys": (root_file(), "holds no keys"),
    "keys of another type": ({"format": "jobservice-root-key/v1", "keys": {"1": SECRET}}, "holds no keys"),
    "bare secret": (root_file(SECRET), "without a version"),
    "no version": (root_file({"secret": SECRET}), "without a version"),
    "true as version": (root_file({"version": True, "secret": SECRET}), "without a version"),
    "version zero": (root_file({"version": 0, "secret": SECRET}), "without a version"),
    "version too high": (root_file({"version": 2**32, "secret": SECRET}), "without a version"),
    "no secret": (root_file({"version": 1}), "not hexadecimal"),
    "not hexadecimal": (root_file({"version": 1, "secret": SECRET[:-1] + "g"}), "not hexadecimal"),
    "spaces": (root_file({"version": 1, "secret": SECRET[:-1] + " "}), "not hexadecimal"),
    "too short": (root_file({"version": 1, "secret": SECRET[:-2]}), "62 hexadecimal digits, not 64"),
    "odd": (root_file({"version": 1, "secret": SECRET[:-1]}), "63 hexadecimal digits, not 64"),
    "too long": (root_file({"version": 1, "secret": SECRET + "00"}), "66 hexadecimal digits, not 64"),
    "twice": (root_file(*[{"version": 1, "secret": SECRET}] * 2), "version 1 twice"),
}


@pytest.mark.parametrize(("content", "fault"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_with_its_fault_and_never_its_secret(
    path: Path, content: object, fault: str
) -> None:
    write(path, content)
    with pytest.raises(ConfigurationError) as caught:
        load_root_keyring(path)
    text = str(caught.value)
    assert text.startswith("JOBSERVICE_ROOT_KEY_FILE: ")
    assert fault in text
    assert "restore the file from a backup" in text
    assert SECRET[:16] not in "".join(traceback.format_exception(caught.value))


def test_bytes_that_are_not_text_are_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\xd8")
    path.chmod(0o600)
    assert "not valid JSON" in refusal(load_root_keyring, path)


def test_a_message_key_file_with_several_versions_signs_with_the_newest(path: Path) -> None:
    digits = [secrets.token_hex(32) for _ in range(3)]
    entries = [{"version": version, "secret": digits[version - 1]} for version in (2, 3, 1)]
    write(path, {"format": "jobservice-message-key/v1", "keys": entries})
    assert load_message_key(path).secrets == tuple(bytes.fromhex(text) for text in reversed(digits))


def test_an_added_root_key_becomes_current_and_the_old_one_stays(path: Path) -> None:
    create_root_key_file(path)
    path.chmod(0o400)
    before = load_root_keyring(path)
    assert add_root_key_version(path) == 2
    after = load_root_keyring(path)
    assert after.current_version == 2
    assert after.secrets[1] == before.secrets[1] != after.secrets[2]
    assert list(path.parent.iterdir()) == [path]


def test_root_keys_added_at_the_same_time_are_all_kept(path: Path) -> None:
    create_root_key_file(path)
    barrier = Barrier(6)

    def add() -> int:
        barrier.wait()
        return add_root_key_version(path)

    with ThreadPoolExecutor(6) as pool:
        additions = [pool.submit(add) for _ in range(6)]
    assert sorted(addition.result() for addition in additions) == [2, 3, 4, 5, 6, 7]
    assert sorted(load_root_keyring(path).secrets) == [1, 2, 3, 4, 5, 6, 7]


def test_nothing_is_added_to_a_file_that_does_not_load(path: Path) -> None:
    write(path, root_file())
    content = path.read_bytes()
    assert "holds no keys" in refusal(lambda path: add_root_key_version(path), path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]
