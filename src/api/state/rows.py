"""What the tables of clients' things have in common: a row is its owner's, found by id, listed in the order it came.

Functions over one transaction of `Database.run` or `read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from src.errors import NotFound

T = TypeVar("T")
Order = Literal["asc", "desc"]


@dataclass(frozen=True)
class OwnedRows(Generic[T]):
    """A table with `seq`, `id` and `owner`. `make`: what the columns of `select` become; `where`: which rows there are.

    `noun` and `param`: what a 404 names.
    """

    table: str
    select: str
    make: Callable[..., T]
    noun: str
    param: str
    where: str = "1 = 1"

    def find(self, db: sqlite3.Connection, owner: str | None, name: str) -> T | None:
        """`owner` None is anybody's."""
        query = f"{self.select} WHERE id = ? AND owner = IFNULL(?, owner) AND {self.where}"
        row = db.execute(query, (name, owner)).fetchone()
        return None if row is None else self.make(*row)

    def get(self, db: sqlite3.Connection, owner: str | None, name: str) -> T:
        """Raises NotFound."""
        if (found := self.find(db, owner, name)) is None:
            raise NotFound(f"No such {self.noun}: {name[:80]!r}.", param=self.param, sought=name)
        return found

    def page(
        self, db: sqlite3.Connection, owner: str | None, *, after: str | None, limit: int, order: Order, **equal: object
    ) -> list[T]:
        """Up to `limit` behind the one named `after`, of those whose columns have the values of `equal`."""
        wanted = {key: value for key, value in {"owner": owner, **equal}.items() if value is not None}
        where, values = [self.where, *(f"{key} = ?" for key in wanted)], list(wanted.values())
        if after is not None:
            self.get(db, owner, after)
            where.append(behind(self.table, order))
            values.append(after)
        query = f"{self.select} WHERE {' AND '.join(where)} ORDER BY seq {order.upper()} LIMIT ?"
        return [self.make(*row) for row in db.execute(query, (*values, limit))]

    def count(self, db: sqlite3.Connection, owner: str) -> int:
        (found,) = db.execute(f"SELECT COUNT(*) FROM {self.table} WHERE owner = ?", (owner,)).fetchone()
        return int(found)


def behind(table: str, order: Order, found: str = "id = ?") -> str:
    """A condition: rows that are listed behind the one that is `found`."""
    return f"seq {'<' if order == 'desc' else '>'} (SELECT seq FROM {table} WHERE {found})"
