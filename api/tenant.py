"""The tenant about itself, and what it uses."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from api.queries import read_no_parameters
from api.views import ApiView
from jobservice import ids
from jobservice.jobs.usage_report import report_usage
from tenants.quotas import all_limits
from tenants.tenancy import read_tenant


class ReadTenant(ApiView):
    required_scopes = frozenset({"tenant:read"})

    def get(self, request: Request) -> Response:
        """Who it is, its share in the order of work, and its limits; null is no limit."""
        read_no_parameters(request)
        tenant = read_tenant(self.credential.tenant_id)
        return Response(
            {
                "id": ids.show_id(ids.TENANT, tenant.id),
                "name": tenant.name,
                "status": tenant.status,
                "weight": tenant.weight,
                "plan": tenant.plan,
                "limits": all_limits(tenant.quotas),
            }
        )


class ReadUsage(ApiView):
    required_scopes = frozenset({"tenant:read"})

    def get(self, request: Request) -> Response:
        """Each quota with its limit, what is used of it, and when it frees by itself."""
        read_no_parameters(request)
        return Response({"data": report_usage(self.credential.tenant_id, self.credential.quotas)})
