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


def test_without_a_mirror_images_come_from_their_registries() -> None:
    assert containerd().value("__containerd_registries") == []


def test_a_proxy_is_in_the_units_environment() -> None:
    unit = containerd(containerd_proxy={"https_proxy": "http://proxy:3128"}).render("containerd.service.j2")
    assert 'Environment="HTTPS_PROXY=http://proxy:3128"' in unit
    assert "Environment" not in containerd().render("containerd.service.j2")
