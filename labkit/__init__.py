"""What a node stands on: time, disk, network, the wire's codec, errors and limits.

Student code imports this package, the standard library, and earlier labs; nothing else. Every node is
handed one `Context`; under the harness its clock is virtual, its disk forgets what was not synced, and its
network runs through a proxy, while the same code runs unchanged on the plain implementations given here.
"""

from labkit.context import Context
from labkit.limits import Limits

__all__ = ["Context", "Limits"]
