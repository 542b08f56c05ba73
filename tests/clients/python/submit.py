"""A program on the generated Python client: a job and its result, and what is wrong with other jobs."""

import os
import time

from jobservice_client import AuthenticatedClient
from jobservice_client.api.job_types import list_job_types
from jobservice_client.api.jobs import list_job_events, list_jobs, read_job, submit_job
from jobservice_client.models import (
    InvalidProblem,
    Job,
    JobAcceptedEntry,
    JobSubmission,
    JobSubmissionTagsType0,
    JobWithParts,
    ListJobsState,
    ReadJobIncludeItem,
    UnknownJobTypeProblem,
)


def read_ended(client: AuthenticatedClient, job_id: str) -> JobWithParts:
    include = [ReadJobIncludeItem.RESULT, ReadJobIncludeItem.METADATA]
    for _ in range(600):
        job = read_job.sync(job_id, client=client, include=include)
        assert isinstance(job, JobWithParts), job
        if job.finished_at is not None:
            return job
        time.sleep(0.1)
    raise AssertionError("The job did not end within a minute.")


client = AuthenticatedClient(base_url=os.environ["JOBSERVICE_URL"], token=os.environ["JOBSERVICE_API_KEY"])
tags = JobSubmissionTagsType0.from_dict({"customer": "7"})
job = submit_job.sync(
    client=client, body=JobSubmission(type_="echo", payload={"n": [1, None, "ü"]}, tags=tags, metadata="m")
)
assert isinstance(job, Job), job
assert job.tags["customer"] == "7"
ended = read_ended(client, job.id)
assert (ended.state.value, ended.result, ended.metadata) == ("completed", {"n": [1, None, "ü"]}, "m"), ended

page = list_jobs.sync(client=client, state=ListJobsState.COMPLETED, tag=["customer:7"])
assert job.id in [found.id for found in page.data]
timeline = list_job_events.sync(job.id, client=client)
assert isinstance(timeline.data[0], JobAcceptedEntry), timeline
assert "echo" in [job_type.name for job_type in list_job_types.sync(client=client).data]

refused = submit_job.sync(client=client, body=JobSubmission(type_="echo", priority=10))
assert isinstance(refused, InvalidProblem), refused
assert [(fault.pointer, fault.code) for fault in refused.errors] == [("/priority", "out-of-range")]
unknown = submit_job.sync(client=client, body=JobSubmission(type_="nobody.knows"))
assert isinstance(unknown, UnknownJobTypeProblem), unknown
print("result", ended.result)
