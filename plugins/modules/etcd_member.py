#!/usr/bin/python
"""Add a member to a living etcd cluster, make it a voter, or take it out; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Add a member to a living etcd cluster, make it a voter, or take it out
description:
  - Runs on a host with a client certificate for etcd, and talks to one healthy member.
  - V(added) makes the host known as a learner, which has no vote, so a member that never starts costs no quorum. One
    that was added and never started, or whose data is gone, is taken out and added anew. V(promoted) waits until it has
    all data and gives it its vote. V(removed) takes it out; when it leads, it hands that over first.
options:
  state: {description: What is wanted., type: str, choices: [added, promoted, removed], required: true}
  via: {description: Addresses of members; the first that answers is asked., type: list, elements: str, required: true}
  members:
    description: The members, each with C(name) and C(address). Only V(removed) takes more than one.
    type: list
    elements: dict
    required: true
  empty:
    description:
      - Whether the host held no data when the run began. V(added) then adds it anew, and in check mode V(promoted)
        knows that it comes without a vote.
    type: bool
    default: false
  timeout: {description: Seconds until the new member must have all data., type: int, default: 120}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Take the member out
  etcd_member:
    state: removed
    via: [10.77.0.11, 10.77.0.12]
    members: [{name: master3, address: 10.77.0.13}]
"""

RETURN = r"""
initial_cluster:
  description: With V(added) what the new member must know of all members, C(name=https://address:2380) by commas.
  type: str
  returned: when O(state) is V(added)
members:
  description: The number of members afterwards.
  type: int
  returned: always
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_checks import Unmet, etcd_client, etcd_health  # type: ignore[import-not-found]
from ansible.module_utils.kube_client import ApiError  # type: ignore[import-not-found]

PEER_PORT = 2380
ELECTION = ("leader changed", "no leader")
ELECTION_SECONDS = 20


def peer(address):
    """The URL under which the other members reach a member."""
    return f"https://[{address}]:{PEER_PORT}" if ":" in address else f"https://{address}:{PEER_PORT}"


def healthy_member(addresses):
    """A client of the first member that takes part in a quorum."""
    reasons = []
    for address in addresses:
        try:
            etcd_health(address)
            return etcd_client(address)
        except (Unmet, ApiError, OSError) as error:
            reasons.append(f"{address}: {error}")
    raise Unmet(f"no etcd member answers ({'; '.join(reasons)})")


class Members:
    """The member list, and what may be done with it."""

    def __init__(self, client):
        self.client = client
        self.all = []
        self.read()

    def call(self, path, body=None):
        return self.client.request("POST", f"/v3/{path}", body or {}, timeout=20)

    def settled(self, path, body):
        """What etcd answers when its members agree on who leads; for calls that may be made twice."""
        limit = time.monotonic() + ELECTION_SECONDS
        while True:
            try:
                return self.call(path, body)
            except ApiError as error:
                if not any(words in str(error) for words in ELECTION) or time.monotonic() > limit:
                    raise
            time.sleep(0.2)

    def read(self):
        """Read the list again."""
        self.all = self.settled("cluster/member/list", {"linearizable": True})["members"]

    def find(self, name, address):
        """The member of that name or at that address, or None; one that never started has no name yet."""
        wanted = peer(address)
        return next((m for m in self.all if m.get("name") == name or wanted in m.get("peerURLs", [])), None)

    def add(self, address):
        """Add a learner."""
        self.call("cluster/member/add", {"peerURLs": [peer(address)], "isLearner": True})
        self.read()

    def remove(self, member):
        """Take a member out; the leader hands over first, so that no election has to time out."""
        status = self.call("maintenance/status")
        if status.get("leader") == member["ID"]:
            self.hand_over(member)
        try:
            self.settled("cluster/member/remove", {"ID": member["ID"]})
        except ApiError as error:  # the first of two calls may have worked although its answer got lost
            if "member not found" not in str(error):
                raise
        self.read()

    def hand_over(self, member):
        """Let another voter lead. Only the leader itself takes that order; without it an election finds one."""
        voters = [m for m in self.all if m["ID"] != member["ID"] and not m.get("isLearner") and m.get("clientURLs")]
        try:
            leader = etcd_client(member["clientURLs"][0].split("//")[1].rsplit(":", 1)[0].strip("[]"))
            leader.request("POST", "/v3/maintenance/transfer-leadership", {"targetID": voters[0]["ID"]})
        except (Unmet, ApiError, OSError, LookupError):
            return

    def promote(self, member, timeout):
        """Give a learner its vote as soon as etcd finds that it has all data."""
        limit = time.monotonic() + timeout
        while True:
            try:
                self.call("cluster/member/promote", {"ID": member["ID"]})
            except ApiError as error:
                if "in sync" not in str(error) or time.monotonic() > limit:
                    raise
                time.sleep(0.2)
            else:
                return self.read()

    def described(self, name, address):
        """All members as a new one must know them."""
        own = peer(address)
        rows = [(m.get("name") or name, url) for m in self.all for url in m["peerURLs"] if url != own]
        return ",".join(f"{row[0]}={row[1]}" for row in [*rows, (name, own)])


def to_be_added(module, found):
    """Whether a host has to be added, for the first time or anew: it is no member, never started or lost its data."""
    return found is None or module.params["empty"] or not found.get("clientURLs")


def added(module, members):
    """Make sure that the host is a member with a place for its data; returns whether something changes."""
    given = module.params["members"][0]
    found = members.find(given["name"], given["address"])
    if not to_be_added(module, found):
        return False
    stranger = next((m for m in members.all if m.get("isLearner") and m is not found), None)
    if stranger:
        whose = stranger.get("name") or stranger["peerURLs"][0]
        module.fail_json(
            msg=f"{whose} was added before and has not become a voter: finish it with `provision node add`, or take it "
            "out with `provision node remove`"
        )
    if not module.check_mode:
        if found is not None:
            members.remove(found)
        members.add(given["address"])
    return True


def promoted(module, members):
    """Give the member its vote; returns whether something changes."""
    given = module.params["members"][0]
    found = members.find(given["name"], given["address"])
    if module.check_mode:  # nobody was added before: who has to be comes without a vote
        return to_be_added(module, found) or bool(found.get("isLearner"))
    if found is None:
        module.fail_json(msg=f"{given['name']} is no member of etcd")
    if not found.get("isLearner"):
        return False
    members.promote(found, module.params["timeout"])
    return True


def removed(module, members):
    """Take the members out; returns whether something changes."""
    changed = False
    for given in module.params["members"]:
        found = members.find(given["name"], given["address"])
        changed = changed or found is not None
        if found is not None and not module.check_mode:
            members.remove(found)
    return changed


ACTIONS = {"added": added, "promoted": promoted, "removed": removed}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": sorted(ACTIONS), "required": True},
            "via": {"type": "list", "elements": "str", "required": True},
            "members": {"type": "list", "elements": "dict", "required": True},
            "empty": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        own = [member["address"] for member in given["members"]]
        members = Members(healthy_member([address for address in given["via"] if address not in own]))
        changed = ACTIONS[given["state"]](module, members)
    except (Unmet, ApiError, OSError) as error:
        module.fail_json(msg=f"etcd: {error}")
    result = {"members": len(members.all)}
    if given["state"] == "added":
        result["initial_cluster"] = members.described(**given["members"][0])
    module.exit_json(changed=changed, **result)


if __name__ == "__main__":
    main()
