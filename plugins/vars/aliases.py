"""Gives every host and group our names for the Kubespray names that its inventory uses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.vars import BaseVarsPlugin
from ansible.plugins.vars.host_group_vars import VarsModule as HostGroupVars

# The package is importable when the command line runs, but not for a plain ansible-playbook of another installation:
# then it lies beside this file, in a clone under src/, in a wheel three directories up.
_ROOT = Path(__file__).resolve().parents[2]
if "provision" not in sys.modules:
    if (_ROOT / "src").is_dir():
        sys.path.insert(0, str(_ROOT / "src"))
    else:
        sys.path.append(str(_ROOT.parents[1]))

from provision.aliases import AliasRefused, translate

DOCUMENTATION = """
    name: aliases
    short_description: Kubespray's variable names as aliases
    description:
      - Adds the names of this product for the Kubespray names found in inventory files, group_vars and host_vars.
      - The table is in the package, C(provision/data/aliases.yml).
    options:
      stage:
        description: Runs with the inventory for variables in its files, and with tasks for group_vars and host_vars.
        default: all
        choices: [all, task, inventory]
        type: str
"""


class VarsModule(BaseVarsPlugin):
    """Variables of inventory files are translated when the inventory is parsed, and so keep their lower rank."""

    REQUIRES_ENABLED = False
    # What it remembers depends on the loader alone, so one instance serves the whole run.
    is_stateless = True

    def __init__(self) -> None:
        super().__init__()
        self._files = HostGroupVars()
        self._loader: Any = None
        self._translated: dict[tuple[str, str, str], dict[str, object]] = {}
        self._defaults: dict[str, object] = {}

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, object]:
        """Our names for one directory and one entity. Ansible asks for every task and host: remember the answers."""
        if loader is not self._loader:
            self._loader = loader
            self._translated.clear()
            self._defaults = loader.load_from_file(str(_ROOT / "groups.yml"))["all"]["vars"]
        found: dict[str, object] = {}
        for entity in entities if isinstance(entities, list) else [entities]:
            found |= self._translate(entity.vars, self._defaults if entity.name == "all" else None)
            found |= self._from_files(loader, path, entity)
        return found

    def _translate(self, variables: Any, defaults: Any = None) -> dict[str, object]:
        try:
            return translate(variables, defaults)
        except AliasRefused as refused:
            raise AnsibleParserError(str(refused)) from refused

    def _from_files(self, loader: Any, path: str, entity: Any) -> dict[str, object]:
        key = (path, str(entity.base_type), entity.name)
        if key not in self._translated:
            files = self._files.get_vars(loader, path, [entity])
            self._translated[key] = self._translate(files)
        return self._translated[key]
