"""How the findings are shown: a line each, or one JSON document; and the exit status they amount to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from workers.doctor.finding import Finding

ALL_WELL, SOMETHING_WRONG = 0, 1


def show_text(findings: Mapping[str, Finding]) -> str:
    """One line per check: its status, its name, what was found and, unless all is well, the fix."""
    width = max(map(len, findings), default=0)
    return "\n".join(
        f"{finding.status:<7}  {name:<{width}}  {_sentences(finding)}" for name, finding in findings.items()
    )


def show_json(findings: Mapping[str, Finding]) -> str:
    return json.dumps(list_findings(findings))


def list_findings(findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
    """`{name, status, detail, fix}` of each check, in their order."""
    return [{"name": name, **asdict(finding)} for name, finding in findings.items()]


def decide_exit_status(findings: Mapping[str, Finding]) -> int:
    """A warning is no fault: it may be a long queue."""
    return SOMETHING_WRONG if any(finding.status == "problem" for finding in findings.values()) else ALL_WELL


def _sentences(finding: Finding) -> str:
    return f"{finding.detail} {finding.fix}".strip()
