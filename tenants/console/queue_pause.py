"""Pausing a queue, which asks why, and letting it go on."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.field_checks import is_storable
from jobservice.jobs.queues import Pause, change_queue, find_queue, unknown_queue
from tenants.acting import current_actor
from tenants.console.access import ConsoleView
from tenants.console.notices import tell
from tenants.console.queue_rows import queue_address, show_pause
from tenants.roles import ACT

# As the table has it.
MOST_CHARACTERS = 200


class PauseQueue(ConsoleView):
    permission = ACT

    def get(self, request: HttpRequest, queue: str) -> HttpResponseBase:
        if find_queue(self.person.tenant_id, queue, most_counted=1) is None:
            raise unknown_queue()
        return _ask(request, queue)

    def post(self, request: HttpRequest, queue: str) -> HttpResponseBase:
        """Nobody is made to say why: a queue may have to stop at once. Of two who pause a queue the first has done it,
        and their reason stays: the other is told of it.
        """
        reason = " ".join(request.POST.get("reason", "").split())
        if len(reason) > MOST_CHARACTERS or not is_storable(reason):
            fault = _("A reason has at most %(most)s characters.") % {"most": MOST_CHARACTERS}
            return _ask(request, queue, reason=reason, fault=fault)
        view, _is_new = change_queue(self.person.tenant_id, queue, {"paused": True}, reason=reason or None)
        if view.pause is None or _is_mine(view.pause, reason):
            tell(request, "success", _("%(queue)s is paused: none of its jobs starts.") % {"queue": queue})
        else:
            tell(request, "warning", _tell_earlier(queue, show_pause(self.person.tenant_id, view.pause), reason))
        return HttpResponseRedirect(_back(request, queue))


class ResumeQueue(ConsoleView):
    permission = ACT

    def post(self, request: HttpRequest, queue: str) -> HttpResponseBase:
        change_queue(self.person.tenant_id, queue, {"paused": False})
        tell(request, "success", _("%(queue)s goes on.") % {"queue": queue})
        return HttpResponseRedirect(_back(request, queue))


def _is_mine(pause: Pause, reason: str) -> bool:
    """Whether the pause that holds now is as whoever asks wants it; a form sent twice has changed nothing either."""
    actor = current_actor()
    return (pause.by_type, pause.by_id, pause.reason or "") == (actor.type, actor.id, reason)


def _tell_earlier(queue: str, pause: Mapping[str, str], reason: str) -> str:
    """Who paused it before, and why; and that what was typed now is not kept."""
    facts = {"queue": queue, "who": pause["who"], "reason": pause["reason"]}
    if pause["who"] and pause["reason"]:
        told = _('%(queue)s is already paused by %(who)s because "%(reason)s".') % facts
    elif pause["who"]:
        told = _("%(queue)s is already paused by %(who)s, who gave no reason.") % facts
    else:
        told = _("%(queue)s is already paused.") % facts
    return f"{told} {_('Your reason is not kept.')}" if reason else told


def _ask(request: HttpRequest, queue: str, *, reason: str = "", fault: str = "") -> HttpResponseBase:
    back = (request.POST or request.GET).get("back", "")
    context = {
        "queue": queue,
        "reason": reason,
        "fault": fault,
        "most": MOST_CHARACTERS,
        "back": back,
        "back_href": _back(request, queue),
    }
    return render(request, "console/queue_pause.html", context, status=422 if fault else 200)


def _back(request: HttpRequest, queue: str) -> str:
    is_of_page = (request.POST or request.GET).get("back") == "queue"
    return queue_address(queue) if is_of_page else reverse("console-QueueList")
