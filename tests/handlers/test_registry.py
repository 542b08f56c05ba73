"""The registry: names, defaults, and one sentence for each thing an operator can get wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from jobservice.env import ConfigurationError
from jobservice.handlers import handler, registry
from jobservice.handlers.registry import find_handler, handler_names, load_handlers


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))


@pytest.fixture
def module_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("trial_")]:
        del sys.modules[name]


def test_the_built_in_handlers_are_there_without_loading_anything() -> None:
    assert {"echo", "sleep", "fail"} <= set(handler_names())


def test_a_decorated_function_is_found_with_its_defaults() -> None:
    @handler(
        "invoice.render", timeout_seconds=60, max_attempts=3, queue="slow", priority=0, retry={"strategy": "fixed"}
    )
    def render(payload: object, job: object) -> str:
        return "page"

    found = find_handler("invoice.render")
    assert found is not None
    assert (found.run, found.timeout_seconds, found.max_attempts) == (render, 60, 3)
    assert (found.queue, found.priority, found.retry) == ("slow", 0, {"strategy": "fixed"})
    assert handler_names() == sorted(handler_names())
    assert find_handler("invoice.other") is None


@pytest.mark.parametrize("name", ["", "Upper", "a b", "-a", "a" * 101, "http.request"])
def test_a_name_no_job_type_may_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a handler"):
        handler(name)


@pytest.mark.parametrize(
    "default",
    [{"timeout_seconds": 0}, {"timeout_seconds": 86401}, {"max_attempts": 101}, {"priority": -1}, {"priority": 10}],
)
def test_a_default_out_of_range_is_refused(default: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be between [01] and"):
        handler("ok", **default)


def test_a_queue_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot name a queue"):
        handler("ok", queue="No Queue")


def test_two_functions_cannot_share_a_name() -> None:
    def first(payload: object, job: object) -> None: ...
    def second(payload: object, job: object) -> None: ...

    handler("shared")(first)
    handler("shared")(first)
    with pytest.raises(ValueError, match="defined twice"):
        handler("shared")(second)


def test_an_operators_module_is_loaded_by_its_name(module_folder: Path) -> None:
    source = 'from jobservice.handlers import handler\n@handler("trial.count")\ndef count(payload, job): return 1\n'
    (module_folder / "trial_good.py").write_text(source)
    load_handlers(["trial_good"])
    load_handlers(["trial_good"])
    assert find_handler("trial.count") is not None


@pytest.mark.parametrize("source", ["raise RuntimeError('no licence')", "import nothing_like_this", "def broken("])
def test_a_module_that_cannot_be_imported_is_one_sentence_that_names_it(module_folder: Path, source: str) -> None:
    (module_folder / "trial_bad.py").write_text(source)
    with pytest.raises(ConfigurationError, match="JOBSERVICE_HANDLERS: the module trial_bad cannot be imported"):
        load_handlers(["trial_bad"])


def test_installed_packages_bring_handlers_by_entry_point(module_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'from jobservice.handlers import handler\n@handler("trial.plug")\ndef plug(payload, job): return 1\n'
    (module_folder / "trial_plug.py").write_text(source)
    point = EntryPoint("plug", "trial_plug", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [point] if group == point.group else [])
    load_handlers()
    assert find_handler("trial.plug") is not None


def test_importing_the_registry_brings_in_no_framework() -> None:
    code = (
        "import sys, jobservice.handlers.registry as r; r.load_handlers(); "
        "sys.exit(any(name in sys.modules for name in ('django', 'celery', 'psycopg', 'aiohttp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
