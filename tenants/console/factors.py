"""One's own second factors: the list, an authenticator app, passkeys, recovery codes. A change needs a fresh proof.

Recovery codes stand in the answer that makes them, and nowhere again.
"""

from __future__ import annotations

from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

from jobservice.errors import Invalid
from tenants.console import passkeys, places
from tenants.console.access import OWN_ACCOUNT, ConsoleView
from tenants.console.signing_in import own_session
from tenants.login_throttle import CODE, take_held_try
from tenants.models import Account
from tenants.second_factors import (
    TOTP_KIND,
    add_passkey,
    add_totp,
    count_recovery_codes,
    list_factors,
    remove_factor,
    renew_recovery_codes,
)
from tenants.seeds import SETTING_UP, open_seed, seal_seed, seeds_of

# In the session while the app is set up: sealed, as all seeds are.
_SEED = "totp_seed"
_LONGEST_NAME = 60


class ListFactors(ConsoleView):
    permission = OWN_ACCOUNT

    def get(self, request: HttpRequest) -> HttpResponseBase:
        factors = list_factors(self.standing.account_id)
        content = {
            "factors": [(one, one.data.get("name") or _("Authenticator app")) for one in factors],
            "has_totp": any(one.type == TOTP_KIND for one in factors),
            "recovery_codes": count_recovery_codes(self.standing.account_id),
            "is_needed": self.standing.needs_factor(self.membership),
        }
        return render(request, "console/factors.html", content)


class AddTotp(ConsoleView):
    permission = OWN_ACCOUNT
    step_up = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._show(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        take_held_try(CODE, self.standing.account_id)
        try:
            codes = add_totp(
                self.standing.account_id,
                self._seed(request),
                request.POST.get("code", "")[:20],
                kept_session=own_session(request),
                epoch=self.standing.login_epoch,
            )
        except Invalid as error:
            return self._show(request, error=error.faults[0].detail)
        request.session.pop(_SEED, None)
        return _show_codes(request, codes)

    def _seed(self, request: HttpRequest) -> str:
        with seeds_of(self.standing.account_id, SETTING_UP):
            if _SEED not in request.session:
                request.session[_SEED] = seal_seed(generate_totp_secret())
            return open_seed(request.session[_SEED])

    def _show(self, request: HttpRequest, error: str = "") -> HttpResponseBase:
        seed = self._seed(request)
        url = get_adapter().build_totp_url(Account.objects.get(id=self.standing.account_id), seed)
        size, path = draw_qr_code(url)
        content = {"seed": " ".join(seed[at : at + 4] for at in range(0, len(seed), 4)), "size": size, "path": path}
        return render(request, "console/totp.html", {**content, "error": error}, status=422 if error else 200)


class AddPasskey(ConsoleView):
    permission = OWN_ACCOUNT
    step_up = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._show(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            credential = passkeys.complete_registration(request.POST.get("credential", ""))
        except Invalid as error:
            return self._show(request, error=error.faults[0].detail)
        name = request.POST.get("name", "").strip()[:_LONGEST_NAME] or _("Passkey")
        if "\x00" in name:
            return self._show(request, error=_("This name holds a character that cannot be typed."))
        codes = add_passkey(
            self.standing.account_id,
            name,
            credential,
            kept_session=own_session(request),
            epoch=self.standing.login_epoch,
        )
        return _show_codes(request, codes)

    def _show(self, request: HttpRequest, error: str = "") -> HttpResponseBase:
        options = passkeys.registration_options(self.standing.account_id)
        return render(
            request, "console/passkey.html", {"options": options, "error": error}, status=422 if error else 200
        )


class RemoveFactor(ConsoleView):
    permission = OWN_ACCOUNT
    step_up = True

    def post(self, request: HttpRequest, factor: int) -> HttpResponseBase:
        is_required = self.standing.is_staff or any(one.require_mfa for one in self.standing.memberships)
        remove_factor(
            self.standing.account_id,
            factor,
            is_required=is_required,
            kept_session=own_session(request),
            epoch=self.standing.login_epoch,
        )
        return HttpResponseRedirect(places.FACTORS)


class RenewRecoveryCodes(ConsoleView):
    permission = OWN_ACCOUNT
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        own, epoch = own_session(request), self.standing.login_epoch
        return _show_codes(request, renew_recovery_codes(self.standing.account_id, kept_session=own, epoch=epoch))


def draw_qr_code(text: str) -> tuple[int, str]:
    """The width of a QR code with its quiet zone, and the dark modules as the path of an SVG: no style, no script."""
    code = QRCode(error_correction=ERROR_CORRECT_M)
    code.add_data(text)
    rows = code.get_matrix()
    dark = (f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
    return len(rows), "".join(dark)


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponseBase:
    """The new recovery codes, this once; without any, back to the list."""
    if not codes:
        return HttpResponseRedirect(places.FACTORS)
    return render(request, "console/recovery_codes.html", {"codes": codes})
