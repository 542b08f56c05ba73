"""The geometry of charts."""

from __future__ import annotations

import pytest

from tenants.console.charts import HEIGHT, WIDTH, draw_line, round_up, stack_columns


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (10, 10), (11, 20), (499, 500), (0.3, 0.5), (0.07, 0.1)],
)
def test_the_top_is_a_round_number_above_all_values(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_columns_stand_side_by_side_and_their_bars_upon_each_other() -> None:
    columns = stack_columns([[2, 1], [0, 0]], ["a", "b"], top=4, titles=["x", "y"], hrefs=["/x", "/y"])
    assert [(one.x, one.width, one.title, one.href) for one in columns] == [
        (0, WIDTH / 2, "x", "/x"),
        (WIDTH / 2, WIDTH / 2, "y", "/y"),
    ]
    lower, upper = columns[0].bars
    assert (lower.tone, lower.y + lower.height, lower.height) == ("a", HEIGHT, HEIGHT / 2)
    assert (upper.tone, upper.y + upper.height, upper.height) == ("b", lower.y, HEIGHT / 4)
    assert columns[1].bars == []


def test_one_of_a_million_can_be_seen() -> None:
    (column,) = stack_columns([[1]], ["a"], top=1_000_000, titles=[""], hrefs=[""])
    assert column.bars[0].height > 1


def test_a_line_is_broken_off_where_there_is_no_value() -> None:
    line = draw_line([1, 2, None, 2, None, None], "a", top=2)
    assert line.runs == ["50.0,80.0 150.0,0.0"]
    assert line.dots == [(350.0, 0.0)]
    assert draw_line([], "a", top=1).runs == []
