"""One way to ClickHouse, a server over HTTP or the embedded engine, with errors that say what to do."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver import exceptions
from clickhouse_connect.driver.exceptions import Error as DriverError

from sinks.clickhouse.errors import ClickHouseError, RefusedError, UnreachableError

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
# Blocks are already whole, and a block of old events may touch any number of weeks.
# Rows are there half a minute after they touched their hour, or never: see sinks/clickhouse/hours.py.
INSERT_SETTINGS = {"async_insert": 0, "throw_on_max_partitions_per_insert_block": 0, "max_execution_time": 30}
PLAIN_ARROW = {"output_format_arrow_low_cardinality_as_dictionary": 0}

# The server is there but cannot now: timeouts, memory, parts, disk, replicas, start and stop.
PASSING_CODES = frozenset(
    {0, 159, 160, 164, 202, 203, 209, 210, 236, 241, 242, 243, 252, 285, 319, 394, 425, 439, 473, 999, 1002}
)
WRAPPING = re.compile(
    r"^Received ClickHouse exception, .*?(?=Code: )|\s*\((?:version|for url) [^()]*\)", re.S
)
REMEDIES = {
    60: "create the tables with: aftcast setup",
    81: "create the database with: aftcast setup",
    192: "check clickhouse.user and clickhouse.password",
    193: "check clickhouse.user and clickhouse.password",
    194: "check clickhouse.user and clickhouse.password",
    516: "check clickhouse.user and clickhouse.password",
    497: "grant the user what the statement needs",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM for an ``https`` address; empty: the system's authorities, and no certificate of ours.

    With a password the certificate only opens the connection, without one it is the user's proof.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def options(self, password: str) -> dict[str, Any]:
        given = {
            "ca_cert": self.ca_file, "client_cert": self.certificate_file, "client_cert_key": self.key_file
        }  # fmt: skip
        options: dict[str, Any] = {name: file for name, file in given.items() if file}
        if self.certificate_file:
            options["tls_mode"] = "strict" if password else "mutual"
        return options


NO_TLS = Tls()


class Client:
    """A handle on one ClickHouse; use one per thread.

    ``address`` is where it stands, as error lines name it.
    """

    def __init__(self, driver: Any, address: str) -> None:
        self._driver = driver
        self.address = address
        self.version: str = driver.server_version

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that gives no rows."""
        with told_apart(self.address):
            self._driver.command(statement, parameters=parameters)

    def rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query, each by column name."""
        with told_apart(self.address):
            return list(self._driver.query(statement, parameters=parameters).named_results())

    def granted(self, right: str, on: str) -> bool:
        """Return whether this user has a right, such as ``INSERT``, on ``database.*``."""
        # It takes no FORMAT, which queries are sent with.
        with told_apart(self.address):
            return str(self._driver.command(f"CHECK GRANT {right} ON {on}")).strip() == "1"

    def arrow(self, statement: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the rows of a query as an Arrow table, texts as plain strings."""
        with told_apart(self.address):
            table: pa.Table = self._driver.query_arrow(
                statement, parameters=parameters, settings=PLAIN_ARROW, use_strings=True
            )
        return table

    def text(self, statement: str, layout: str = "PrettyCompactMonoBlock") -> str:
        """Return the result of a query as ClickHouse writes it in one of its output formats."""
        with told_apart(self.address):
            written: bytes = self._driver.raw_query(statement, fmt=layout)
        return written.decode()

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows to a qualified table, columns by name; on return they are there for every reader."""
        with told_apart(self.address):
            self._driver.insert_arrow(table, rows, settings=INSERT_SETTINGS)

    def close(self) -> None:
        self._driver.close()


def connect(
    url: str,
    user: str = "default",
    password: str = "",
    database: str | None = None,
    answer_within_s: int = ANSWER_TIMEOUT_S,
    tls: Tls = NO_TLS,
) -> Client:
    """Return a client for ``http://host:port``, ``https://host:port`` or ``chdb:///path``.

    Without ``database`` names must be qualified, which is how a database that is not there yet is created.

    Raises
    ------
    UnreachableError
        If nothing answers.
    RefusedError
        If the answer is no, or the embedded engine cannot own the path.
    ValueError
        If the url is none of the three forms.
    """
    # The driver prints what it also raises.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    parts = urlsplit(url)
    if parts.scheme == "chdb" and parts.path and not parts.netloc:
        return _embedded(unquote(parts.path), database)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f'clickhouse.url must be "http://host:port", "https://host:port" or "chdb:///path"; got "{url}"'
        )
    port = parts.port or (8123 if parts.scheme == "http" else 8443)
    address = f"{parts.hostname}:{port}"
    with told_apart(address):
        driver = clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=port,
            username=user,
            password=password,
            database=database,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=answer_within_s,
            # A session runs one statement at a time, and nothing here lives longer than a statement.
            autogenerate_session_id=False,
            **(tls.options(password) if parts.scheme == "https" else {}),
        )
    return Client(driver, address)


def _embedded(path: str, database: str | None) -> Client:
    try:
        driver = clickhouse_connect.get_client(interface="chdb", path=path)
    except ImportError as error:
        raise RefusedError(
            "clickhouse: chdb:// needs the embedded engine, which is not installed; "
            "install it with: pip install 'aftcast[demo]'"
        ) from error
    except DriverError as error:
        cause = str(error)
        if "lock" in cause.lower():
            cause = "another process owns it; query that process over HTTP, or stop it"
        elif "already initialized" in cause:
            cause = "this process already owns another path, and can own one at a time"
        raise RefusedError(f"clickhouse: cannot open {path} ({_first_line(cause)})") from error
    client = Client(driver, path)
    if database:
        try:
            client.command(f"USE `{database}`")
        except ClickHouseError:
            client.close()
            raise
    return client


@contextmanager
def told_apart(address: str) -> Iterator[None]:
    """Raise the driver's errors as ours: away and worth another try, or refused."""
    try:
        yield
    except ClickHouseError:
        raise
    except exceptions.OperationalError as error:
        raise UnreachableError(f"clickhouse: not reachable at {address} ({_root_cause(error)})") from error
    except DriverError as error:
        code = getattr(error, "code", None) or 0
        line = _first_line(str(error))
        if code in PASSING_CODES and not isinstance(error, exceptions.ProgrammingError):
            raise UnreachableError(f"clickhouse: {address} cannot answer now ({line})") from error
        remedy = f"; {REMEDIES[code]}" if code in REMEDIES else ""
        raise RefusedError(f"clickhouse: {address} refused: {line}{remedy}", code) from error


def _root_cause(error: BaseException) -> str:
    deepest: BaseException = error
    while following := deepest.__cause__ or deepest.__context__:
        deepest = following
    return (getattr(deepest, "strerror", None) or _first_line(str(deepest))).lower()


def _first_line(text: str) -> str:
    # The driver wraps what the engine says in its own words, version and url.
    return WRAPPING.sub("", text).strip().split("\n", 1)[0][:500]
