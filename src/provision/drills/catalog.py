"""The drills: what each injures, on which host, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Target(StrEnum):
    """Which host a drill injures when the operator names none."""

    VIP_HOLDER = "the balancer that holds the VIP"
    CONTROL_PLANE = "a control plane that does not hold the VIP"
    ETCD_LEADER = "the etcd member that leads"
    ETCD_MEMBER = "an etcd member that does not lead"
    ETCD_MAJORITY = "most of the etcd members"
    WORKER = "a worker"


class Until(StrEnum):
    """What the fault lasts for."""

    API_BACK = "until the API has answered again for three seconds"
    RESCHEDULED = "until the pods of the host run elsewhere"
    RESTORED = "until the cluster is restored from a backup that is made just before"


@dataclass(frozen=True)
class Drill:
    """One kind of failure."""

    name: str
    help: str
    target: Target
    fault: Mapping[str, Any] = field(default_factory=dict)
    """Options of the module `fault`; `power` is done by the sandbox's engine where there is one."""
    until: Until = Until.API_BACK
    least: float = 6.0
    """Seconds that the fault lasts at least: long enough for everything that reacts to it to do so."""
    most: float = 120.0
    """Seconds after which it is healed in any case, by a timer on the node too; a restore puts that timer off."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """The longest gap in seconds that is accepted, by measure."""
    own_kernel: str = ""
    """Why a node in a container cannot have this fault; empty when it can."""

    @property
    def powers_off(self) -> bool:
        """Whether the whole machine dies."""
        return self.fault.get("kind") == "power"

    @property
    def takes_etcd(self) -> bool:
        """Whether an etcd member on the target is away during the fault."""
        return self.fault.get("kind") in ("power", "network", "disk", "clock") or self.fault.get("unit") == ETCD

    @property
    def takes_api(self) -> bool:
        """Whether an API server on the target is away during the fault."""
        return self.fault.get("kind") in ("power", "network", "clock")


ETCD, HAPROXY, KEEPALIVED = "etcd.service", "haproxy.service", "keepalived.service"
API_READ, API_WRITE, SERVICE, RESCHEDULE = "API read", "API write", "Service", "pods elsewhere"
SHARED_DISK = "a node in a container shares this machine's disk, which would be filled for all"
SHARED_CLOCK = "a node in a container has no clock of its own"

DRILLS: Mapping[str, Drill] = {
    drill.name: drill
    for drill in (
        Drill(
            "vip-holder",
            "The balancer that holds the VIP loses its power; another one takes the VIP.",
            Target.VIP_HOLDER,
            {"kind": "power"},
            limits={API_READ: 2.0},
        ),
        Drill(
            "master",
            "A control plane loses its power; the balancers pass it over.",
            Target.CONTROL_PLANE,
            {"kind": "power"},
            least=10.0,
            limits={API_READ: 2.0},
        ),
        Drill(
            "etcd-member",
            "The etcd member that leads is killed and stays down; the others elect a new leader.",
            Target.ETCD_LEADER,
            {"kind": "service", "unit": ETCD},
            least=10.0,
            limits={API_WRITE: 10.0},
        ),
        Drill(
            "etcd-majority-restore",
            "Most etcd members lose their data; `provision restore` makes the cluster anew from a backup.",
            Target.ETCD_MAJORITY,
            {"kind": "data", "unit": ETCD},
            until=Until.RESTORED,
            limits={API_WRITE: 600.0},
        ),
        Drill(
            "balancer-process",
            "HAProxy is killed where the VIP is; systemd starts it again, or the VIP moves.",
            Target.VIP_HOLDER,
            {"kind": "process", "unit": HAPROXY},
            limits={API_READ: 2.0},
        ),
        Drill(
            "worker",
            "A worker loses its power; its pods start on other nodes.",
            Target.WORKER,
            {"kind": "power"},
            until=Until.RESCHEDULED,
            most=180.0,
            limits={API_READ: 0.5},
        ),
        Drill(
            "network-partition",
            "The etcd member that leads hears nobody and nobody hears it; the majority goes on.",
            Target.ETCD_LEADER,
            {"kind": "network"},
            least=20.0,
            limits={API_READ: 10.0},
        ),
        Drill(
            "full-disk",
            "The disk under an etcd member has no byte left; the others go on.",
            Target.ETCD_MEMBER,
            {"kind": "disk"},
            least=20.0,
            limits={API_WRITE: 2.0},
            own_kernel=SHARED_DISK,
        ),
        Drill(
            "clock-jump",
            "The clock of a control plane jumps ten minutes ahead.",
            Target.CONTROL_PLANE,
            {"kind": "clock", "jump": 600},
            least=20.0,
            limits={API_READ: 2.0},
            own_kernel=SHARED_CLOCK,
        ),
    )
}

GRACEFUL = Drill(
    "vip-holder --graceful",
    "The balancer that holds the VIP hands it over, as before maintenance.",
    Target.VIP_HOLDER,
    {"kind": "handover", "unit": KEEPALIVED},
    limits={API_READ: 0.3},
)
