"""The wheel carries all it needs: installed in an empty place, it validates a site without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from provision import __version__

ROOT = Path(__file__).parents[2]


def _build(target: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    if find_spec("hatchling") is None:  # pip brings the build tool, as it does for anyone who installs from source
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(target), str(ROOT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(target.glob("provision-*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a fresh virtual environment that has the wheel, and sees the dependencies of this one."""
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=False, symlinks=True)
    packages = place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # A path file in a directory that a path file names is not read: this checkout's own link does not come along.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = place / "bin" / "python"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(command, check=True)
    return place / "bin" / "provision"


def _run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PROVISION", "ANSIBLE"))
    }
    environment = kept | {"PROVISION_STATE_DIR": str(cwd / "state"), "HOME": str(cwd)}
    return subprocess.run([command, *arguments], cwd=cwd, capture_output=True, text=True, check=False, env=environment)


def test_the_wheel_holds_the_project_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    for needed in (
        "ansible.cfg",
        "groups.yml",
        "group_vars/all/components.yml",
        "playbooks/cluster.yml",
        "roles/etcd/tasks/main.yml",
    ):
        assert f"provision/_project/{needed}" in names
    assert "provision/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"provision", f"provision-{__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_every_tracked_file_of_the_project_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    parts = ["ansible.cfg", "groups.yml", "group_vars", "inventory", "playbooks", "plugins", "roles"]
    done = subprocess.run(["git", "ls-files", *parts], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    tracked = [line for line in done.stdout.splitlines() if (ROOT / line).is_file()]

    assert [file for file in tracked if f"provision/_project/{file}" not in names] == []


def test_the_installed_command_works_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    version = _run(installed, "--version", cwd=tmp_path)
    assert version.stdout == f"provision {__version__}\n", version.stderr

    shutil.copy(ROOT / "tests/fixtures/sites/good.ini", tmp_path / "site.ini")
    valid = _run(installed, "validate", "-i", "site.ini", cwd=tmp_path)
    assert valid.returncode == 0, valid.stderr
    assert "site.ini is valid" in valid.stdout


def test_the_installed_command_uses_its_own_files(installed: Path, tmp_path: Path) -> None:
    code = "from provision.paths import project_root; print(project_root())"
    done = _run(installed.with_name("python"), "-c", code, cwd=tmp_path)

    assert done.stdout.strip().endswith("site-packages/provision/_project"), done.stderr


_NOBODY = """
[kube_control_plane]
one ansible_host=127.0.0.1 ansible_port=1 ip=192.0.2.11
[etcd:children]
kube_control_plane
"""


def test_the_installed_command_finds_its_playbooks_and_ansible(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "site.ini").write_text(_NOBODY)
    done = _run(installed, "preflight", "-i", "site.ini", cwd=tmp_path)

    assert done.returncode == 5, done.stdout + done.stderr
    assert "nothing listens for ssh there" in done.stdout
