"""The API's addresses: one line per address, one operation class per method."""

from django.urls import path

from api.api_keys import ListApiKeys, MakeApiKey, ReadApiKey, RevokeApiKey, RotateApiKey
from api.bulk_jobs import SubmitJobs
from api.docs.views import ReadAsset, ReadDocs
from api.health import Health, Readiness
from api.job_types import DeleteJobType, ListJobTypes, PutJobType, ReadJobType
from api.jobs import ChangeJob, EraseJob, ListAttempts, ListJobEvents, ListJobs, ReadJob, SubmitJob
from api.metrics import ReadMetrics
from api.openapi.views import ReadDocument
from api.problem_pages import ReadProblemPage
from api.signing_secrets import ReadDefaultSecret
from api.tenant import ReadTenant
from api.views import by_method

urlpatterns = [
    path("v1/jobs", by_method(GET=ListJobs, POST=SubmitJob)),
    path("v1/jobs/bulk", by_method(POST=SubmitJobs)),
    path("v1/jobs/<str:job_id>", by_method(GET=ReadJob, PATCH=ChangeJob, DELETE=EraseJob)),
    path("v1/jobs/<str:job_id>/attempts", by_method(GET=ListAttempts)),
    path("v1/jobs/<str:job_id>/events", by_method(GET=ListJobEvents)),
    path("v1/job-types", by_method(GET=ListJobTypes)),
    path("v1/job-types/<str:name>", by_method(GET=ReadJobType, PUT=PutJobType, DELETE=DeleteJobType)),
    path("v1/signing-secrets/default", by_method(GET=ReadDefaultSecret)),
    path("v1/api-keys", by_method(GET=ListApiKeys, POST=MakeApiKey)),
    path("v1/api-keys/<str:key_id>", by_method(GET=ReadApiKey, DELETE=RevokeApiKey)),
    path("v1/api-keys/<str:key_id>/rotate", by_method(POST=RotateApiKey)),
    path("v1/tenant", by_method(GET=ReadTenant)),
    path("healthz", by_method(GET=Health)),
    path("readyz", by_method(GET=Readiness)),
    path("metrics", by_method(GET=ReadMetrics)),
    path("v1/openapi.json", by_method(GET=ReadDocument)),
    path("docs", by_method(GET=ReadDocs)),
    path("docs/assets/<str:name>", by_method(GET=ReadAsset)),
    path("docs/problems/<str:code>", by_method(GET=ReadProblemPage)),
]
