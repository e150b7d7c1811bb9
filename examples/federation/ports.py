"""Addresses on loopback that stay chosen while this process lives, however late somebody listens there."""

from __future__ import annotations

import socket
import sys
from collections import deque

# The oldest are let go: by then somebody listens at them, or nobody will.
HELD_MAX = 256

_held: deque[socket.socket] = deque(maxlen=HELD_MAX)


def held_address() -> str:
    """Give an address that the system gives to nobody who asks for any free one.

    On Linux a port that is bound, but not listened at, can be listened at by whoever names it and also sets
    SO_REUSEADDR, as servers do. Elsewhere the port is only known to have been free.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{bound.getsockname()[1]}"
    if sys.platform == "linux":
        _held.append(bound)
    else:
        bound.close()
    return address
