"""The tables of STATE_DIR's file, as migrations: forward only. What has been released is never edited, only added to.

The OCR broker writes the tables `ocr_…`, the web process all others; the web process also reads `ocr_jobs`.
"""

from __future__ import annotations

MIGRATIONS = (
    """
CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, purpose TEXT NOT NULL,
    name TEXT NOT NULL, bytes INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER, batch TEXT, failed INTEGER);
CREATE INDEX files_by_owner ON files (owner, seq);
CREATE INDEX files_by_batch ON files (batch, failed);
CREATE TABLE batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, status TEXT NOT NULL,
    endpoint TEXT NOT NULL, input TEXT NOT NULL, completion_window TEXT NOT NULL, metadata BLOB, model TEXT,
    errors BLOB, created INTEGER NOT NULL, expires INTEGER NOT NULL, output_ttl INTEGER NOT NULL, begun INTEGER,
    cancelling INTEGER, ended INTEGER, total INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX batches_by_owner ON batches (owner, seq);
CREATE INDEX batches_by_status ON batches (status, seq);
CREATE TABLE lines (
    batch TEXT NOT NULL, line INTEGER NOT NULL, custom_id TEXT NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (batch, line)) WITHOUT ROWID;
CREATE UNIQUE INDEX lines_by_custom_id ON lines (batch, custom_id);
CREATE INDEX pending_lines ON lines (batch, line) WHERE done = 0;
CREATE TABLE outcomes (
    batch TEXT NOT NULL, failed INTEGER NOT NULL, line INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX outcomes_by_line ON outcomes (batch, line);
CREATE INDEX outcomes_by_file ON outcomes (batch, failed, line);
""",
    """
CREATE TABLE responses (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, status TEXT NOT NULL,
    created INTEGER NOT NULL, response BLOB NOT NULL, items BLOB NOT NULL, ended INTEGER, model TEXT NOT NULL,
    work BLOB);
CREATE INDEX responses_by_status ON responses (status, seq);
CREATE INDEX responses_by_owner ON responses (owner, status);
CREATE INDEX responses_by_end ON responses (ended);
CREATE TABLE response_chunks (
    response TEXT NOT NULL, number INTEGER NOT NULL, events BLOB NOT NULL, deltas BLOB NOT NULL,
    PRIMARY KEY (response, number)) WITHOUT ROWID;
""",
    """
CREATE TABLE conversations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, created INTEGER NOT NULL,
    metadata BLOB NOT NULL, used INTEGER NOT NULL);
CREATE INDEX conversations_by_owner ON conversations (owner);
CREATE INDEX conversations_by_use ON conversations (used);
CREATE TABLE conversation_items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE (conversation, id));
CREATE INDEX conversation_items_in_order ON conversation_items (conversation, seq);
""",
    """
CREATE TABLE usage (
    day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, source TEXT NOT NULL,
    requests INTEGER NOT NULL DEFAULT 0, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (day, key, model, source)) WITHOUT ROWID;
CREATE TABLE key_uses (key TEXT PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
""",
    """
CREATE TABLE ocr_jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL DEFAULT '', state TEXT NOT NULL,
    format TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, bytes INTEGER NOT NULL, total INTEGER,
    source BLOB NOT NULL, error BLOB, stored_bytes INTEGER NOT NULL DEFAULT 0, pdf BLOB);
CREATE INDEX ocr_jobs_by_owner ON ocr_jobs (owner, seq);
CREATE INDEX ocr_jobs_by_state ON ocr_jobs (state, seq);
CREATE TABLE ocr_pages (
    job TEXT NOT NULL REFERENCES ocr_jobs(id) ON DELETE CASCADE, sequence INTEGER NOT NULL, number INTEGER NOT NULL,
    failed INTEGER NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID;
CREATE INDEX ocr_pages_by_sequence ON ocr_pages (job, sequence);
CREATE TABLE ocr_page_counts (
    day TEXT NOT NULL, owner TEXT NOT NULL, pages INTEGER NOT NULL, PRIMARY KEY (day, owner)) WITHOUT ROWID;
""",
)
