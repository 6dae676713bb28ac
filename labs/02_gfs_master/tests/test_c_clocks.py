"""Lab 2 part C: leases, whatever clocks show. No two clocks are ever compared."""

from __future__ import annotations

from harness.cluster import Cluster
from harness.failures import expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.chunkserver import StubChunkserver
from harness.stubs.master_cell import STEP, MasterCell
from labkit import Limits
from labkit.errors import RemoteError

LIMITS = Limits()
LATE = 3 * STEP  # virtual seconds of silence that make no server count as dead


@claim(
    "No skew between clocks, and no message that comes late, makes a lease longer than its primary's idea of it",
    hint="two clocks are never compared: keep `sent` and when you heard it as a pair",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_clocks_differ(make_cluster: MakeCluster) -> None:
    for skew in (-500.0, 500.0):
        cluster = make_cluster()
        cell = MasterCell(cluster, servers=0)
        cell.servers += [SkewedChunkserver(cluster, f"cs{number}", skew) for number in (1, 2, 3)]
        cell.report(cell.servers)
        handle = cell.chunk("/f")
        lease = cell.ask("lease", handle=handle)
        primary = cell.server(lease["primary"])
        until = primary.leases[handle][1]
        expect(
            primary.now() < until <= primary.now() + LIMITS.lease,
            "the lease does not run on its primary's clock",
            expected=f"until at most {LIMITS.lease:g} s after now by the clock of {primary.name}",
            seen=f"until {until - primary.now():.1f} s from now; that clock is {skew:g} s ahead of the master's",
        )
        others = [server for server in cell.servers if server is not primary]
        hold = cluster.network.hold(Aim("revoke_lease", receiver=primary.name, times=None))
        while primary.now() < until:
            try:
                other = cell.ask("lease", handle=handle)
            except RemoteError:
                pass
            else:
                expect(
                    primary.now() >= until or other["primary"] == primary.name,
                    "two primaries at once",
                    expected=f"nobody but {primary.name} while its own clock says that its lease runs",
                    seen=f"{other}; {until - primary.now():.1f} s before, clock {skew:g} s ahead",
                )
            cell.pass_time(STEP, others, keep=False)
        cluster.network.discard(hold)


@claim(
    "A clock that jumps ends no lease: not the master's, and none is promised on what a primary's clock once was",
    hint="time that passed between two looks and is longer than looks are apart was perhaps never there: do not count it",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_clocks_jump(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=0)
    servers = [SkewedChunkserver(cluster, name) for name in ("cs1", "cs2", "cs3")]
    cell.servers += servers
    cell.report(cell.servers)
    handle = cell.chunk("/f")
    for jump in (100.0, 100_000.0):
        lease = cell.patiently("lease", cell.servers, handle=handle)
        primary = next(server for server in servers if server.name == lease["primary"])
        primary.skew += jump
        renewed = dict(map(tuple, primary.heartbeat().get("leases", [])))
        until = renewed.get(handle, 0.0)
        expect(
            primary.now() < until <= primary.now() + LIMITS.lease,
            "a lease is not renewed on the clock that its primary has now",
            expected=f"until more than 0 and at most {LIMITS.lease:g} s from now, though that clock has jumped",
            seen=f"until {until - primary.now():.1f} s from now; it has jumped by {jump:g} s",
        )
        others = [server for server in servers if server is not primary]
        hold = cluster.network.hold(Aim("revoke_lease", receiver=primary.name, times=None))
        cell.pass_time(STEP, others, keep=False)
        cluster.skew("master", offset=jump)
        while primary.now() < until:
            cell.nobody_else(
                lambda handle=handle: cell.ask("lease", handle=handle),
                primary,
                lambda primary=primary, until=until: until - primary.now(),
                seen=f", after the master's clock jumped by {jump:g} s",
                why="the master's clock may be set, or the master suspended, while the primary goes on mutating",
            )
            cell.pass_time(STEP, others, keep=False)
        new = cell.next_lease(others, handle, lease["version"])
        cluster.network.discard(hold)
        primary.chunks[handle] = new["version"]
        primary.leases.clear()
        cell.report([primary])


@claim(
    "A grant that comes late is no longer than one that comes at once",
    hint="`until` is the `sent` of the primary's last heartbeat plus limits.lease, whenever the grant is made",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_a_late_grant(cluster: Cluster) -> None:
    cluster.set_rate(0.0)  # time passes by jumps only
    cell = MasterCell(cluster)
    handle = cell.chunk("/f")
    cell.report(cell.servers)
    cell.pass_time(LATE, [])
    lease = cell.patiently("lease", cell.servers, handle=handle)
    primary = cell.server(lease["primary"])
    _, until, _ = primary.leases[handle]
    said = [
        float(frame.header["args"]["sent"])
        for method in ("register", "heartbeat")
        for frame in cluster.network.frames(method, "request", sender=primary.name)
    ]
    latest = max(said) + LIMITS.lease
    expect(
        until < latest + 0.001,
        "a lease is counted from when it was granted",
        expected=f"until at most {LIMITS.lease:g} s after the `sent` of the last heartbeat of {primary.name}",
        seen=f"until {until - max(said):.1f} s after it; the grant came {cluster.now() - max(said):.1f} s after it",
        why="the master counts from when it heard that heartbeat: it would take the lease for over while it runs",
    )


class SkewedChunkserver(StubChunkserver):
    """Its clock is `skew` seconds ahead."""

    def __init__(self, cluster: Cluster, name: str, skew: float = 0.0) -> None:
        self.skew = skew
        super().__init__(cluster, name)

    def now(self) -> float:
        return super().now() + self.skew
