"""A token is made only when somebody joins, lives shortly and only authenticates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_a_token_lives_shortly_and_only_authenticates() -> None:
    module = load("kubeadm_token")
    token = module.new_token()
    secret = module.manifest(token, 900)
    assert [len(part) for part in token.split(".")] == [6, 16]
    assert secret["metadata"]["name"] == f"bootstrap-token-{token[:6]}"
    assert "usage-bootstrap-signing" not in secret["stringData"]


class Cluster:
    """A cluster that knows one node, and notes what it is given."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = load("kubeadm_token")
        self.created: list[dict[str, Any]] = []
        (root / "ca.crt").write_text("authority")
        monkeypatch.setattr(self.module, "ADMIN", str(root / "ca.crt"))
        monkeypatch.setattr(self.module, "PKI", str(root))
        monkeypatch.setattr(self.module, "nodes", lambda _server: {"cp1": {}})
        monkeypatch.setattr(
            self.module, "kubectl", lambda *_words, data, **_rest: self.created.append(json.loads(data))
        )


def test_nobody_to_join_means_no_token(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    result = run(cluster.module, nodes=["cp1"], address="10.0.0.1")
    assert (result["token"], result["registered"], cluster.created) == ("", ["cp1"], [])


@pytest.mark.parametrize("asked", [{"nodes": ["cp1", "w1"]}, {"nodes": ["cp1"], "strangers": ["cp1"]}])
def test_a_token_for_those_who_join(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    assert run(cluster.module, check=True, address="10.0.0.1", **asked)["token"] == ""
    result = run(cluster.module, address="10.0.0.1", **asked)
    data = cluster.created[0]["stringData"]
    assert result["token"] == f"{data['token-id']}.{data['token-secret']}"
    assert (result["changed"], result["ca"]) == (False, "authority")
