"""What can go wrong with ClickHouse, each with the place, the cause and the remedy in one line.

ClickHouseError
├── UnreachableError    the far end is away: keep the block, try again
├── RefusedError        the far end is there and says no: trying again will not help
└── NewerDatabaseError  a newer aftcast migrated this database
"""


class ClickHouseError(Exception):
    """Any failure of ClickHouse; the message is one line for people."""


class UnreachableError(ClickHouseError):
    """No answer, or one that says that the server is overloaded or starting."""


class RefusedError(ClickHouseError):
    """The server answered that it will not: wrong password, no such table, a column of another type.

    ``code`` is ClickHouse's error code, 0 where it gave none.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class NewerDatabaseError(ClickHouseError):
    """The database holds migrations that this version does not know."""
