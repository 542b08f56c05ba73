"""Each wrong setting stops the start with one sentence that names it, before anything runs."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from jobservice import env
from tests.ports import free_port
from tests.workers.supervisor.running import clean_environment
from workers.supervisor import preflight
from workers.supervisor.folders import prepare_data_folder
from workers.supervisor.supervisor import run_supervisor


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any setting of ours but a data folder and a free port."""
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("JOBSERVICE_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("PORT", str(free_port()))
    return tmp_path / "var"


def refuse_start() -> str:
    """The sentences with which the start is refused."""
    stream = io.BytesIO()
    with pytest.raises(env.ConfigurationError) as refused:
        run_supervisor(env.load(), stream=stream)
    assert stream.getvalue() == b""
    return str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "many"),
        ("DATABASE_URL", "postgresql://owner:{secret}@127.0.0.1:{port}/db"),
        ("DATABASE_URL", "postgresql://owner:{secret}@127.0.0.1:{port}/db?{secret}"),
        ("BROKER_URL", "redis://:{secret}@127.0.0.1:{port}/0"),
        ("BROKER_URL", "amqp://guest:{secret}@127.0.0.1:{port}//"),
        ("JOBSERVICE_HOST", "192.0.2.1"),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_its_secret(
    clean: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    secret = os.urandom(8).hex()
    monkeypatch.setenv(variable, value.format(secret=secret, port=free_port()))
    sentence = refuse_start()
    assert sentence.startswith(f"{variable}: ")
    assert len(sentence.splitlines()) == 1
    assert secret not in sentence
    assert not (clean / "postgres").exists()


def test_a_data_folder_that_is_a_file_is_named(clean: Path) -> None:
    clean.touch()
    with pytest.raises(env.ConfigurationError, match=f"JOBSERVICE_DATA_DIR: {clean}"):
        env.load()
    with pytest.raises(env.ConfigurationError, match=f"JOBSERVICE_DATA_DIR: {clean} is not a folder"):
        prepare_data_folder(clean)


def test_a_folder_whose_holder_was_killed_is_taken_and_its_sockets_removed(tmp_path: Path) -> None:
    first = preflight.lock_data_folder(tmp_path)
    preflight.note_holder(first, tmp_path / "jobservice-not-ours")
    (tmp_path / "jobservice-not-ours").mkdir()
    os.close(first)
    second = preflight.lock_data_folder(tmp_path)
    # Only a folder where this program makes them is removed, whatever the file says.
    assert (tmp_path / "jobservice-not-ours").exists()
    os.close(second)
