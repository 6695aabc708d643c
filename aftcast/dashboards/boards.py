"""The three boards, in the order in which one leads to the next."""

from aftcast.dashboards.debug import DEBUG
from aftcast.dashboards.executive import EXECUTIVE
from aftcast.dashboards.on_call import ON_CALL

BOARDS = (EXECUTIVE, ON_CALL, DEBUG)
