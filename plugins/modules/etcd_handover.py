#!/usr/bin/python
"""Let another member of etcd lead before this one restarts; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_handover
short_description: Let another member of etcd lead before this one restarts
description:
  - Runs on a member. One that leads hands that over to another voter, so that its restart costs no election. Every
    other member has to be healthy, else nothing is done and the task fails. A member that is down hands over nothing.
options:
  address: {description: The address of this member., type: str, required: true}
  peers: {description: The addresses of the other members., type: list, elements: str, required: true}
  timeout: {description: Seconds to wait for the other members., type: int, default: 60}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Let another member lead
  etcd_handover:
    address: 10.77.0.11
    peers: [10.77.0.12, 10.77.0.13]
"""

RETURN = r"""
leader:
  description: The member that leads afterwards, empty when that was not this member's.
  type: str
  returned: always
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_checks import (  # type: ignore[import-not-found]
    Unmet,
    each,
    etcd_client,
    etcd_health,
    until,
)
from ansible.module_utils.kube_client import ApiError  # type: ignore[import-not-found]


def require_healthy(addresses):
    """All these members take part; raises Unmet with those that do not."""
    found = [(address, result) for address, result in each(etcd_health, addresses) if result is not True]
    if found:
        raise Unmet("; ".join(f"the etcd member {address}: {result}" for address, result in found))


def hand_over(address, dry_run):
    """Let another voter lead when the member at `address` does; return its name, or an empty string."""
    client = etcd_client(address)
    status = client.request("POST", "/v3/maintenance/status", {})
    own = status["header"]["member_id"]
    members = client.request("POST", "/v3/cluster/member/list", {})["members"]
    voters = [member for member in members if member["ID"] != own and not member.get("isLearner")]
    if status.get("leader") != own or not voters:
        return ""
    if not dry_run:
        client.request("POST", "/v3/maintenance/transfer-leadership", {"targetID": voters[0]["ID"]}, timeout=20)
    return voters[0].get("name", voters[0]["ID"])


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "peers": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wait = 0 if module.check_mode else module.params["timeout"]
    try:
        until(lambda: require_healthy(module.params["peers"]), time.monotonic() + wait)
        leader = hand_over(module.params["address"], module.check_mode)
    except Unmet as error:
        module.fail_json(msg=f"etcd was not restarted here: {error}")
    except (ApiError, OSError):
        leader = ""
    module.exit_json(changed=bool(leader), leader=leader)


if __name__ == "__main__":
    main()
