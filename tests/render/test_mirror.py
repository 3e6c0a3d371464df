"""The mirror's files, read by what they are for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.rendering import Role

MATRIX = [
    {},
    {"mirror_directory": "/data/bundle", "mirror_http_port": 80, "mirror_registry_port": 443},
]


def mirror(**options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_bundle": "/bundle",
        "cluster_host": {"os_id": "ubuntu", "os_version": "24.04"},
    }
    return Role("mirror", **(inputs | options))


@pytest.mark.parametrize("options", MATRIX)
def test_the_registry_serves_the_bundles_images_and_takes_none(options: dict[str, Any]) -> None:
    role = mirror(**options)
    config = yaml.safe_load(role.render("registry.yml.j2"))
    assert config["version"] == 0.1
    assert config["http"]["addr"] == f":{role.value('mirror_registry_port')}"
    assert config["storage"]["filesystem"]["rootdirectory"] == f"{role.value('mirror_directory')}/images"
    assert config["storage"]["maintenance"] == {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}}


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
@pytest.mark.parametrize("options", MATRIX)
def test_nginx_reads_it(tmp_path: Path, options: dict[str, Any]) -> None:
    config = tmp_path / "nginx.conf"
    text = mirror(**options).render("nginx.conf.j2")
    config.write_text(text.replace("/run/provision-mirror-files.pid", str(tmp_path / "pid")))
    checked = subprocess.run(["nginx", "-t", "-c", config], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("options", MATRIX)
def test_the_web_server_hides_the_registrys_storage(options: dict[str, Any]) -> None:
    role = mirror(**options)
    text = role.render("nginx.conf.j2")
    assert f"listen {role.value('mirror_http_port')};" in text
    assert f"root {role.value('mirror_directory')};" in text
    assert "location /images/ { return 404; }" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("options", MATRIX)
def test_the_mirror_installs_from_its_own_disk(options: dict[str, Any]) -> None:
    role = mirror(**options)
    source = f"{role.value('mirror_directory')}/apt/ubuntu-24.04/"
    lines = role.render("mirror.sources.j2").splitlines()[1:]
    assert dict(line.split(": ", 1) for line in lines) == {
        "Types": "deb",
        "URIs": f"file://{source}",
        "Suites": "./",
        "Signed-By": f"{source}provision.asc",
    }


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize(("unit", "program"), [("files", "/usr/sbin/nginx"), ("images", "/usr/bin/docker-registry")])
def test_systemd_reads_the_units(tmp_path: Path, unit: str, program: str) -> None:
    file = tmp_path / f"{unit}.service"
    text = mirror().render(f"{unit}.service.j2")
    assert f"ExecStart={program} " in text
    file.write_text(text.replace(program, "/bin/true"))
    read = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    assert file.name not in read.stderr, read.stderr


def test_everything_but_the_packages_is_removed_again() -> None:
    role = mirror()
    written = {item["dest"] for item in role.value("__mirror_files")}
    assert {Path(dest).parent for dest in written if "mirror/" in dest} == {Path("/etc/provision/mirror")}
    assert [item["dest"] for item in role.value("__mirror_directories")] == [
        "/etc/provision/mirror",
        role.value("mirror_directory"),
    ]
