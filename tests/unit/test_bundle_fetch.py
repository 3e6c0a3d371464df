from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from provision.bundle import fetch
from provision.bundle.fetch import Download
from provision.errors import HostUnreachable, PreflightRefused
from tests.unit.bundle_servers import Bars, send, send_range, site

CONTENT = bytes(range(256)) * 64
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)


def download(url: str, folder: Path, name: str = "kubelet") -> Download:
    return Download(f"{url}/{name}", folder / name, SHA256)


def test_a_download_is_checked_and_put_in_place(tmp_path: Path) -> None:
    with site(lambda handler: send_range(handler, CONTENT)) as upstream:
        fetch.fetch(download(upstream.url, tmp_path), Bars())
    assert (tmp_path / "kubelet").read_bytes() == CONTENT
    assert not (tmp_path / "kubelet.part").exists()


def test_a_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    (tmp_path / "kubelet.part").write_bytes(CONTENT[:1000])
    with site(lambda handler: send_range(handler, CONTENT)) as upstream:
        fetch.fetch(download(upstream.url, tmp_path), Bars())
        assert upstream.asked[0][1]["range"] == "bytes=1000-"
    assert (tmp_path / "kubelet").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(tmp_path: Path) -> None:
    (tmp_path / "kubelet.part").write_bytes(b"x" * 1000)
    with site(lambda handler: send(handler, CONTENT)) as upstream:
        fetch.fetch(download(upstream.url, tmp_path), Bars())
    assert (tmp_path / "kubelet").read_bytes() == CONTENT


def test_a_partial_download_that_is_too_long_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "kubelet.part").write_bytes(CONTENT + b"more")
    with site(lambda handler: send_range(handler, CONTENT)) as upstream:
        fetch.fetch(download(upstream.url, tmp_path), Bars())
    assert (tmp_path / "kubelet").read_bytes() == CONTENT


def test_a_connection_that_breaks_is_taken_up_again(tmp_path: Path) -> None:
    def break_once(handler: object) -> None:
        if len(upstream.asked) == 1:
            send(handler, CONTENT[:5000], Content_Length=str(len(CONTENT)))
        else:
            send_range(handler, CONTENT)

    with site(break_once) as upstream:
        fetch.fetch(download(upstream.url, tmp_path), Bars())
        assert upstream.asked[1][1]["range"] == "bytes=5000-"
    assert (tmp_path / "kubelet").read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(tmp_path: Path) -> None:
    with site(lambda handler: send(handler, CONTENT, 503 if len(upstream.asked) < 3 else 200)) as upstream:
        fetch.fetch(download(upstream.url, tmp_path), Bars())
        assert len(upstream.asked) == 3


def test_a_damaged_download_is_named_and_never_put_in_place(tmp_path: Path) -> None:
    with (
        site(lambda handler: send(handler, CONTENT[:-1] + b"?")) as upstream,
        pytest.raises(PreflightRefused, match=r"kubelet from .* is damaged"),
    ):
        fetch.fetch(download(upstream.url, tmp_path), Bars())
    assert list(tmp_path.iterdir()) == []


def test_a_valid_file_is_not_fetched_and_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "valid").write_bytes(CONTENT)
    (tmp_path / "damaged").write_bytes(CONTENT[:-1] + b"?")
    bars = Bars()
    with site(lambda handler: send_range(handler, CONTENT)) as upstream:
        fetch.fetch_all([download(upstream.url, tmp_path, name) for name in ("valid", "damaged")], bars)
        assert [path for path, _ in upstream.asked] == ["/damaged"]
    assert ("valid", "there already") in bars.notes
    assert (tmp_path / "damaged").read_bytes() == CONTENT


def test_every_failure_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    with (
        site(lambda handler: send(handler, CONTENT, 200 if handler.path == "/good" else 404)) as upstream,
        pytest.raises(HostUnreachable) as caught,
    ):
        fetch.fetch_all([download(upstream.url, tmp_path, name) for name in ("good", "one", "two")], Bars())
    assert "2 of 3 downloads failed" in caught.value.message
    assert f"{upstream.url}/one answers 404" in caught.value.message
    assert f"{upstream.url}/two answers 404" in caught.value.message
    assert (tmp_path / "good").exists()


def test_a_token_does_not_follow_a_redirect(tmp_path: Path) -> None:
    with (
        site(lambda handler: send(handler, CONTENT)) as storage,
        site(lambda handler: send(handler, b"", 307, Location=f"{storage.url}/blob")) as registry,
    ):
        wanted = Download(f"{registry.url}/blob", tmp_path / "blob", SHA256, headers={"Authorization": "Bearer secret"})
        fetch.fetch(wanted, Bars())
        assert registry.asked[0][1]["authorization"] == "Bearer secret"
        assert "authorization" not in storage.asked[0][1]


def test_only_web_addresses_are_opened(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not an http address"):
        fetch.fetch(Download("file:///etc/passwd", tmp_path / "x", SHA256), Bars())
