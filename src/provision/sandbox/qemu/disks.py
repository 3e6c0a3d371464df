"""The disks of a machine: the image all share, what it writes itself, and who it is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from provision.paths import cache_home
from provision.sandbox.commands import run
from provision.sandbox.qemu.machine import Machine

_DISK_SIZE = "20G"
_HINT = "apt-get install qemu-utils e2fsprogs"


def image_directory(reference: str) -> Path:
    """Where the disk and the kernel of an image made from packages are kept."""
    return cache_home() / "sandbox" / reference.rpartition("/")[2].replace(":", "-")


def kernel(reference: str) -> Path:
    """The kernel that such an image is started with."""
    return image_directory(reference) / "vmlinuz"


def has_image(reference: str) -> bool:
    """Whether the image is there, whole."""
    return kernel(reference).exists()


def import_image(tar: Path, reference: str) -> None:
    """Make a disk of the root file system in the tar, which is used up, and take the kernel out of it."""
    target = image_directory(reference)
    with tempfile.TemporaryDirectory(prefix=".machine-", dir=tar.parent) as work:
        root, made = Path(work) / "root", Path(work) / "image"
        root.mkdir()
        made.mkdir()
        run(["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", str(root), "-f", str(tar)])
        shutil.copy(next((root / "boot").glob("vmlinuz-*")), made / "vmlinuz")
        # The parts of the file system that nothing is in yet are initialised by whoever writes there.
        lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        run(["mke2fs", "-q", "-t", "ext4", "-E", lazy, "-d", str(root), str(made / "disk.raw"), _DISK_SIZE], hint=_HINT)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    tar.unlink()


def is_cloud_image(reference: str) -> bool:
    """Whether it is the path of a disk that starts by itself, and not the name of an image that was made here."""
    return Path(reference).is_absolute()


def make_disk(machine: Machine) -> None:
    """Give the machine a disk of its own: empty, on top of the image."""
    if is_cloud_image(machine.image):
        base, kind, size = Path(machine.image), _format(Path(machine.image)), [_DISK_SIZE]
    else:
        base, kind, size = image_directory(machine.image) / "disk.raw", "raw", []
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", kind, str(machine.disk), *size], hint=_HINT)


def make_identity(machine: Machine) -> Path:
    """Write the machine's identity to a small disk, anew at each start; returns its file."""
    disk = machine.home / "identity.img"
    disk.unlink(missing_ok=True)
    disk.touch(mode=0o600)
    run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", machine.identity, str(disk), "512K"],
        hint=_HINT,
    )
    return disk


def make_seed(machine: Machine) -> Path:
    """Write what cloud-init asks for (its data source NoCloud) into a directory; returns it."""
    seed = machine.home / "seed"
    seed.mkdir(exist_ok=True, mode=0o700)
    identity = Path(machine.identity)
    place = dict(line.partition("=")[::2] for line in (identity / "network").read_text().splitlines())
    (seed / "meta-data").write_text(f"instance-id: {machine.name}\nlocal-hostname: {machine.hostname}\n")
    (seed / "network-config").write_text(
        "version: 2\n"
        "ethernets:\n"
        "  uplink:\n"
        f"    match: {{driver: virtio_net}}\n"
        f"    addresses: [{place['ADDRESS']}]\n"
        f"    routes: [{{to: 0.0.0.0/0, via: {place['GATEWAY']}}}]\n"
        f"    nameservers: {{addresses: [{place['GATEWAY']}]}}\n"
    )
    (seed / "user-data").write_text(_user_data(identity))
    return seed


def _user_data(identity: Path) -> str:
    host_key = (identity / "ssh_host_ed25519_key").read_text()
    indented = "".join(f"    {line}\n" for line in host_key.splitlines())
    return (
        "#cloud-config\n"
        "disable_root: false\n"
        "ssh_deletekeys: true\n"
        "ssh_keys:\n"
        f"  ed25519_private: |\n{indented}"
        f"  ed25519_public: {(identity / 'ssh_host_ed25519_key.pub').read_text().strip()}\n"
        "users:\n"
        "  - name: root\n"
        f"    ssh_authorized_keys: [{(identity / 'authorized_keys').read_text().strip()!r}]\n"
    )


def _format(image: Path) -> str:
    with image.open("rb") as stream:
        return "qcow2" if stream.read(4) == b"QFI\xfb" else "raw"
