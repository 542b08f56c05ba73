"""Random reads by the ORM: one is built from a seed alone, so that the same one can be asked twice.

Each source of a read (its own rows, and those of its subqueries) is taken from `rows_of`: as they are, or with the
tenants that may be seen named in a filter, which must come to the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from random import Random
from typing import Any, TypeAlias

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber

from tests.security.tenant_tables import Readable

Rows = Callable[[Readable], "QuerySet[Any]"]
Field: TypeAlias = "models.Field[Any, Any]"
# Values that really stand in a column, whoever's they are, by table and column.
Samples = Mapping[tuple[str, str], Sequence[Any]]

_ORDERED = (models.IntegerField, models.DateTimeField, models.DateField, models.FloatField, models.TextField)


class RandomRead:
    """A read made by a seed. `ask` makes it and answers what it came to, comparable and as plain values."""

    def __init__(self, seed: str, *, readable: Sequence[Readable], samples: Samples) -> None:
        self._seed = seed
        self._readable = readable
        self._samples = samples

    def ask(self, rows_of: Rows) -> Any:
        """What the read came to, and in `told` the ids of the tenants whose rows are in it."""
        self._random = Random(self._seed)
        self._rows_of = rows_of
        source = self._random.choice(self._readable)
        queryset: QuerySet[Any] = rows_of(source)
        for _ in range(self._random.randint(0, 3)):
            step = self._random.choice(self._steps())
            queryset = step(source, queryset)
        return self._random.choice(self._endings())(source, queryset)

    def _steps(self) -> list[Callable[[Readable, QuerySet[Any]], QuerySet[Any]]]:
        return [
            self._filter,
            self._exclude,
            self._filter_by_a_subquery,
            self._filter_by_existence,
            self._annotate_with_a_subquery,
            self._join,
        ]

    def _endings(self) -> list[Callable[[Readable, QuerySet[Any]], Any]]:
        return [
            self._list_values,
            self._list_objects,
            self._list_a_slice,
            self._list_distinct,
            self._unite,
            self._number_rows,
            self._group,
            self._aggregate,
            lambda _, queryset: queryset.count(),
            lambda _, queryset: queryset.exists(),
        ]

    # Steps

    def _filter(self, source: Readable, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self._condition(source))

    def _exclude(self, source: Readable, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.exclude(self._condition(source))

    def _filter_by_a_subquery(self, source: Readable, queryset: QuerySet[Any]) -> QuerySet[Any]:
        field, inner, twin = self._pair(source)
        found = self._rows_of(inner).filter(self._condition(inner)).values(twin.attname)
        return queryset.filter(**{f"{field.attname}__in": found})

    def _filter_by_existence(self, source: Readable, queryset: QuerySet[Any]) -> QuerySet[Any]:
        field, inner, twin = self._pair(source)
        found = Q(Exists(self._rows_of(inner).filter(**{twin.attname: OuterRef(field.attname)})))
        return queryset.filter(found if self._random.random() < 0.7 else ~found)

    def _annotate_with_a_subquery(self, source: Readable, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Whose row it is that a subquery meets first, kept where it is somebody's."""
        field, inner, twin = self._pair(source)
        related = self._rows_of(inner).filter(**{twin.attname: OuterRef(field.attname)})
        name = f"met_{len(queryset.query.annotations)}"
        met = Subquery(related.order_by(inner.owner).values(inner.owner)[:1])
        is_met = Q(**{f"{name}__isnull": self._random.random() < 0.5})
        annotated: QuerySet[Any] = queryset.annotate(**{name: met})
        return annotated.filter(is_met | self._condition(source))

    def _join(self, source: Readable, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Over a relation, where the model has one."""
        relations = [field for field in source.fields if field.is_relation]
        if not relations:
            return queryset
        field = self._random.choice(relations)
        return queryset.filter(**{f"{field.name}__pk__isnull": False}).select_related(field.name)

    # Conditions

    def _condition(self, source: Readable) -> Q:
        parts = [self._comparison(source) for _ in range(self._random.randint(1, 3))]
        parts = [~part if self._random.random() < 0.2 else part for part in parts]
        return reduce(self._random.choice([operator.and_, operator.or_]), parts)

    def _comparison(self, source: Readable) -> Q:
        field = self._random.choice(source.fields)
        name, values = field.attname, self._samples[source.model._meta.db_table, field.attname]
        if not values or self._random.random() < 0.15:
            return Q(**{f"{name}__isnull": self._random.random() < 0.5})
        value = self._random.choice(values)
        lookups: list[tuple[str, Any]] = [("exact", value), ("in", self._random.choices(values, k=3))]
        if isinstance(field, _ORDERED):
            lookups += [(lookup, value) for lookup in ("gt", "gte", "lt", "lte")]
            lookups.append(("range", (value, self._random.choice(values))))
        if isinstance(field, models.TextField):
            part = value[: self._random.randint(0, 3)]
            lookups += [("startswith", part), ("icontains", part), ("endswith", value[-1:]), ("regex", "^[a-m]")]
        if isinstance(field, models.JSONField):
            lookups = [("exact", value), ("has_key", "customer")]
        if isinstance(field, ArrayField):
            lookups = [("contains", value[:1]), ("overlap", value), ("len", len(value))]
        lookup, wanted = self._random.choice(lookups)
        return Q(**{f"{name}__{lookup}": wanted})

    def _pair(self, source: Readable) -> tuple[Field, Readable, Field]:
        """A column, and one of the same type of any table: what a join would compare."""
        field = self._random.choice([field for field in source.fields if isinstance(field, models.UUIDField)])
        inner = self._random.choice(self._readable)
        twin = self._random.choice([other for other in inner.fields if isinstance(other, models.UUIDField)])
        return field, inner, twin

    # Endings

    def _list_values(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        return _sorted(queryset.values_list(*_names(source)))

    def _list_objects(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        found = queryset.only(*_names(source))
        return _sorted([getattr(row, name) for name in _names(source)] for row in found)

    def _list_a_slice(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        """By all columns in some order, so that it is the same slice each time."""
        order = self._random.sample(_names(source), k=len(source.fields))
        order = [self._random.choice(["", "-"]) + name for name in order]
        begin = self._random.randint(0, 4)
        found = queryset.order_by(*order).values_list(*_names(source))[begin : begin + self._random.randint(1, 9)]
        return [list(map(repr, row)) for row in found]

    def _list_distinct(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        names = self._random.sample(_names(source), k=min(2, len(source.fields)))
        return _sorted(queryset.values_list(source.owner, *names).distinct())

    def _unite(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        other = self._rows_of(source).filter(self._condition(source)).values_list(*_names(source))
        combine = self._random.choice(["union", "intersection", "difference"])
        return _sorted(getattr(queryset.values_list(*_names(source)), combine)(other))

    def _number_rows(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        numbered = Window(RowNumber(), partition_by=F(source.owner), order_by=[F(name) for name in _names(source)])
        return _sorted(queryset.annotate(numbered=numbered).values_list(source.owner, "numbered"))

    def _group(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        name = self._random.choice(_names(source))
        grouped = queryset.order_by().values(name).annotate(n=Count("*"), whose=ArrayAgg(source.owner, distinct=True))
        return _sorted(grouped.values_list(name, "n", "whose"))

    def _aggregate(self, source: Readable, queryset: QuerySet[Any]) -> Any:
        field = self._random.choice([field for field in source.fields if isinstance(field, _ORDERED)] or [None])
        whole: dict[str, Any] = {"n": Count("*"), "whose": ArrayAgg(source.owner, distinct=True)}
        if field is not None:
            whole |= {"least": Min(field.attname), "most": Max(field.attname)}
        return _plain(queryset.aggregate(**whole))


def _names(source: Readable) -> list[str]:
    return [field.attname for field in source.fields]


def _sorted(rows: Any) -> list[list[str]]:
    return sorted([_plain(value) for value in row] for row in rows)


def _plain(value: Any) -> Any:
    return repr(bytes(value)) if isinstance(value, memoryview) else repr(value)
