"""The few mails there are: an invitation, and a link for another password. Only where the operator names a mail server
(`JOBSERVICE_SMTP_URL`); a thread of its own sends them, so that no answer tells by its time whether one was sent.
"""

from __future__ import annotations

from email.message import EmailMessage
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from jobservice.env import Environment
from jobservice.logs import log_event
from tenants import smtp
from tenants.accounts import find_account, make_mailed_link
from tenants.links import invitation_url, reset_url
from tenants.mail_queue import TryLater, send_later
from tenants.members import NewMember


def can_send(environment: Environment) -> bool:
    """Whether mail is set up, and there is an address for the links in it."""
    return bool(environment.smtp_url and environment.public_url)


def send_invitation(new: NewMember, *, tenant_name: str) -> None:
    """Send an invitation to whom it is for."""
    text = (
        f"You are invited to the tenant {tenant_name} of jobservice.\n\n"
        f"Join here, once, until {new.expires_at:%Y-%m-%d %H:%M} UTC:\n{invitation_url(new.invitation)}\n"
    )
    send_later(lambda: _send(new.email, f"Invitation to {tenant_name}", text))


def send_reset_link(email: str) -> None:
    """Send a link to the address, if it has an account; nobody waits for it, or learns which."""

    def act() -> None:
        account = find_account(email)
        if account is not None and (link := make_mailed_link(account.id)) is not None:
            text = f"Choose another password here, once, within an hour:\n{reset_url(link.text)}\n"
            _send(link.email, "Another password", text)

    send_later(act)


def _send(email: str, subject: str, text: str) -> None:
    """Raises `TryLater`, and `OSError` for what no later time mends."""
    parts = urlsplit(settings.ENVIRONMENT.smtp_url)
    message = EmailMessage()
    # A header is one line, whatever a tenant is named.
    message["To"], message["Subject"] = email, " ".join(subject.split())
    message["From"] = settings.ENVIRONMENT.mail_from or f"jobservice@{parts.hostname}"
    message.set_content(text)
    # Whatever was read: a mail server may take its time, and there are few connections.
    connection.close()
    try:
        smtp.send(message, parts)
    except OSError as error:
        if not smtp.is_passing(error):
            raise
        # The mail alone, not what made it: to make a link takes the one before away, which may have arrived.
        raise TryLater(partial(_send, email, subject, text), cause=type(error).__name__) from None
    log_event("mail_sent")
