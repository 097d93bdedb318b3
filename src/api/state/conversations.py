"""Rows of conversations and their items. Functions over one transaction of `Database.run`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from src.api.state.rows import Order, OwnedRows, behind
from src.errors import InvalidRequest, NotFound

_COLUMNS = "id, owner, created, metadata, used"
_MOST_BYTES = 32 << 20  # of one: all of it goes into a prompt
_MOST_KEY_BYTES = 1 << 30


class StoredConversation(msgspec.Struct, frozen=True):
    """`metadata` is JSON; `used`: Unix seconds, when something was last put in."""

    id: str
    owner: str
    created: int
    metadata: bytes
    used: int


class ConversationItem(msgspec.Struct, frozen=True):
    """`body` is JSON, with the id in it."""

    id: str
    body: bytes


class ConversationBounds(msgspec.Struct, frozen=True):
    per_key: int
    items: int


ROWS = OwnedRows(
    "conversations", f"SELECT {_COLUMNS} FROM conversations", StoredConversation, "conversation", "conversation"
)


def insert(
    db: sqlite3.Connection,
    conversation: StoredConversation,
    first: Sequence[ConversationItem],
    bounds: ConversationBounds,
) -> None:
    """With its first items. Raises InvalidRequest when the key has as many as it may."""
    if (count := ROWS.count(db, conversation.owner)) >= bounds.per_key:
        text = f"There are {count} conversations: the limit (CONVERSATIONS_PER_KEY). Delete some."
        raise InvalidRequest(text, param="conversation")
    db.execute(f"INSERT INTO conversations ({_COLUMNS}) VALUES (?,?,?,?,?)", msgspec.structs.astuple(conversation))
    append(db, conversation.id, first, bounds.items, conversation.used)


def set_metadata(db: sqlite3.Connection, name: str, metadata: bytes) -> None:
    db.execute("UPDATE conversations SET metadata = ? WHERE id = ?", (metadata, name))


def delete(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM conversation_items WHERE conversation = ?", (name,))
    db.execute("DELETE FROM conversations WHERE id = ?", (name,))


def forget(db: sqlite3.Connection, before: int) -> None:
    """Those that were not used since."""
    for (name,) in db.execute("SELECT id FROM conversations WHERE used <= ?", (before,)).fetchall():
        delete(db, name)


# ---- its items


def append(db: sqlite3.Connection, name: str, items: Sequence[ConversationItem], most: int, now: int) -> None:
    """Behind what is there, but for ids that are there; nothing where the conversation is gone.

    Raises:
        InvalidRequest: it would have more than `most`, or it or all of its key's would have too many bytes.
    """
    if not db.execute("UPDATE conversations SET used = ? WHERE id = ?", (now, name)).rowcount:
        return
    query = "SELECT COUNT(*), IFNULL(SUM(LENGTH(body)), 0) FROM conversation_items WHERE conversation = ?"
    count, held = db.execute(query, (name,)).fetchone()
    check_room(count, len(items), most)
    more = sum(len(one.body) for one in items)
    if held + more > _MOST_BYTES:
        text = f"The conversation has {held} bytes, {more} more have no room: {_MOST_BYTES >> 20} MiB is the limit."
        raise InvalidRequest(text, param="conversation")
    if _held_by_key_of(db, name) + more > _MOST_KEY_BYTES:
        text = f"This key's conversations have {_MOST_KEY_BYTES >> 20} MiB: the limit. Delete some."
        raise InvalidRequest(text, param="conversation")
    query = "INSERT OR IGNORE INTO conversation_items (conversation, id, body) VALUES (?,?,?)"
    db.executemany(query, [(name, one.id, one.body) for one in items])


def check_room(count: int, more: int, most: int) -> None:
    """Raises InvalidRequest where so many items more are beyond what a conversation may have."""
    if count + more > most:
        text = f"The conversation has {count} items, {more} more have no room: {most} is the limit"
        raise InvalidRequest(f"{text} (CONVERSATION_ITEMS).", param="conversation")


def _held_by_key_of(db: sqlite3.Connection, name: str) -> int:
    query = (
        "SELECT IFNULL(SUM(LENGTH(body)), 0) FROM conversation_items WHERE conversation IN"
        " (SELECT id FROM conversations WHERE owner = (SELECT owner FROM conversations WHERE id = ?))"
    )
    (held,) = db.execute(query, (name,)).fetchone()
    return int(held)


def item(db: sqlite3.Connection, name: str, item_id: str) -> ConversationItem:
    """Raises NotFound."""
    query = "SELECT id, body FROM conversation_items WHERE conversation = ? AND id = ?"
    row = db.execute(query, (name, item_id)).fetchone()
    if row is None:
        raise NotFound(f"No such item: {item_id[:80]!r}.", param="item_id")
    return ConversationItem(*row)


def items(
    db: sqlite3.Connection, name: str, *, after: str | None = None, limit: int = -1, order: Order = "asc"
) -> list[ConversationItem]:
    """Up to `limit` of them behind the one named `after`; -1 is all."""
    where, values = "conversation = ?", [name]
    if after is not None:
        item(db, name, after)
        where += f" AND {behind('conversation_items', order, 'conversation = ? AND id = ?')}"
        values += [name, after]
    query = f"SELECT id, body FROM conversation_items WHERE {where} ORDER BY seq {order.upper()} LIMIT ?"
    return [ConversationItem(*row) for row in db.execute(query, (*values, limit))]


def delete_item(db: sqlite3.Connection, name: str, item_id: str) -> None:
    """Raises NotFound."""
    found = item(db, name, item_id)
    db.execute("DELETE FROM conversation_items WHERE conversation = ? AND id = ?", (name, found.id))
