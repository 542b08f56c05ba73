"""Jobs of one request with the same unique key: what becomes of each, whoever held the key before."""

from __future__ import annotations

import pytest

from jobservice.ids import new_id
from jobservice.jobs.unique_claims import Holder
from jobservice.jobs.unique_option import OnConflict, UniqueOption
from jobservice.jobs.unique_wishes import TakenKeys, Wish, conflicts_of_group, settle_group

OLD = Holder(new_id(), "default", is_held=True, is_free=False)
HIDDEN = Holder(new_id(), "letters", is_held=True, is_free=False)
GONE = Holder(new_id(), None, is_held=False, is_free=False)
WORDS: dict[str, OnConflict] = {"t": "return", "j": "reject", "p": "replace"}

# Who held it before, and whether he gives way; what each asks for (reTurn, reJect, rePlace); and what becomes of each:
# new, a number: answered with that one (old: with the one from before), !: refused. Then who was replaced.
CASES = [
    (None, True, "t", "new", ""),
    (None, True, "ttj", "new 0 !0", ""),
    (None, True, "jp", "new new", "0"),
    (None, True, "ptpj", "new 0 new !2", "0"),
    (OLD, False, "tjp", "old !old !old", ""),
    (OLD, True, "p", "new", "old"),
    (OLD, True, "tjptp", "old !old new 2 new", "old 2"),
    (HIDDEN, False, "tjp", "! ! !", ""),
    (GONE, False, "tp", "! !", ""),
]


@pytest.mark.parametrize(("first", "is_taken", "asked", "expected", "replaced"), CASES)
def test_each_is_settled_as_if_it_came_alone(
    first: Holder | None, is_taken: bool, asked: str, expected: str, replaced: str
) -> None:
    group = [Wish(new_id(), b"h", UniqueOption(key="k", on_conflict=WORDS[letter])) for letter in asked]
    names = {wish.job_id: str(place) for place, wish in enumerate(group)} | ({first.job_id: "old"} if first else {})
    keys = TakenKeys()
    settle_group(keys, group, first, is_taken=is_taken, queues=["default"])

    def told(wish: Wish) -> str:
        if wish.job_id in keys.duplicates:
            return names[keys.duplicates[wish.job_id]]
        if wish.job_id in keys.conflicts:
            holder = keys.conflicts[wish.job_id].holder_id
            return "!" if holder is None else f"!{names[holder]}"
        assert keys.lets_in(wish.job_id)
        return "new"

    assert [told(wish) for wish in group] == expected.split()
    assert [names[job_id] for job_id in keys.replaced] == replaced.split()
    # Whoever holds the key in the end is whom the statement gave it to: the last that replaces, else the first.
    taker = max((place for place, letter in enumerate(asked) if letter == "p"), default=0)
    assert [names[wish.job_id] for wish in keys.holding] == ([str(taker)] if is_taken else [])


def test_a_group_that_is_refused_names_no_job_that_is_not_stored() -> None:
    group = [Wish(new_id(), b"h", UniqueOption(key="k", on_conflict="reject")) for _ in range(2)]
    keys = TakenKeys()
    settle_group(keys, group, None, is_taken=True, queues=None)
    (none, (conflict,)) = conflicts_of_group(keys, [wish.job_id for wish in group])
    assert none == []
    assert conflict.detail == "An earlier job of the group holds this unique key."
