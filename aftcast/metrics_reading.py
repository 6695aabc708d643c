"""What a running worker tells on its metrics page, by name and partition."""

import urllib.request
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

ANSWER_WITHIN_S = 3.0

Figures = dict[int, dict[str, float]]


def read_pages(urls: Sequence[str], token: str = "") -> tuple[Figures, dict[str, str]]:
    """Read the pages of several workers, with the bearer token that they ask for.

    Returns
    -------
    tuple
        Values by partition and metric name; and why a page could not be read, by its address.
    """
    figures: Figures = {}
    failed: dict[str, str] = {}
    for url in urls:
        if not url.startswith(("http://", "https://")):
            failed[url] = "no address of the form http://host:port/metrics"
            continue
        try:
            request = urllib.request.Request(url)  # noqa: S310 - see above
            if token:
                # Not sent on to where an answer points.
                request.add_unredirected_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
                text = answer.read().decode()
            families = list(text_string_to_metric_families(text))
        except (OSError, ValueError) as error:
            failed[url] = str(getattr(error, "reason", error))
            continue
        for family in families:
            for sample in family.samples:
                if "partition" in sample.labels:
                    of_partition = figures.setdefault(int(sample.labels["partition"]), {})
                    of_partition[sample.name] = sample.value
    return figures, failed
