"""containerd's configuration, read by containerd itself."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.render.rendering import Role

CRI = "io.containerd.cri.v1"


def containerd(**options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_artifacts": {},
        "cluster_images": {"pause": {"ref": "registry.k8s.io/pause:3.10.2"}},
        "cluster_mirror_registry": "",
    }
    return Role("containerd", **(inputs | options))


@pytest.mark.skipif(not shutil.which("containerd"), reason="containerd is not at hand: there is no bundle")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"containerd_max_concurrent_downloads": 10, "containerd_restrict_oom_score_adj": True},
        {"containerd_runtimes": {"nvidia": "/usr/bin/nvidia-container-runtime", "crun": "/usr/bin/crun"}},
    ],
)
def test_containerd_reads_it(tmp_path: Path, options: dict[str, Any]) -> None:
    role = containerd(**options)
    config = tmp_path / "config.toml"
    config.write_text(role.render("config.toml.j2"))

    dumped = subprocess.run(
        ["containerd", "--config", config, "config", "dump"], capture_output=True, text=True, check=True
    )

    assert "unknown" not in dumped.stderr.lower()
    plugins = tomllib.loads(dumped.stdout)["plugins"]
    images, runtime = plugins[f"{CRI}.images"], plugins[f"{CRI}.runtime"]
    assert images["pinned_images"]["sandbox"] == "registry.k8s.io/pause:3.10.2"
    assert images["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert images["max_concurrent_downloads"] == role.value("containerd_max_concurrent_downloads")
    assert runtime["restrict_oom_score_adj"] is role.value("containerd_restrict_oom_score_adj")
    runtimes = runtime["containerd"]["runtimes"]
    assert set(runtimes) == {"runc", *role.value("containerd_runtimes")}
    assert all(each["options"]["SystemdCgroup"] for each in runtimes.values())


def test_a_mirror_serves_every_registry_of_the_catalog_and_the_site_may_say_otherwise() -> None:
    role = containerd(
        cluster_mirror_registry="10.77.0.1:5000",
        containerd_registry_mirrors={"quay.io": ["https://a.example", "https://b.example"]},
    )
    items = {item["dest"]: item for item in role.value("__containerd_registries")}
    files = {
        Path(dest).parent.name: tomllib.loads(role.render(item["template"], **item["variables"]))
        for dest, item in items.items()
    }

    assert set(files) == set(role.value("__containerd_catalog_registries"))
    # `server` is the last resort: what the mirror lacks must not come from elsewhere.
    assert files["registry.k8s.io"]["server"] == "http://10.77.0.1:5000"
    assert list(files["registry.k8s.io"]["host"]) == ["http://10.77.0.1:5000"]
    assert list(files["quay.io"]["host"]) == ["https://a.example", "https://b.example"]


def test_one_endpoint_may_be_written_without_a_list() -> None:
    role = containerd(containerd_registry_mirrors={"quay.io": "https://a.example"})
    (item,) = [item for item in role.value("__containerd_registries") if "template" in item]
    assert tomllib.loads(role.render(item["template"], **item["variables"]))["server"] == "https://a.example"


def test_the_endpoints_of_a_mirror_that_is_gone_are_asked_no_more() -> None:
    role = containerd(containerd_registry_mirrors={"quay.io": ["https://a.example"]})
    assert [Path(item["dest"]).parent.name for item in role.value("__containerd_registries")] == ["quay.io"]
    (whole,) = [item for item in role.value("__containerd_files") if item["dest"] == "/etc/containerd/certs.d"]
    assert whole["purge"]


@pytest.mark.skipif(not shutil.which("containerd"), reason="containerd is not at hand: there is no bundle")
def test_what_others_drop_in_is_read(tmp_path: Path) -> None:
    """The GPU toolkit adds its runtime in conf.d, without which it would edit our file."""
    drop_ins = tmp_path / "conf.d"
    drop_ins.mkdir()
    runtime = f"[plugins.'{CRI}.runtime'.containerd.runtimes.nvidia]\n  runtime_type = 'io.containerd.runc.v2'\n"
    (drop_ins / "99-nvidia.toml").write_text("version = 3\n" + runtime)
    config = tmp_path / "config.toml"
    config.write_text(containerd().render("config.toml.j2").replace("/etc/containerd/conf.d", str(drop_ins)))

    dumped = subprocess.run(
        ["containerd", "--config", config, "config", "dump"], capture_output=True, text=True, check=True
    )

    runtimes = tomllib.loads(dumped.stdout)["plugins"][f"{CRI}.runtime"]["containerd"]["runtimes"]
    assert set(runtimes) == {"runc", "nvidia"}
    assert runtimes["runc"]["options"]["SystemdCgroup"] is True


def test_a_proxy_is_in_the_units_environment() -> None:
    unit = containerd(containerd_proxy={"https_proxy": "http://proxy:3128"}).render("containerd.service.j2")
    assert 'Environment="HTTPS_PROXY=http://proxy:3128"' in unit
    # systemd takes % for the beginning of a specifier.
    password = containerd(containerd_proxy={"https_proxy": "http://me:p%40ss@proxy:3128"})
    assert "me:p%%40ss@proxy" in password.render("containerd.service.j2")
    assert "Environment" not in containerd().render("containerd.service.j2")
