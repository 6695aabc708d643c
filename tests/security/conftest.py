"""The secured broker, once a session."""

from collections.abc import Iterator

import pytest
from secured_broker import Secured, start_secured


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    found = start_secured(tmp_path_factory.mktemp("secured"))
    try:
        yield found
    finally:
        found.broker.stop()
