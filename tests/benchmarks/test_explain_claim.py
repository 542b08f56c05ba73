"""The plan that is kept beside the claim is a plan of this claim."""

from tests.benchmarks.explain_claim import PLAN, fingerprint


def test_the_plan_kept_beside_the_claim_is_of_the_statement_as_it_is() -> None:
    assert fingerprint() in PLAN.read_text(), "run `python -m tests.benchmarks.explain_claim`"
