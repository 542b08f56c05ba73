"""What was built and vendored with Node is here as it was built, and has all that templates ask for. Needs no Node."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from tenants.console.assets import STATIC
from tenants.console.preferences import THEMES
from tenants.console.shell import GROUPS
from tenants.console.tones import DELIVERY_STATES, JOB_STATES, NEWS, OUTCOMES, WORKER_STATES

ROOT = Path(__file__).resolve().parent.parent.parent
CONSOLE = ROOT / "tenants" / "console"
FRONTEND = CONSOLE / "frontend"
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
VENDORS = (STATIC / "vendor", ROOT / "tests" / "journeys" / "console" / "vendor")
# Hooks of scripts and of tests, with no look of their own.
HOOKS = frozenset({"row-pick", "needs-no-js"})


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_the_stylesheet_is_built_from_its_sources_as_they_are() -> None:
    notes = json.loads((FRONTEND / "built.json").read_text())
    assert {name: digest(FRONTEND / name) for name in notes["sources"]} == notes["sources"], "run `make console-css`"
    assert {name: digest(STATIC / name) for name in notes["built"]} == notes["built"]
    assert {f"css/{path.name}" for path in (FRONTEND / "css").iterdir()} <= set(notes["sources"])


@pytest.mark.parametrize("folder", VENDORS, ids=lambda folder: folder.parent.name)
def test_what_is_vendored_is_what_its_package_published(folder: Path) -> None:
    locked = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    entries = json.loads((folder / "vendored.json").read_text())
    for entry in entries:
        assert digest(folder / entry["file"]) == entry["sha256"]
        assert locked[f"node_modules/{entry['package']}"]["version"] == entry["version"]
        assert (folder / entry["licence"]).stat().st_size > 100
    known = {name for entry in entries for name in (entry["file"], entry["licence"])}
    others = {"vendored.json", "LICENSE.lucide-static.txt", "README.md"}
    assert {path.name for path in folder.iterdir()} - others == known


def test_every_class_of_the_templates_is_in_the_stylesheet() -> None:
    built = (STATIC / "console.css").read_text()
    known = {found.replace("\\", "") for found in re.findall(r"\.((?:[\w-]|\\.)+)", built)}
    missing = {
        f"{path.name}: {name}"
        for path in TEMPLATES
        for given in re.findall(r'class="([^"]*)"', re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", path.read_text()))
        for name in given.split()
        if name not in known | HOOKS
    }
    assert missing == set(), "run `make console-css`"


def test_every_icon_is_in_the_sprite() -> None:
    names = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    asked = {name for path in TEMPLATES for name in re.findall(r'\{% icon "([^"]+)"', path.read_text())}
    asked |= {screen.icon for _group, screens in GROUPS for screen in screens} | {theme.icon for theme in THEMES}
    tones = [
        *JOB_STATES.values(),
        *OUTCOMES.values(),
        *DELIVERY_STATES.values(),
        *WORKER_STATES.values(),
        *NEWS.values(),
    ]
    assert (asked | {tone.icon for tone in tones}) <= names


def test_no_template_holds_what_the_policy_forbids() -> None:
    for path in TEMPLATES:
        content = path.read_text()
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:|hx-on|\|safe|mark_safe", content), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", content), path
        # A filter of a trigger would be an eval.
        assert not re.search(r'hx-trigger="[^"]*\[', content), path
        assert "//" not in re.sub(r"https?://(www\.w3\.org|127\.0\.0\.1)", "", content), path
