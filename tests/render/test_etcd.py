"""etcd's settings and unit, judged by etcd and systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.programs import program
from tests.render.rendering import Role

# The recipe that builds etcd names the program after its directory.
ETCD = program("etcd") or program("server")
MEMBERS = [{"host": f"M{n}", "name": f"m{n}", "address": f"10.77.0.{10 + n}"} for n in (1, 2, 3)]
needs_etcd = pytest.mark.skipif(ETCD is None, reason="etcd is neither installed nor built here")


def etcd(count: int = 3, **options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_etcd_members": MEMBERS[:count],
        "cluster_etcd_leader": "M1",
        "cluster_node_name": "m1",
        "cluster_address": "10.77.0.11",
        "cluster_name": "kubernetes",
        "cluster_version": "1.36.4",
    }
    return Role("etcd", **(inputs | options))


@pytest.mark.parametrize("ready", [True, False, None])
def test_a_member_is_done_when_the_api_server_beside_it_is(ready: bool | None) -> None:
    reader = etcd(cluster_host={"kubernetes": {"api_ready": ready}}).value("__etcd_reader")
    assert bool(reader) is bool(ready)
    assert reader.get("http") in ("https://127.0.0.1:6443/readyz", None)


def environment(text: str) -> dict[str, str]:
    """The variables of an environment file, as systemd reads it."""
    pairs = (line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value.removeprefix('"').removesuffix('"') for name, value in pairs}


@needs_etcd
def test_etcd_knows_every_setting() -> None:
    assert ETCD is not None
    text = subprocess.run([ETCD, "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--([a-z][a-z0-9-]+)", text))
    assert set(etcd().value("__etcd_own_settings")) - known == set()


@needs_etcd
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"etcd_metrics_address": "0.0.0.0"},
        {"etcd_quota_mb": 2048, "etcd_heartbeat_ms": 250, "etcd_election_ms": 2500},
        {"etcd_settings": {"max-request-bytes": 2097152, "auto-compaction-retention": "1h"}, "etcd_log_level": "warn"},
    ],
)
def test_etcd_starts_a_member_with_it(tmp_path: Path, options: dict[str, Any]) -> None:
    """Started without its peers and certificates it must get as far as looking for the certificates."""
    assert ETCD is not None
    role = etcd(cluster_address="127.0.0.1", cluster_etcd_members=[MEMBERS[0] | {"address": "127.0.0.1"}], **options)
    variables = environment(role.render("etcd.env.j2")) | environment(role.render("bootstrap.env.j2"))
    variables |= {
        "ETCD_DATA_DIR": str(tmp_path / "data"),
        "ETCD_LISTEN_CLIENT_URLS": "https://127.0.0.1:0",
        "ETCD_LISTEN_METRICS_URLS": "http://127.0.0.1:0",
    }

    done = subprocess.run([ETCD], env=variables, capture_output=True, text=True, check=False, timeout=20)

    assert "/etc/etcd/pki/peer.crt: no such file" in done.stderr, done.stderr
    assert "unrecognized environment variable" not in done.stderr
    assert "conflict" not in done.stderr


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_members_are_named_in_the_bootstrap_file_alone(count: int) -> None:
    role = etcd(count)
    names = environment(role.render("bootstrap.env.j2"))["ETCD_INITIAL_CLUSTER"]
    assert names.split(",") == [f"m{n}=https://10.77.0.{10 + n}:2380" for n in range(1, count + 1)]
    # A list of members in a file that etcd.service watches would restart all members when one is added.
    others = role.render("etcd.env.j2") + role.render("etcd.service.j2")
    assert "INITIAL_CLUSTER" not in others
    assert "10.77.0.12" not in others
    assert "/etc/etcd/bootstrap.env" not in role.value("__etcd_inputs")


def test_options_become_settings_and_free_settings_win() -> None:
    role = etcd(etcd_quota_mb=1024, etcd_log_level="warn", etcd_settings={"log-level": "debug", "pre-vote": True})
    variables = environment(role.render("etcd.env.j2"))
    assert variables["ETCD_QUOTA_BACKEND_BYTES"] == "1073741824"
    assert variables["ETCD_LOG_LEVEL"] == "debug"
    assert variables["ETCD_PRE_VOTE"] == "true"
    assert variables["ETCD_CLIENT_CERT_AUTH"] == variables["ETCD_PEER_CLIENT_CERT_AUTH"] == "true"


@pytest.mark.parametrize(
    ("address", "urls"),
    [
        ("127.0.0.1", "http://127.0.0.1:2381"),
        ("10.77.0.11", "http://127.0.0.1:2381,http://10.77.0.11:2381"),
        ("0.0.0.0", "http://0.0.0.0:2381"),
    ],
)
def test_the_local_metrics_address_is_always_served(address: str, urls: str) -> None:
    variables = environment(etcd(etcd_metrics_address=address).render("etcd.env.j2"))
    assert variables["ETCD_LISTEN_METRICS_URLS"] == urls


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "etcd.service"
    unit.write_text(etcd().render("etcd.service.j2").replace("/usr/local/bin/etcd", "/usr/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert "etcd.service" not in done.stderr, done.stderr
