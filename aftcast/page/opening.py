"""From the configuration to a page that answers."""

import socket
from collections.abc import Callable
from importlib.metadata import version

from aftcast.configuration import Configuration
from aftcast.page.application import Page, PageSettings, Switchboard
from aftcast.page.asking import Asker
from aftcast.page.guards import Guard
from aftcast.page.serving import PageServer
from aftcast.page.spans import DEFAULT_SPAN
from sinks.clickhouse.client import Client

PORTS_TRIED = 20


def page_server(
    configuration: Configuration,
    connect: Callable[[], Client],
    *,
    default_span: str = DEFAULT_SPAN,
    switches: Switchboard | None = None,
) -> PageServer:
    """Return the page's server, not yet started; ``connect`` opens a client of ClickHouse for one thread."""
    page = configuration.page
    token = page.token.get_secret_value() if page.token else ""
    hosts = tuple(host.lower() for host in page.hosts)
    # A pane may be a fraction of a second; windows of the page are whole seconds.
    asker = Asker(connect, configuration.clickhouse.database, max(1, configuration.panes.width_ms // 1000))
    settings = PageSettings(version("aftcast"), default_span)
    guarded = Page(asker, Guard(page.host, hosts, token), settings, switches)
    return PageServer(guarded, asker, page.host, free_port(configuration))


def free_port(configuration: Configuration) -> int:
    """Return the port of the page; a default that is taken moves on to the next free one."""
    page = configuration.page
    if "port" in page.model_fields_set:
        return page.port
    for port in range(page.port, page.port + PORTS_TRIED):
        try:
            family, kind, _, _, address = socket.getaddrinfo(page.host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError:
            continue
        return port
    return page.port
