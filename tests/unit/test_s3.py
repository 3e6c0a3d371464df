"""Backups go to object storage and come back whole, signed as it asks, and no secret is seen on the way."""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import importlib.util
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from provision import backups, s3
from provision.cli.backup import _chosen
from provision.errors import InvalidInput, PreflightRefused, UsageError
from provision.validate import notices, validate
from tests.unit.sites import write_site
from tests.unit.test_action_files import action
from tests.unit.test_backups import made, program

__all__ = ["made", "program"]
PROGRAM = Path(__file__).parents[2] / "roles/backup/files/s3.py"
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class _Handler(BaseHTTPRequestHandler):
    """Believes in nothing but the signature, computed anew from what arrived as Amazon describes it."""

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        digest = base64.b64encode(hashlib.md5(data).digest()).decode()
        if self._refused(hashlib.sha256(data).hexdigest()) or self.headers["Content-MD5"] != digest:
            return
        self.storage.objects[self.path] = data
        self._answer(200)

    def do_GET(self) -> None:
        if self._refused(EMPTY):
            return
        if self.path not in self.storage.objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>It does not\n exist.</Message></Error>")
            return
        self._answer(200, self.storage.objects[self.path])

    def _refused(self, payload: str) -> bool:
        self.storage.requests.append(self.command)
        if self.storage.failures:
            self._answer(self.storage.failures.pop(0))
        elif not self._signed(payload):
            self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code><Message>Check your key.</Message></Error>")
        else:
            return False
        return True

    def _signed(self, payload: str) -> bool:
        word, *fields = self.headers["Authorization"].replace(",", "").split()
        given = dict(field.split("=", 1) for field in fields)
        key_id, day, region, service, end = given["Credential"].split("/")
        signed = given["SignedHeaders"].split(";")
        date = self.headers["x-amz-date"]
        age = time.time() - calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in sorted(signed))
        request = f"{self.command}\n{self.path}\n\n{headers}\n{';'.join(sorted(signed))}\n{payload}"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        secret: bytes = b"AWS4" + SECRET.encode()
        for part in (day, region, service, end):
            secret = hmac.digest(secret, part.encode(), "sha256")
        text = f"{word}\n{date}\n{day}/{region}/{service}/{end}\n{hashed}"
        return (
            {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed)
            and (key_id, region, service, day) == (KEY, "eu-1", "s3", date[:8])
            and abs(age) < 60
            and hmac.digest(secret, text.encode(), "sha256").hex() == given["Signature"]
        )

    def _answer(self, status: int, data: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) + self.storage.withheld * (status == 200)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    @property
    def storage(self) -> Storage:
        return cast(Storage, self.server)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


class Storage(ThreadingHTTPServer):
    """Object storage on this machine: what it holds, what was asked of it, and how it fails before it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.failures: list[int] = []
        self.withheld = 0
        self.url = f"http://127.0.0.1:{self.server_port}/bucket/prod"
        self.told = {"url": self.url, "region": "eu-1", "key": KEY, "secret": SECRET}


@pytest.fixture
def storage() -> Iterator[Storage]:
    with Storage() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, which waits for nothing."""
    spec = importlib.util.spec_from_file_location("s3_program", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAUSES", (0, 0, 0))
    return module


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prod-cp1-20260101T020000Z.backup"
    path.write_bytes(bytes(range(256)) * 9000)
    return path


def credentials(folder: Path, text: str = "", mode: int = 0o600) -> Path:
    path = folder / "credentials"
    path.write_text(text or f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key={SECRET}\n[other]\n")
    path.chmod(mode)
    return path


def site_of(folder: Path, storage: Storage) -> Any:
    values = {"cluster_name": "prod", "backup_s3_region": "eu-1", "backup_s3_credentials": str(credentials(folder))}
    return SimpleNamespace(setting=values.get)


@pytest.mark.parametrize(
    ("method", "url", "region", "payload", "moment", "signature"),
    [
        (  # Amazon's published example, GET Bucket Lifecycle
            *("GET", "https://examplebucket.s3.amazonaws.com/?lifecycle=", "us-east-1", EMPTY, "20130524T000000Z"),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (  # what botocore 1.44 signs
            *("PUT", "http://10.0.0.5:9000/b/x_y/~z.backup", "eu-central-1", "ab" * 32, "20260101T020304Z"),
            "a8c8b93eacf56fcce0941731da9d273b3f6c9bfc5e41e05f85f363b2992cda33",
        ),
    ],
    ids=["amazon's", "botocore's"],
)
def test_signatures_are_those_of_others(
    tool: Any, method: str, url: str, region: str, payload: str, moment: str, signature: str
) -> None:
    settings = {"region": region, "key": KEY, "secret": SECRET}
    headers = tool.signed(settings, method, urlsplit(url), payload, time.strptime(moment, "%Y%m%dT%H%M%SZ"))
    assert headers["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{moment[:8]}/{region}/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_what_is_put_is_got_again(tool: Any, storage: Storage, file: Path, tmp_path: Path) -> None:
    tool.put(storage.told, str(file))
    tool.get(storage.told, file.name, str(tmp_path / "got"))

    assert list(storage.objects) == [f"/bucket/prod/{file.name}"]
    assert (tmp_path / "got").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("failures", [[503], [500, 502, 504]])
def test_a_server_that_fails_is_asked_again(tool: Any, storage: Storage, file: Path, failures: list[int]) -> None:
    storage.failures = list(failures)
    tool.put(storage.told, str(file))

    assert storage.requests == ["PUT"] * (len(failures) + 1)
    assert storage.objects[f"/bucket/prod/{file.name}"] == file.read_bytes()


def test_a_server_that_goes_on_failing_is_told(tool: Any, storage: Storage, file: Path) -> None:
    storage.failures = [503] * 9
    with pytest.raises(tool.S3Error, match=rf"PUT {storage.url}/{file.name}: 503 Service Unavailable \(tried 4 times"):
        tool.put(storage.told, str(file))
    storage.server_close()
    with pytest.raises(tool.S3Error, match=r"Connection refused \(tried 4 times"):
        tool.put({**storage.told, "url": "http://127.0.0.1:1/bucket"}, str(file))


@pytest.mark.parametrize("status", [301, 307])
def test_a_refusal_is_final_and_no_redirect_is_followed(tool: Any, storage: Storage, file: Path, status: int) -> None:
    storage.failures = [status]
    with pytest.raises(tool.S3Error, match=f": {status} "):
        tool.put(storage.told, str(file))
    with pytest.raises(tool.S3Error, match=r"none\.backup: 404 NoSuchKey: It does not exist\.$"):
        tool.get(storage.told, "none.backup", str(file))

    assert storage.requests == ["PUT", "GET"]


def test_half_a_download_is_none(tool: Any, storage: Storage, file: Path, tmp_path: Path) -> None:
    tool.put(storage.told, str(file))
    storage.withheld = 7
    with pytest.raises(tool.S3Error, match="7 bytes early"):
        tool.get(storage.told, file.name, str(tmp_path / "got"))


def test_too_large_a_backup_is_refused_before_it_is_sent(
    tool: Any, storage: Storage, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "LARGEST", file.stat().st_size - 1)
    with pytest.raises(tool.S3Error, match="use backup_directory"):
        tool.put(storage.told, str(file))
    assert storage.requests == []


def test_the_secret_comes_by_a_pipe_and_is_not_told(storage: Storage, file: Path) -> None:
    def put(secret: str) -> subprocess.CompletedProcess[str]:
        told = json.dumps({**storage.told, "secret": secret})
        command = [sys.executable, str(PROGRAM), "put", str(file)]
        return subprocess.run(command, input=told, capture_output=True, text=True, check=False)

    assert put(SECRET).returncode == 0
    refused = put("another secret")
    said = f"PUT {storage.url}/{file.name}: 403 SignatureDoesNotMatch: Check your key.\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", said)


URL = "backup_s3_url=https://s3.example.com/backups/prod\n"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("backup_s3_url=s3://backups/prod", "backup_s3_url: this is not the URL .* https://HOST/BUCKET"),
        ("backup_s3_url=https://s3.example.com", "backup_s3_url: this is not"),
        ("backup_s3_url=https://s3.example.com/backups?versionId=1", "backup_s3_url: this is not"),
        ("backup_s3_url=https://me:hunter2@s3.example.com/backups", "backup_s3_url: this is not"),
        (f"{URL}backup_s3_region=eu/1", "backup_s3_region: 'eu/1' is no region .* us-east-1"),
        (URL, "backup_s3_credentials: no file is named name a file such as"),
        (
            f"{URL}backup_s3_credentials=credentials",
            "backup_s3_credentials: credentials is not an absolute path write /",
        ),
        (
            f"{URL}backup_s3_credentials=/nonexistent",
            "backup_s3_credentials: /nonexistent is not there",
        ),
        (f"{URL}backup_s3_credentials=/", "backup_s3_credentials: / is not there"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(variables: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(write_site(tmp_path, variables))
    told = f"{caught.value.message} {caught.value.hint}"
    assert re.match(message, told), told
    assert "hunter2" not in told
    assert (caught.value.exit_code, caught.value.others) == (3, ())
    assert str(caught.value.location).rpartition(":")[2].isdigit()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{SECRET}\n", "is no INI file"),
        (f"[default]\n{SECRET}\n", "is no INI file"),
        (f"[other]\naws_access_key_id=a\naws_secret_access_key={SECRET}\n", "lacks aws_access_key_id or"),
        (f"[default]\naws_secret_access_key={SECRET}\n", "lacks aws_access_key_id or"),
        (f"[default]\naws_access_key_id=a\naws_secret_access_key={SECRET}\naws_session_token=t", "a key that expires"),
    ],
)
def test_credentials_that_cannot_work_are_refused_and_not_quoted(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        s3.told("https://s3.example.com/b", "eu-1", str(credentials(tmp_path, text)))
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(InvalidInput, match="is open to every user"):
        s3.told("https://s3.example.com/b", "eu-1", str(credentials(tmp_path, text, 0o644)))


def test_good_settings_are_taken_and_plain_http_is_noticed(tmp_path: Path) -> None:
    secret = "100%(a)s#;b"  # nothing in it means anything
    path = credentials(tmp_path, f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {secret}\n")
    site = validate(write_site(tmp_path, f"{URL}backup_s3_credentials={path}"))
    assert s3.of_site(site) == {
        "url": "https://s3.example.com/backups/prod", "region": "us-east-1", "key": KEY, "secret": secret,
    }  # fmt: skip
    assert notices(site) == ()
    plain = validate(write_site(tmp_path, f"{URL.replace('https', 'http')}backup_s3_credentials={path}"))
    assert ["backup_s3_url is http" in notice for notice in notices(plain)] == [True]


def test_a_backup_is_fetched_for_its_operator_alone(tool: Any, storage: Storage, made: Path, tmp_path: Path) -> None:
    tool.put(storage.told, str(made))
    fetched = s3.fetch(f"{storage.url}/{made.name}", site_of(tmp_path, storage))

    assert fetched == backups.home() / "prod" / made.name
    assert fetched.read_bytes() == made.read_bytes()
    assert fetched.stat().st_mode & 0o777 == 0o600


def test_what_is_no_whole_backup_leaves_nothing(storage: Storage, made: Path, tmp_path: Path) -> None:
    site = site_of(tmp_path, storage)
    storage.objects[f"/bucket/prod/{made.name}"] = made.read_bytes()[:-30000]
    with pytest.raises(PreflightRefused, match="damaged"):
        s3.fetch(f"{storage.url}/{made.name}", site)
    with pytest.raises(PreflightRefused, match=r"404 NoSuchKey: It does not exist\.$"):
        s3.fetch(f"{storage.url}/other.backup", site)
    with pytest.raises(UsageError):
        s3.fetch(f"{storage.url}/made.tar", site)
    assert not list((backups.home() / "prod").iterdir())


def test_restore_takes_a_file_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "fetch", lambda url, site: Path("/fetched") / url[-8:] / site.setting("cluster_name"))
    site = write_site(tmp_path, "cluster_name=prod")

    assert _chosen(site, "x.backup") == Path("x.backup")
    assert _chosen(site, "https://s3.example.com/backups/x.backup") == Path("/fetched/x.backup/prod")


def test_a_control_plane_gets_it_as_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(**values: str) -> dict[str, Any]:
        plugin = action("backup_s3")
        monkeypatch.setattr(plugin.__mro__[1], "run", lambda *_: {})
        self = plugin.__new__(plugin)
        self._task = SimpleNamespace(args={"region": "eu-1", "dest": "/etc/s3.json", **values})
        self._execute_module = lambda **given: given
        (item,) = self.run(task_vars={})["module_args"]["items"]
        return cast(dict[str, Any], item)

    item = sent(url="https://s3.example.com/b/", credentials=str(credentials(tmp_path)))
    content = json.loads(item.pop("content"))
    assert item == {"dest": "/etc/s3.json", "secret": True}
    assert content == {"url": "https://s3.example.com/b", "region": "eu-1", "key": KEY, "secret": SECRET}
    assert sent(url="", credentials="/nonexistent") == {"dest": "/etc/s3.json", "state": "absent"}
