"""An error that a person can do something about: shown as one line, without a traceback."""


class Failure(Exception):  # noqa: N818
    """The command did not do what it was asked to; the text says what, where and what to do."""
