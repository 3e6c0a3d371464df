"""The `images` module: pulls what is missing, through hosts.toml, and keeps nothing of another digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from .module_runner import ModuleRunner, Tools

# Keeps references and digests in the file $IMAGES, as containerd would.
CTR = """
shift 3
case "$1" in
  list) echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"; cat {images} ;;
  pull) for ref; do :; done
        case "$ref" in *gone*) echo "resolving" >&2; echo "$ref: not found" >&2; exit 1 ;; esac
        echo "$ref index sha256:pulled 1MiB linux/amd64 -" >> {images} ;;
  remove) shift; for ref; do grep -v "^$ref " {images} > {images}.new; mv {images}.new {images}; done ;;
esac
"""
PAUSE, DNS = "registry.k8s.io/pause:3.10", "registry.k8s.io/coredns:1.14"


class Containerd:
    """A `ctr` with images."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._images = directory / "images"
        self._images.write_text("")
        self.tools = Tools(directory, monkeypatch)
        self.tools.add("ctr", CTR.format(images=self._images))

    def has(self, ref: str, digest: str) -> None:
        self._images.write_text(f"{self._images.read_text()}{ref} index {digest} 1MiB linux/amd64 -\n")

    def refs(self) -> list[str]:
        return [line.split()[0] for line in self._images.read_text().splitlines()]

    def pulls(self) -> list[str]:
        return [call for call in self.tools.calls() if " pull " in call]


@pytest.fixture
def containerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Containerd:
    return Containerd(tmp_path, monkeypatch)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_pulls_what_is_missing_once(run: ModuleRunner, containerd: Containerd) -> None:
    containerd.has(PAUSE, "sha256:any")
    items = [{"ref": PAUSE, "digest": ""}, {"ref": DNS, "digest": "sha256:pulled"}]

    first, second = run("images", items=items, hosts_dir="/mirrors"), run("images", items=items)

    assert first["pulled"] == [DNS]
    assert not second["changed"]
    assert containerd.pulls() == [
        f"ctr --namespace k8s.io images pull --hosts-dir /mirrors --label io.cri-containerd.image=managed {DNS}"
    ]


def test_another_digest_is_pulled_again(run: ModuleRunner, containerd: Containerd) -> None:
    containerd.has(PAUSE, "sha256:old")
    assert run("images", check=True, items=[{"ref": PAUSE, "digest": "sha256:new"}])["pulled"] == [PAUSE]
    assert not run("images", check=True, items=[{"ref": PAUSE, "digest": "sha256:old"}])["changed"]
    assert containerd.pulls() == []


def test_what_came_with_a_wrong_digest_is_removed(run: ModuleRunner, containerd: Containerd) -> None:
    result = run("images", items=[{"ref": PAUSE, "digest": "sha256:wanted"}, {"ref": DNS}])
    assert result["failed"]
    assert PAUSE in result["msg"]
    assert containerd.refs() == [DNS]


def test_a_failed_pull_says_which_image_and_why(run: ModuleRunner, containerd: Containerd) -> None:
    result = run("images", items=[{"ref": "example.com/gone:1"}, {"ref": DNS}])
    assert "example.com/gone:1: not found" in result["msg"]
    assert "resolving" not in result["msg"]


def test_a_pull_that_dies_silently_is_reported(run: ModuleRunner, containerd: Containerd) -> None:
    containerd.tools.add("ctr", "[ $4 = list ] || exit 137")
    assert f"{DNS}: ended with 137" in run("images", items=[{"ref": DNS}])["msg"]


def test_check_mode_works_where_containerd_is_not_installed_yet(run: ModuleRunner, containerd: Containerd) -> None:
    (containerd.tools.directory / "ctr").unlink()
    assert run("images", check=True, items=[{"ref": DNS}])["pulled"] == [DNS]


def test_without_containerd_it_says_so(run: ModuleRunner, containerd: Containerd) -> None:
    (containerd.tools.directory / "ctr").unlink()
    assert "ctr is not on this host" in run("images", items=[{"ref": PAUSE}])["msg"]
