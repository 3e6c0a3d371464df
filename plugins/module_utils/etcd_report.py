"""The state of an etcd cluster, asked of each member over its JSON gateway: no program is started."""

from __future__ import annotations

from ansible.module_utils.cluster_checks import (  # type: ignore[import-not-found]
    Unmet,
    each,
    etcd_client,
    etcd_health,
)


def ask_member(member):
    """What one member tells about itself; its questions are asked in order of their cost."""
    client = etcd_client(member["address"])
    client.timeout = 2
    status = client.request("POST", "/v3/maintenance/status", {})
    alarms = client.request("POST", "/v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])
    healthy, reason = True, ""
    try:
        etcd_health(member["address"])
    except Unmet as error:
        healthy, reason = False, str(error)
    return {
        "id": status["header"]["member_id"],
        "leader": status.get("leader", "0"),
        "version": status.get("version", ""),
        "db_size": int(status.get("dbSize", 0)),
        "alarms": alarms,
        "healthy": healthy,
        "reason": reason,
    }


def report(members):
    """The `etcd` part of the status for members [{name, address}]."""
    rows, answers = [], {}
    for member, result in each(ask_member, members):
        told = {} if isinstance(result, Exception) else result
        rows.append(
            {
                "name": member["name"],
                "address": member["address"],
                "healthy": told.get("healthy", False),
                "version": told.get("version", ""),
                "db_size": told.get("db_size", 0),
                "reason": told.get("reason", "") if told else str(result),
            }
        )
        if told:
            answers[told["id"]] = {**told, "name": member["name"]}
    return {
        "leader": leader(answers),
        "db_size": max((row["db_size"] for row in rows), default=0),
        "alarms": alarms(answers),
        "members": rows,
    }


def leader(answers):
    """The name of the member that the others call leader, or "" when they know none."""
    for told in answers.values():
        if told["leader"] in answers:
            return answers[told["leader"]]["name"]
    return ""


def alarms(answers):
    """A line for each alarm; all members tell the same ones."""
    lines = set()
    for told in answers.values():
        for alarm in told["alarms"]:
            owner = answers.get(alarm.get("memberID"), {}).get("name", "a member that does not answer")
            lines.add(f"{alarm.get('alarm', 'unknown')} on {owner}")
    return sorted(lines)
