"""What the document says before its operations: the rules that hold for all of them."""

VERSION = "1.0.0"

INTRODUCTION = """\
A self-hosted, multi-tenant job-processing service: post a job, have it run within your tenant's limits, and be called
back, signed, when it ends.

**Keys.** `Authorization: Bearer js_live_…` on every operation under `/v1` but this document and the later ends, whose
addresses are themselves the right to them. Each operation names the scopes that the key needs.

**Values.** JSON in UTF-8. Times are RFC 3339, shown in UTC. Durations are whole numbers with the unit in their name. A
member that is null counts as not given, unless its operation says otherwise. Unknown members and unknown query
parameters are refused. A body is nested at most 100 deep, holds at most 1,000,000 objects and arrays, and no object in
it names a member twice.

**Answers grow.** An object may get new members: ignore those that you do not know.

**Problems.** Every error is `application/problem+json` (RFC 9457). A program looks at `code`; `type` leads to a page
that says what to do. Any address may also answer 404 `not-found`, 405 `method-not-allowed` and, to a request
that is too slow or too long, 408, 414 and 431. Nothing is half done on any error.

**Lists.** The newest first. `next_cursor` goes into `cursor` for the next page, with the same filters.

**Request ids.** Send `X-Request-Id` (up to 128 letters, digits, `.`, `_` and `-`), or get one; each answer has it.

**Another tenant's** id is answered exactly like one that does not exist.
"""
