"""Runs statements in the embedded engine as ClickHouse's HTTP interface does: settings, sessions, errors."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import chdb

# Of the parameters of a URL, those that are no setting.
CONTROLS = frozenset(
    (
        "query",
        "query_id",
        "database",
        "default_format",
        "user",
        "password",
        "quota_key",
        "role",
        "session_id",
        "session_timeout",
        "session_check",
        "close_session",
        "compress",
        "decompress",
        "enable_http_compression",
        "buffer_size",
        "wait_end_of_query",
        "client_protocol_version",
    )
)
# What a statement may begin with or hold that is no code: comments and quoted names and texts.
SKIPPED = rb"--[^\n]*+\n|/\*.*?\*/"
QUOTED = rb"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"|`(?:[^`\\]|\\.)*+`|" + SKIPPED
# INSERT ... FORMAT x, up to where its data begin. INSERT SELECT, VALUES and INFILE are plain statements.
INSERT = re.compile(
    rb"(?:\s|" + SKIPPED + rb")*+(INSERT\s+INTO\s(?:" + QUOTED + rb"|\((?:" + QUOTED + rb"|[^()'\"`])*+\)"
    rb"|\b(?!(?:SELECT|WITH|VALUES|INFILE|FORMAT)\b)\w++|[^\w'\"`(])*+)"
    rb"\bFORMAT\s+(\w+)[ \t\r]*;?[ \t\r]*\n?",
    re.I | re.S,
)
READS = re.compile(
    rb"(?:[\s(]|" + SKIPPED + rb")*+(?:SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN|CHECK)\b", re.I | re.S
)
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:SETTINGS\s[^;]*)?;?\s*$", re.I)
INSERT_HEAD_BYTES = 1 << 18  # ClickHouse's own limit on a statement before its data
SESSION_TIMEOUT_S = 60.0
# Grafana's driver opens with this, and reads Native blocks as of the revision it is told: the engine's is 0.
GREETING = b"SELECT displayName(), version(), revision(), timezone()"
GREETING_FROM_PROTOCOL = 54454


class StatementError(Exception):
    """The engine's or our own refusal of a statement, worded as ClickHouse words it."""

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text}. ({name})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: its output, the format of it ('' where there is no result), and its summary."""

    output: bytes
    layout: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)

    def summary_header(self) -> str:
        return json.dumps({name: str(value) for name, value in self.summary.items()})


@dataclass(slots=True)
class _Session:
    connection: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    expires_s: float = 0.0


class Engine:
    """The owner of one embedded database; a statement runs on a connection of its own, or its session's."""

    def __init__(self, path: str) -> None:
        self._path = path
        # Holds the engine and its background merges between requests.
        self._anchor = _open(path)
        told = self._anchor.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        self.version, self.timezone = told
        self._sessions: dict[str, _Session] = {}
        self._sessions_lock = threading.Lock()

    def close(self) -> None:
        for session in self._sessions.values():
            session.connection.close()
        self._sessions.clear()
        self._anchor.close()

    def execute(
        self, statement: bytes, data: bytes, parameters: Mapping[str, str], layout: str, *, readonly: bool
    ) -> Answer:
        """Run one statement, ``data`` being the rows of an INSERT or the rest of the statement.

        Raises
        ------
        StatementError
            What is not offered here.
        RuntimeError
            The engine's error, text that begins with ``Code:``.
        """
        if "1" in (parameters.get("compress"), parameters.get("decompress")):
            raise StatementError(48, "NOT_IMPLEMENTED", "compress=1 and decompress=1 are not offered here")
        protocol = int(parameters.get("client_protocol_version", 0))
        if statement.startswith(GREETING) and protocol >= GREETING_FROM_PROTOCOL:
            return Answer(self._greeting(), "Native")
        started_s = time.perf_counter()
        with self._connection(parameters, readonly=readonly) as connection:
            head = INSERT.match(statement[:INSERT_HEAD_BYTES])
            if head:
                with connection.send_insert(head[1].decode(), head[2].decode()) as inserting:
                    for part in filter(None, (statement[head.end() :], data)):
                        inserting.append(part)
                    result = inserting.finish()
                output, layout = b"", ""
                summary = {"written_rows": result.rows_written, "written_bytes": result.bytes_written}
            else:
                statement = statement + b"\n" + data if data else statement
                result = connection.query(statement, layout)
                output, named = result.bytes(), FORMAT.search(statement[-4096:])
                written = named[1].decode() if named else layout
                layout = written if output or READS.match(statement) else ""
                summary = {
                    "read_rows": result.storage_rows_read(),
                    "read_bytes": result.storage_bytes_read(),
                    "result_rows": result.rows_read(),
                    "result_bytes": len(output),
                    "written_rows": result.rows_written(),
                    "written_bytes": result.bytes_written(),
                }
        summary["elapsed_ns"] = int((time.perf_counter() - started_s) * 1e9)
        return Answer(output, layout, summary)

    @contextmanager
    def _connection(self, parameters: Mapping[str, str], *, readonly: bool) -> Iterator[Any]:
        name = parameters.get("session_id", "")
        session = self._claim(name, float(parameters.get("session_timeout", SESSION_TIMEOUT_S)))
        connection, undo = session.connection, []
        try:
            if database := parameters.get("database"):
                current = connection.query("SELECT currentDatabase()", "TSVRaw").bytes().decode().rstrip("\n")
                undo.append("USE " + _quote(current, "`"))
                connection.query("USE " + _quote(database, "`"))
            settings = {key: value for key, value in parameters.items() if key not in CONTROLS}
            if readonly and not name:
                settings["readonly"] = "2"
            if settings:
                undo += [f"SET {_quote(key, '`')} = DEFAULT" for key in settings if key[:6] != "param_"]
                assigned = (
                    f"{_quote(key, '`')} = {_quote(value, chr(39))}" for key, value in settings.items()
                )
                connection.query("SET " + ", ".join(assigned))
            yield connection
        finally:
            if name:
                # What came by URL was for one request, not for its session.
                for statement in undo:
                    try:
                        connection.query(statement)
                    except RuntimeError:  # a setting that there is not: the SET above failed as a whole
                        break
            else:
                connection.close()
            session.lock.release()

    def _claim(self, name: str, timeout_s: float) -> _Session:
        now_s = time.monotonic()
        with self._sessions_lock:
            for key, held in list(self._sessions.items()):
                if held.expires_s < now_s and not held.lock.locked():
                    self._sessions.pop(key).connection.close()
            session = self._sessions.get(name) if name else None
            if session is None:
                session = _Session(_open(self._path))
                if name:
                    self._sessions[name] = session
            if not session.lock.acquire(blocking=False):
                raise StatementError(
                    373, "SESSION_IS_LOCKED", f"Session {name} is locked by a concurrent client"
                )
            session.expires_s = now_s + timeout_s
        return session

    def _greeting(self) -> bytes:
        values = [
            (b"String", _native_text("chDB")),
            (b"String", _native_text(self.version)),
            (b"UInt32", bytes(4)),
            (b"String", _native_text(self.timezone)),
        ]
        columns = (
            b"\1%c%c%s\0%s" % (97 + i, len(kind), kind, value) for i, (kind, value) in enumerate(values)
        )
        return b"\1\0\2\xff\xff\xff\xff\0\4\1" + b"".join(columns)


def _open(path: str) -> Any:
    return chdb.connect(path)  # type: ignore[no-untyped-call]


def _native_text(text: str) -> bytes:
    return b"%c%s" % (len(text), text.encode())


def _quote(text: str, mark: str) -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark
