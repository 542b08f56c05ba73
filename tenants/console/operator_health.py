"""What `manage.py doctor` found last, each with what mends it, and how far rotations of keys are.

The checks read as roles whose logins the web has not, and some take seconds: a dispatcher carries them out, in a
process of its own, when somebody asks here. No page waits for them.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobservice.ids import TENANT, show_id
from tenants.console.access import STAFF, ConsoleView
from tenants.console.live import answer_part
from tenants.console.notices import tell
from tenants.console.operator_tenant import address_of
from tenants.operators import KeyProgress, OperatorSession, ask_for_examination, read_health, read_key_progress

# The worst first.
ORDER = ("problem", "warning", "ok")
# Why a wish for the checks came to nothing.
FAILURES = {
    "not-begun": gettext_lazy("The dispatcher could not begin a process for them."),
    "cannot-look": gettext_lazy("The process that carries them out ended and kept nothing."),
    "too-long": gettext_lazy("They lasted too long, and were stopped."),
}


class OperatorHealth(ConsoleView):
    permission = STAFF

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return render(request, "console/operator_health.html", _context(self.operator))


class OperatorHealthChecks(ConsoleView):
    permission = STAFF

    def get(self, request: HttpRequest) -> HttpResponseBase:
        context = _context(self.operator)
        moments = [str(context[name]) for name in ("examined_at", "wanted_at", "taken_at", "failure")]
        facts = [*moments, repr(context["keys"])]
        return answer_part(request, "console/parts/operator_health.html", context, facts=facts)


class ExamineHealth(ConsoleView):
    permission = STAFF
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        ask_for_examination(self.operator)
        tell(request, "info", _("The checks are asked for. They take a few seconds."))
        return HttpResponseRedirect(reverse("console-OperatorHealth"))


def _context(session: OperatorSession) -> dict[str, Any]:
    report = read_health(session)
    findings = sorted(report.findings or [], key=lambda one: ORDER.index(one["status"]))
    return {
        "findings": findings,
        "counts": _show_counts([one["status"] for one in findings]),
        "examined_at": report.examined_at,
        "wanted_at": report.wanted_at,
        "taken_at": report.taken_at,
        "failure": FAILURES[report.failure] if report.failure else None,
        "keys": _show_keys(read_key_progress(session)),
        "checks_href": reverse("console-OperatorHealthChecks"),
    }


def _show_counts(statuses: list[str]) -> list[str]:
    """How many checks found what, the worst first, and nothing of what none found."""
    problems, warnings, ok = (statuses.count(status) for status in ORDER)
    shown = [
        (problems, ngettext("%(count)s problem", "%(count)s problems", problems)),
        (warnings, ngettext("%(count)s warning", "%(count)s warnings", warnings)),
        (ok, ngettext("%(count)s ok", "%(count)s ok", ok)),
    ]
    return [words % {"count": count} for count, words in shown if count]


def _show_keys(progress: KeyProgress) -> dict[str, Any]:
    all_keys = sum(progress.keys.values())
    current = progress.keys.get(progress.in_use, 0)
    return {
        "in_use": progress.in_use,
        "all": all_keys,
        "current": current,
        "share": current / all_keys if all_keys else 1.0,
        "is_whole": current == all_keys,
        "versions": sorted(progress.keys.items()),
        "rotations": [
            {
                "href": address_of(one.tenant_id),
                "id": show_id(TENANT, one.tenant_id),
                "name": one.name,
                "old": one.old_version,
                "new": one.new_version,
                "begun_at": one.begun_at,
            }
            for one in progress.rotations
        ],
    }
