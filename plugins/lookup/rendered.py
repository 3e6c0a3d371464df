"""A rendered template as text, without the copy of all variables that the template lookup of Ansible makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: rendered
short_description: A role's template, rendered
description:
  - What C(ansible.builtin.template) gives as a lookup. That one copies all variables of the host for each template, a
    tenth of a second in every task that names one.
options:
  _terms: {description: Names of templates., required: true}
notes:
  - Every further argument is a variable of the template.
"""

EXAMPLES = """
manifest: "{{ lookup('rendered', 'rbac.yaml.j2') }}"
config: "{{ lookup('rendered', 'cluster.yaml.j2', etcd=['10.77.0.11']) }}"
"""

RETURN = """
_raw: {description: The texts., type: list, elements: str}
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """Renders templates on the controller."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the text of each template; raises AnsibleLookupError when there is none of that name."""
        return [self._rendered(term, {**(variables or {}), **kwargs}) for term in terms]

    def _rendered(self, name: str, variables: dict[str, Any]) -> str:
        found = self.find_file_in_search_path(variables, "templates", name)
        if not found:
            raise AnsibleLookupError(f"there is no template {name}")
        path = Path(found)
        templar = self._templar.copy_with_new_env(
            searchpath=[str(path.parent)],
            available_variables={**variables, "ansible_managed": "Managed by provision."},
        )
        text = templar.template(
            trust_as_template(path.read_text(encoding="utf-8")),
            escape_backslashes=False,
            preserve_trailing_newlines=True,
            overrides={"trim_blocks": True},
        )
        return text if isinstance(text, str) else str(text)
