#!/usr/bin/python
"""Bring a systemd unit to a state and wait until it works; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit
short_description: Bring a systemd unit to a state, restart it when its inputs are newer, wait until it works
description:
  - The files in O(watch) are compared with the moment the unit (re)started or was last reloaded, so that a run which
    was interrupted between writing a file and restarting the unit is healed by the next one. No handlers are needed.
options:
  name: {description: The unit's name., type: str, required: true}
  state: {description: The wanted state., type: str, choices: [started, stopped, absent], default: started}
  enabled: {description: Whether it starts at boot., type: bool, default: true}
  watch: {description: Files that the unit reads at its start., type: list, elements: str, default: []}
  on_change: {description: What a newer file demands., type: str, choices: [restart, reload, none], default: restart}
  pending: {description: In check mode, whether a file in O(watch) would change., type: bool, default: false}
  ready:
    description: >-
      What answers when the unit works: one of C(tcp), C(unix), C(http), C(command). C(also) has to answer besides.
    type: dict
  timeout: {description: Seconds to wait for O(ready)., type: int, default: 60}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Run containerd
  unit:
    name: containerd.service
    watch: [/etc/containerd/config.toml, /usr/local/bin/containerd]
    pending: "{{ __containerd_files is changed }}"
    ready: {unix: /run/containerd/containerd.sock}
"""

RETURN = r"""
action:
  description: What was done or would be done.
  type: str
  returned: always
"""

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from ansible.module_utils.basic import AnsibleModule

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "FragmentPath",
    "DropInPaths",
    "ExecMainStartTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
)
STAMPS = "/run/provision/reloaded"


class Unit:
    """One systemd unit as `systemctl show` sees it."""

    def __init__(self, module):
        self.module = module
        self.name = module.params["name"]
        self.refresh()

    def systemctl(self, *words, check=True):
        """Run systemctl; fail the module with its words and the unit's last log lines when it does."""
        code, out, err = self.module.run_command(["systemctl", *words])
        if code != 0 and check:
            _, log, _ = self.module.run_command(["journalctl", "-u", self.name, "-n", "15", "-o", "cat", "--no-pager"])
            self.module.fail_json(
                msg=f"systemctl {' '.join(words)}: {(err or out).strip()}\n{log.strip()}", unit=self.name
            )
        return out

    def refresh(self):
        """Read the unit's properties again."""
        out = self.systemctl("show", self.name, *(f"-p{name}" for name in PROPERTIES), check=False)
        self.properties = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    @property
    def exists(self):
        return self.properties.get("LoadState") not in (None, "not-found", "")

    @property
    def active(self):
        return self.properties.get("ActiveState") in ("active", "activating", "reloading")

    @property
    def enabled(self):
        return self.properties.get("UnitFileState") in ("enabled", "static", "indirect", "generated", "alias")

    @property
    def since(self):
        """When it last took in its inputs, in seconds since the epoch."""
        ticks = [int(self.properties.get(f"{key}TimestampMonotonic") or 0) for key in ("ExecMainStart", "ActiveEnter")]
        tick = ticks[0] or ticks[1]
        started = time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - tick / 1e6)
        try:
            return max(started, os.stat(self.stamp).st_mtime)
        except OSError:
            return started

    @property
    def stamp(self):
        return os.path.join(STAMPS, self.name)

    def newer_inputs(self):
        """The watched files, and the unit's own, that changed after it took them in."""
        own = [self.properties.get("FragmentPath", ""), *self.properties.get("DropInPaths", "").split()]
        own = [path for path in own if path.startswith("/etc/")]
        since = self.since
        return [p for p in [*self.module.params["watch"], *own] if os.path.exists(p) and os.stat(p).st_mtime > since]

    def mark_reloaded(self):
        os.makedirs(STAMPS, mode=0o755, exist_ok=True)
        with open(self.stamp, "w", encoding="ascii"):
            os.utime(self.stamp)


def answers(ready):
    """Return None when the condition `ready` holds, else the reason why not."""
    try:
        if "tcp" in ready:
            host, port = ready["tcp"].rsplit(":", 1)
            socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
        elif "unix" in ready:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.settimeout(1)
                stream.connect(ready["unix"])
        elif "http" in ready:
            context = None
            if ready["http"].startswith("https"):
                context = ssl.create_default_context(cafile=ready.get("ca"))
                if ready.get("cert"):
                    context.load_cert_chain(ready["cert"], ready.get("key"))
            urllib.request.urlopen(ready["http"], timeout=2, context=context).close()
        else:
            done = subprocess.run(ready["command"], capture_output=True, text=True, timeout=10, check=False)
            if done.returncode != 0:
                return (done.stderr or done.stdout).strip()[-300:]
    except (OSError, urllib.error.URLError, subprocess.TimeoutExpired, ValueError) as error:
        return str(error)
    return answers(ready["also"]) if ready.get("also") else None


def wait(module, unit):
    """Wait until the unit works; fail with its last words when the time is over."""
    ready = module.params["ready"]
    limit = time.monotonic() + module.params["timeout"]
    reason = answers(ready)
    while reason:
        if time.monotonic() > limit:
            log = unit.systemctl("status", unit.name, "--no-pager", "-n", "20", check=False)
            module.fail_json(
                msg=f"{unit.name} does not answer after {module.params['timeout']} s: {reason}\n{log[-1500:]}"
            )
        time.sleep(0.1)
        reason = answers(ready)


def decide(module, unit):
    """Return the systemctl verbs that bring the unit to the wanted state, in order."""
    wanted, verbs = module.params["state"], []
    if wanted in ("stopped", "absent"):
        if unit.active:
            verbs.append("stop")
        if unit.exists and unit.enabled and (wanted == "absent" or not module.params["enabled"]):
            verbs.append("disable")
        return verbs
    if unit.properties.get("UnitFileState", "").startswith("masked"):
        verbs.append("unmask")
    if module.params["enabled"] != unit.enabled:
        verbs.append("enable" if module.params["enabled"] else "disable")
    if not unit.active:
        return [*verbs, "start"]
    if module.params["on_change"] != "none" and (
        (module.check_mode and module.params["pending"]) or unit.newer_inputs()
    ):
        verbs.append(module.params["on_change"])
    return verbs


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "enabled": {"type": "bool", "default": True},
            "watch": {"type": "list", "elements": "str", "default": []},
            "on_change": {"type": "str", "choices": ["restart", "reload", "none"], "default": "restart"},
            "pending": {"type": "bool", "default": False},
            "ready": {"type": "dict"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    unit = Unit(module)
    if not module.check_mode and (unit.properties.get("NeedDaemonReload") == "yes" or not unit.exists):
        unit.systemctl("daemon-reload")
        unit.refresh()
    verbs = decide(module, unit)
    if not module.check_mode:
        if module.params["state"] == "started" and not unit.exists:
            module.fail_json(msg=f"{unit.name}: no such unit on this node")
        for verb in verbs:
            unit.systemctl(verb, unit.name)
        if "reload" in verbs:
            unit.mark_reloaded()
        if module.params["state"] == "started" and module.params["ready"]:
            wait(module, unit)
    module.exit_json(changed=bool(verbs), action=", ".join(verbs) or "none", unit=unit.name)


if __name__ == "__main__":
    main()
