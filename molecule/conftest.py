"""What the checks of all scenarios use: the scenario's machines, and what `provision` says of a wrong setting."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision import validate
from provision.errors import InvalidInput
from tests.machines import Machines


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    directory = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
    inventory = os.environ.get("MOLECULE_INVENTORY") or str(directory / "site.ini")
    with pytest.MonkeyPatch.context() as patch:
        # One connection to each machine, which ends with the checks; sudo is the operator's inventory's business.
        private = tmp_path_factory.mktemp("ssh")
        control = private / "%C"
        patch.setenv("ANSIBLE_SSH_EXTRA_ARGS", f"-o ControlMaster=auto -o ControlPersist=5 -o ControlPath={control}")
        (private / "ansible.cfg").touch()
        patch.setenv("ANSIBLE_CONFIG", str(private / "ansible.cfg"))
        yield Machines(inventory, f"{os.environ['MOLECULE_EPHEMERAL_DIRECTORY']}/inventory")


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Gives the site of the scenario a setting that `provision` must refuse offline, and returns the reason."""
    site = (Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "site.ini").read_text()

    def refuse(**setting: object) -> str:
        (tmp_path / "site.ini").write_text(site)
        (tmp_path / "group_vars").mkdir(exist_ok=True)
        (tmp_path / "group_vars/all.yml").write_text(json.dumps(setting))
        with pytest.raises(InvalidInput) as refusal:
            validate.validate(tmp_path / "site.ini")
        return str(refusal.value)

    return refuse
