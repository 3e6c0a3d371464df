"""What podman and docker are told."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from provision.errors import PreflightRefused, UsageError
from provision.sandbox import containers, engine, image
from provision.sandbox.engine import NodeSpec

_NODE = NodeSpec("box-cp1", "cp1", "192.0.2.11", "node:1", "net", Path("/keys"))


def _told(made: containers.ContainerEngine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[list[str]] = []
    monkeypatch.setattr(containers, "run", lambda argv, **_: calls.append(argv) or "")
    made.run_node(_NODE)
    return calls[0]


@pytest.mark.parametrize("kind", [containers.Podman, containers.Docker])
def test_a_node_has_its_address_its_card_and_its_keys(
    kind: type[containers.ContainerEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = " ".join(_told(kind(), monkeypatch))

    assert argv.startswith(f"{kind.name} run --detach --name box-cp1 --hostname cp1 ")
    assert "--network net --ip 192.0.2.11 --mac-address 02:70:c0:00:02:0b -v /keys:/etc/sandbox:ro" in argv
    assert argv.endswith(" node:1")


def test_podman_runs_nodes_with_runc_and_leaves_systemd_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers.shutil, "which", lambda name: f"/usr/sbin/{name}")

    argv = _told(containers.Podman(), monkeypatch)

    assert "--systemd=false" in argv
    assert argv[argv.index("--runtime") + 1] == "/usr/sbin/runc"


@pytest.mark.parametrize(("hard", "value"), [(20000, 20000), (resource.RLIM_INFINITY, 1048576), (1 << 30, 1048576)])
def test_a_node_gets_no_more_than_this_process_has(hard: int, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers.resource, "getrlimit", lambda _which: (1024, hard))

    assert containers._ulimit("nofile", resource.RLIMIT_NOFILE, 1048576) == f"nofile={value}:{value}"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Up 3 seconds", "running"),
        ("Created", "created"),
        ("Exited (137) 1 minute ago", "stopped"),
        ("Dead", "stopped"),
    ],
)
def test_states(status: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "run", lambda *_, **__: f"box-cp1 {status}\n")

    assert containers.Docker().node_states() == {"box-cp1": state}


def test_podman_comes_before_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROVISION_SANDBOX_ENGINE", raising=False)
    there = {"podman", "docker"}
    monkeypatch.setattr(engine.shutil, "which", lambda name: name if name in there else None)

    assert engine.choose_engine().name == "podman"
    assert engine.choose_engine("docker").name == "docker"
    there.remove("podman")
    assert engine.choose_engine().name == "docker"
    there.clear()
    with pytest.raises(PreflightRefused, match="podman or docker") as refused:
        engine.choose_engine()
    assert refused.value.hint == "apt-get install podman runc mmdebstrap"
    with pytest.raises(UsageError, match="no sandbox engine 'xen'"):
        engine.choose_engine("xen")


def test_another_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.image_reference("trixie")
    assert before == image.image_reference("trixie")
    assert before != image.image_reference("bookworm")

    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "more"))
    assert before != image.image_reference("trixie")


@pytest.mark.parametrize("brought", ["keepalived", "haproxy", "bird2", "containerd", "runc"])
def test_a_node_starts_without_what_the_bundle_brings(brought: str) -> None:
    assert brought not in image.PACKAGES


def test_a_container_that_the_engine_gave_up_on_is_removed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"box-cp1", "box-cp2"}

    def run(argv: list[str], **_: object) -> str:
        if argv[1] == "ps":
            return "".join(f"{name} Up\n" for name in sorted(left))
        assert argv[:6] == ["podman", "rm", "--force", "--volumes", "--time", "0"]
        wanted = argv[6:]
        left.remove(wanted[0])
        if len(wanted) > 1:
            raise PreflightRefused(f"{wanted[1]} is busy")
        return ""

    monkeypatch.setattr(containers, "run", run)
    containers.Podman().remove_nodes(["box-cp1", "box-cp2", "box-w1"])

    assert not left


def test_a_container_that_stays_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], **_: object) -> str:
        if argv[1] == "ps":
            return "box-cp1 Up\n"
        raise PreflightRefused("box-cp1 is busy")

    monkeypatch.setattr(containers, "run", run)
    with pytest.raises(PreflightRefused, match="busy"):
        containers.Podman().remove_nodes(["box-cp1"])
