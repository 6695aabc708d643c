r"""The variables of the boards, and how statements read them.

Grafana puts the text of a variable into a statement. None of its ways to quote is safe in ClickHouse: they
escape quotes and leave backslashes as they are, so that a model called ``a\`` ends the text. Percent-encoded
text has neither, and the server decodes it inside of a text of its own.
"""

from aftcast.dashboards.panels import Variable


def chosen_text(name: str) -> str:
    """Return the expression for what is chosen, whatever characters it has.

    Examples
    --------
    >>> chosen_text("model")
    "decodeURLComponent('${model:percentencode}')"
    """
    return f"decodeURLComponent('${{{name}:percentencode}}')"


EVERY = "*"  # what stands for "All"
ALL_TRAFFIC = "all traffic"  # no segment is called so: those are name=value
NO_VERSION = "(no version)"  # Grafana has no way to choose an empty text

# Windows are whole panes of 60 s, whatever an address says.
WINDOW = f"greatest(60, intDiv(toUInt32OrZero({chosen_text('window')}), 60) * 60)"
SHOWN_VERSION = f"if(model_version = '', '{NO_VERSION}', model_version)"
OF_SEGMENT = f"segment = if({chosen_text('segment')} = '{ALL_TRAFFIC}', '', {chosen_text('segment')})"
# An alert about all versions, or about the streams, names none: its links choose all.
OF_MODEL = f"({chosen_text('model')} IN ('{EVERY}', '') OR model = {chosen_text('model')})"
OF_CHOSEN_MODEL = f"(model = '' OR {OF_MODEL})"  # alerts about the streams themselves name no model
OF_VERSION = f"({chosen_text('version')} IN ('{EVERY}', '') OR {SHOWN_VERSION} = {chosen_text('version')})"
CHOSEN = f"{OF_MODEL} AND {OF_VERSION} AND {OF_SEGMENT}"
SERIES = "if(model_version = '', model, concat(model, ' ', model_version)) AS series"

_SEEN = "FROM aftcast.rollups WHERE $__timeFilter(pane_start)"
MODELS = f"SELECT DISTINCT model {_SEEN} AND segment = '' ORDER BY model"
VERSIONS = (
    f"SELECT DISTINCT {SHOWN_VERSION} AS version {_SEEN} AND segment = '' AND {OF_MODEL} ORDER BY version"
)
SEGMENTS = (
    f"SELECT DISTINCT if(segment = '', '{ALL_TRAFFIC}', segment) AS choice {_SEEN} AND {OF_MODEL} "
    f"ORDER BY choice != '{ALL_TRAFFIC}', choice LIMIT 1000"
)
FEATURES = (
    "SELECT DISTINCT feature FROM aftcast.feature_rollups WHERE $__timeFilter(pane_start) "
    f"AND segment = '' AND signal = 'feature' AND {OF_MODEL} ORDER BY feature"
)

ONE_MODEL = Variable("model", "Model", MODELS)
ANY_MODEL = Variable("model", "Model", MODELS, with_all=True)
VERSION = Variable("version", "Version", VERSIONS, with_all=True)
SEGMENT = Variable("segment", "Segment", SEGMENTS, default=ALL_TRAFFIC)
FEATURE = Variable("feature", "Feature", FEATURES)


def link_to(board: str, of: dict[str, str], kept: tuple[str, ...]) -> str:
    """Return the address of another board, with the time that is shown.

    Parameters
    ----------
    of
        Variables there, each with the field of the row that is clicked, such as ``__data.fields.model``.
    kept
        Variables that have there the value that they have here.

    Examples
    --------
    >>> link_to("debug", {"model": "__data.fields.model"}, ("window",))
    '/d/aftcast-debug?var-model=${__data.fields.model:percentencode}&var-window=${window:percentencode}&${__url_time_range}'
    """
    values = of | {name: name for name in kept}
    chosen = "&".join(f"var-{name}=${{{value}:percentencode}}" for name, value in values.items())
    return f"/d/aftcast-{board}?{chosen}&${{__url_time_range}}"


def window(default: str) -> Variable:
    """Return the choice of the width of windows, in seconds."""
    widths = (("5 minutes", "300"), ("15 minutes", "900"), ("1 hour", "3600"), ("6 hours", "21600"))
    return Variable("window", "Window", choices=(*widths, ("1 day", "86400")), default=default)
