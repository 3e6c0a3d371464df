"""A kubelet's new certificates: keys stay on the node, the authority decides on the name, the old ones come back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="certificates get owners: needs root")
NODE: dict[str, Any] = {"name": "w1", "address": "10.77.0.21"}


def openssl(*words: object) -> str:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=True).stdout


class Node:
    """The kubelet's directory of one node, and the authority of its cluster."""

    def __init__(self, root: Path, run: ModuleRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pki, self.authority = root / "pki", root / "ca"
        self.pki.mkdir()
        self.run, self.module = run, load("kubelet_certificates")
        self.refusal: str | None = None
        monkeypatch.setattr(self.module, "refused", lambda _params: self.refusal)
        self.signed(self.authority.with_suffix(".crt"), self.authority.with_suffix(".key"), "ca", days=1000)
        for kind in ("client", "server"):
            first = self.pki / f"kubelet-{kind}-1.pem"
            self.signed(first, root / "old.key", "old", days=40)
            first.write_text(first.read_text() + (root / "old.key").read_text())
            self.current(kind).symlink_to(first)

    def signed(self, certificate: Path, key: Path, name: str, days: int) -> None:
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl(*new, "-subj", f"/CN={name}", "-days", days, "-out", certificate, "-keyout", key)

    def current(self, kind: str) -> Path:
        return self.pki / f"kubelet-{kind}-current.pem"

    def step(self, state: str, **more: Any) -> dict[str, Any]:
        places = {"directory": str(self.pki), "authority": str(self.authority)}
        return self.run(self.module, state=state, **NODE, **places, **{"timeout": 0, **more})

    def renew(self) -> dict[str, Any]:
        asked = self.step("requested", within=90)
        made = self.step("signed", requests=asked["requests"])
        return self.step("installed", certificates=made["certificates"])


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, ModuleRunner(monkeypatch, capsys), monkeypatch)


@pytest.mark.parametrize(("kind", "usage"), [("client", "TLS Web Client"), ("server", "TLS Web Server")])
def test_new_certificates_are_the_nodes_and_their_keys_fit(node: Node, kind: str, usage: str) -> None:
    assert node.renew()["changed"] is True

    pair = node.current(kind)
    text = openssl("x509", "-in", pair, "-noout", "-text", "-nameopt", "RFC2253")
    assert "Subject: CN=system:node:w1,O=system:nodes" in text
    assert usage in text
    assert ("DNS:w1, IP Address:10.77.0.21" in text) is (kind == "server")
    openssl("verify", "-CAfile", node.authority.with_suffix(".crt"), pair)
    assert openssl("x509", "-in", pair, "-noout", "-pubkey") == openssl("pkey", "-in", pair, "-pubout")
    assert pair.resolve().stat().st_mode & 0o777 == 0o600
    assert not list(node.pki.glob("provision-*"))


def test_what_lasts_is_left_and_check_mode_makes_nothing(node: Node) -> None:
    before = sorted(node.pki.iterdir())

    assert node.step("requested", within=30)["changed"] is False
    asked = node.run(node.module, check=True, state="requested", **NODE, directory=str(node.pki), within=90)

    assert asked["paths"] == [str(node.current(kind)) for kind in ("client", "server")]
    assert asked["requests"] == {}
    assert sorted(node.pki.iterdir()) == before


def test_what_was_renewed_since_the_beginning_is_left(node: Node) -> None:
    since = node.current("client").stat().st_mtime - 1
    assert node.step("requested", within=90, since=since)["changed"] is False
    assert node.step("requested", within=90, since=since + 60)["changed"] is True


def test_a_request_in_another_nodes_name_gets_a_certificate_for_this_one(node: Node, tmp_path: Path) -> None:
    new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k")
    forged = openssl(*new, "-subj", "/O=system:masters/CN=admin", "-addext", "subjectAltName=DNS:api")

    made = node.step("signed", requests={"server": forged})["certificates"]["server"]

    (tmp_path / "made").write_text(made)
    text = openssl("x509", "-in", tmp_path / "made", "-noout", "-text")
    assert "system:node:w1" in text
    assert "system:masters" not in text
    assert "DNS:api" not in text


def test_the_old_ones_come_back_when_the_api_server_refuses(node: Node) -> None:
    before = {kind: node.current(kind).readlink() for kind in ("client", "server")}
    node.refusal = "HTTP 401"

    failed = node.renew()

    assert failed["failed"] is True
    assert "HTTP 401" in failed["msg"]
    assert {kind: node.current(kind).readlink() for kind in before} == before
