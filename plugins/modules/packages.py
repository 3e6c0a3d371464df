#!/usr/bin/python
"""Install operating system packages in one transaction; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install operating system packages in one transaction
description:
  - One query tells what is missing; the package lists are refreshed only when something is. Needs nothing on the node
    but systemd and its package manager (the M(ansible.builtin.apt) module would first want python3-apt).
  - Waits first for an installation that was begun, whoever began it.
options:
  names: {description: Packages., type: list, elements: str, required: true}
  state:
    description: >-
      Whether they shall be there. C(begun) is C(present) without waiting for it; the installation goes on in a unit of
      systemd's, whatever becomes of the run, and a later call waits for it and installs itself what is missing then.
      C(latest) and C(downloaded) bring those that are installed to the newest version that the sources have, or fetch
      it only; in check mode they know what the last refresh of the lists saw.
    type: str
    choices: [present, begun, latest, downloaded, absent]
    default: present
  source:
    description: An apt source file that alone is refreshed and used, for a site whose other sources cannot be reached.
    type: path
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Install what a node needs
  packages:
    names: [chrony, conntrack]
"""

RETURN = r"""
packages:
  description: What was, or would be, installed or removed.
  type: list
  elements: str
  returned: always
"""

import re
import shlex
import shutil
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

UNIT = "provision-packages.service"
LOCK_SECONDS = 300
"""How long another package manager may go on, such as a distribution's nightly one."""
ANSWER_SECONDS = 60
"""How long systemd may take to say anything at all."""
APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C"}
APT = [
    "apt-get",
    "-y",
    "-q",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
]
DNF = ["dnf", "-y", "-q"]
STATES = ("present", "begun", "latest", "downloaded", "absent")


def goes_on(module):
    """Whether an installation goes on that a call began. That a busy systemd did not answer is no answer."""
    limit = time.monotonic() + ANSWER_SECONDS
    while True:
        _, out, err = module.run_command(["systemctl", "is-active", UNIT])
        if out.strip():
            return out.strip() not in ("inactive", "failed", "unknown")
        if time.monotonic() > limit:
            module.fail_json(msg=f"systemctl is-active {UNIT}: {err.strip()[-1200:]}")
        time.sleep(1)


def begin(module, commands, environment):
    """Run the commands, one after the other, in a unit that vanishes at its end."""
    words = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--description=Packages of the cluster's node"]
    words += [f"--setenv={name}={value}" for name, value in environment.items()]
    code, out, err = module.run_command([*words, "sh", "-c", " && ".join(shlex.join(command) for command in commands)])
    if code != 0:
        module.fail_json(msg=f"systemd-run: {(err or out).strip()[-1200:]}")


class Apt:
    """dpkg and apt-get."""

    updates = Path("/var/lib/dpkg/updates")

    def __init__(self, module):
        self.module = module
        source = module.params["source"]
        # Without the last option an update would throw away the lists of the machine's other sources.
        only = (f"Dir::Etc::sourcelist={source}", "Dir::Etc::sourceparts=-", "APT::Get::List-Cleanup=0")
        self.only = [word for option in only for word in ("-o", option)] if source else []

    def installed(self, names):
        """Those of `names` that are installed."""
        _, out, _ = self.module.run_command(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names])
        return {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}

    def run(self, *words):
        code, out, err = self.module.run_command([*APT, *self.only, *words], environ_update=APT_ENVIRONMENT)
        if code != 0:
            self.module.fail_json(msg=f"apt-get {words[0]}: {(err or out).strip()[-1200:]}")

    def recover(self):
        """Finish what an interrupted dpkg left: apt-get refuses everything before that.

        One that is still at work leaves the same traces. apt-get waits for its lock, dpkg does not.
        """
        limit = time.monotonic() + LOCK_SECONDS
        while self.updates.is_dir() and any(self.updates.iterdir()):
            words = ["dpkg", "--force-confold", "--configure", "-a"]
            code, out, err = self.module.run_command(words, environ_update=APT_ENVIRONMENT)
            if code == 0:
                return
            if "locked by" not in err or time.monotonic() > limit:
                self.module.fail_json(msg=f"dpkg --configure -a: {(err or out).strip()[-1200:]}")
            time.sleep(1)

    def install(self, names):
        self.recover()
        for words in self.installation(names):
            self.run(*words)

    def begin(self, names):
        self.recover()
        commands = [[*APT, *self.only, *words] for words in self.installation(names)]
        begin(self.module, commands, APT_ENVIRONMENT)

    def installation(self, names):
        return [["update"], ["install", "--no-install-recommends", *names]]

    def outdated(self, names):
        """Those of `names` that have a newer version in the sources."""
        words = ["apt-cache", *self.only, "policy", *names]
        _, out, _ = self.module.run_command(words, environ_update=APT_ENVIRONMENT)
        found = re.findall(r"^(\S+):\n  Installed: (\S+)\n  Candidate: (\S+)$", out, re.MULTILINE)
        return [name for name, installed, candidate in found if installed not in ("(none)", candidate)]

    def refresh(self):
        self.run("update")

    def upgrade(self, names, only_fetch):
        self.recover()
        self.run("install", "--only-upgrade", *(["--download-only"] if only_fetch else []), *names)

    def remove(self, names):
        self.recover()
        self.run("purge", *names)


class Dnf:
    """rpm and dnf."""

    def __init__(self, module):
        self.module = module

    def installed(self, names):
        """Those of `names` that are installed or provided."""
        return {name for name in names if self.module.run_command(["rpm", "-q", "--whatprovides", name])[0] == 0}

    def run(self, *words):
        code, out, err = self.module.run_command([*DNF, *words])
        if code != 0:
            self.module.fail_json(msg=f"dnf {words[0]}: {(err or out).strip()[-1200:]}")

    def install(self, names):
        self.run(*self.installation(names))

    def begin(self, names):
        begin(self.module, [[*DNF, *self.installation(names)]], {})

    def installation(self, names):
        return ["install", "--setopt=install_weak_deps=False", *names]

    def outdated(self, names):
        """Those of `names` that have a newer version in the repositories."""
        _, out, _ = self.module.run_command(["dnf", "-q", "list", "--upgrades", *names])
        return [name for name in names if re.search(rf"^{re.escape(name)}\.", out, re.MULTILINE)]

    def refresh(self):
        self.run("makecache")

    def upgrade(self, names, only_fetch):
        self.run("upgrade", *(["--downloadonly"] if only_fetch else []), *names)

    def remove(self, names):
        self.run("remove", *names)


def renew(module, manager, names):
    """Bring what is installed to the newest version; returns the packages that change."""
    if not module.check_mode and module.params["state"] == "downloaded":
        manager.refresh()
    todo = manager.outdated(names) if names else []
    if todo and not module.check_mode:
        manager.upgrade(todo, module.params["state"] == "downloaded")
    return todo


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": list(STATES), "default": "present"},
            "source": {"type": "path"},
        },
        supports_check_mode=True,
    )
    names = list(dict.fromkeys(module.params["names"]))
    manager = Apt(module) if shutil.which("dpkg-query") else Dnf(module)
    state = module.params["state"]
    while state != "begun" and not module.check_mode and goes_on(module):
        time.sleep(0.2)
    if state in ("latest", "downloaded"):
        todo = renew(module, manager, names)
        changed = bool(todo) and state == "latest"
        module.exit_json(
            changed=changed, packages=todo, diff=[{"before": "", "after": "\n".join(todo)}] if todo else []
        )
    there = manager.installed(names) if names else set()
    present = state != "absent"
    todo = [name for name in names if (name not in there) == present]
    if todo and not module.check_mode and not (state == "begun" and goes_on(module)):
        {"present": manager.install, "begun": manager.begin, "absent": manager.remove}[state](todo)
    diff = [{"before": "" if present else "\n".join(todo), "after": "\n".join(todo) if present else ""}] if todo else []
    module.exit_json(changed=bool(todo), packages=todo, diff=diff)


if __name__ == "__main__":
    main()
