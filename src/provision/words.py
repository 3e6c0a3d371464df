"""The few words that matter out of what a tool said, and never a secret among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from typing import Any

LAST_LINES = 8
"""How many lines of a tool's output are quoted."""

_STATE = re.compile(r"absent|(?:directory|mode) \d{4}|link to \S+")
"""What the module `files` says of a path whose content is not the matter."""

_FIRST_LINES = 4

_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), "[key]"),
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), "[token]"),
    (re.compile(r"\b(?:ey[A-Za-z0-9_-]{8,}\.){1,2}[A-Za-z0-9_-]{8,}"), "[token]"),
    (re.compile(r"(?i)\b(bearer)\s+\S+"), r"\1 [token]"),
    (
        re.compile(r"(?i)((?:password|passwd|secret|token|certificate[-_]key|api[-_]?key)\S*\s*[=:]\s*)\S+"),
        r"\1[hidden]",
    ),
    (re.compile(r"(?i)(--(?:token|password|certificate-key)\s+)\S+"), r"\1[hidden]"),
)
_EMPTY_MESSAGES = ("non-zero return code", "MODULE FAILURE", "One or more items failed", "All items completed")
_PREFIXES = re.compile(r"^(?:Task failed: |Action failed: |Module failed: )+")


def without_secrets(text: str) -> str:
    """Replace keys, tokens and passwords, whatever said them."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def cleaned(value: Any) -> Any:
    """The same document with the secrets in all of its texts replaced."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {key: cleaned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each) for each in value]
    return value


def last_words(result: Mapping[str, Any]) -> str:
    """Why a module failed: its message, and the end of what the tool wrote where the message says nothing."""
    if failed := [item for item in _items(result) if item.get("failed")]:
        return last_words(failed[0])
    if "censored" in result:
        return "the details are hidden because this step handles secrets"
    message = _PREFIXES.sub("", str(result.get("msg") or result.get("reason") or "").strip())
    said = next(
        (out for key in ("stderr", "module_stderr", "stdout", "module_stdout") if (out := _text(result, key))), ""
    )
    if message.startswith(_EMPTY_MESSAGES):
        message = "" if said else _ended(result) or message
    parts = [message]
    if said and said not in message:
        parts.append("\n".join(said.splitlines()[-LAST_LINES:]))
    return without_secrets("\n".join(part for part in parts if part)) or "no explanation was given"


def _ended(result: Mapping[str, Any]) -> str:
    command = result.get("cmd")
    shown = " ".join(map(str, command)) if isinstance(command, list) else str(command or "")
    return f"`{shown}` ended with code {result.get('rc')} and said nothing" if shown else ""


def _text(result: Mapping[str, Any], key: str) -> str:
    return str(result.get(key) or "").strip()


def _items(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [item for item in result.get("results") or [] if isinstance(item, Mapping)]


def diff_summary(result: Mapping[str, Any]) -> tuple[str, ...]:
    """One line for each thing that a result's diff touches: `/etc/hosts (+2 -1)`, or `a -> b` for a short value."""
    found = tuple(line for entry in _diffs(result) if (line := _summary(entry)))
    if found:
        return tuple(dict.fromkeys(found))
    for key in ("paths", "installed", "action"):
        if told := result.get(key):
            return tuple(str(part) for part in told) if isinstance(told, list) else (str(told),)
    return ()


def diff_text(result: Mapping[str, Any]) -> str:
    """The whole diff as text, secrets replaced."""
    parts = []
    for entry in _diffs(result):
        if prepared := entry.get("prepared"):
            parts.append(str(prepared).strip("\n"))
            continue
        before, after = _lines(entry.get("before")), _lines(entry.get("after"))
        name = _header(entry)
        parts.append("\n".join(unified_diff(before, after, f"{name} now", f"{name} then", lineterm="")))
    return without_secrets("\n".join(part for part in parts if part))


def _diffs(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    own = result.get("diff") or []
    entries = [own] if isinstance(own, Mapping) else [entry for entry in own if isinstance(entry, Mapping)]
    for item in _items(result):
        entries.extend(_diffs(item))
    return entries


def _summary(entry: Mapping[str, Any]) -> str:
    name = _header(entry)
    if prepared := entry.get("prepared"):
        lines = str(prepared).strip().splitlines()
        return name or (lines[0] if len(lines) == 1 else _counted("", lines))
    before, after = _lines(entry.get("before")), _lines(entry.get("after"))
    if before == after:
        return ""
    if name.startswith("/") and _STATE.fullmatch(told := "".join(after)):
        return f"{name} ({told})" if told != "absent" else f"{name} (removed)"
    # A version or a state is told; of a file, whatever its length, only how much of it.
    if len(before) <= 1 and len(after) <= 1 and not name.startswith("/"):
        step = f"{''.join(before) or 'nothing'} -> {''.join(after) or 'nothing'}"
        return without_secrets(f"{name}: {step}" if name else step)
    return _counted(name, list(unified_diff(before, after, lineterm=""))[2:])


def _counted(name: str, delta: Sequence[str]) -> str:
    """How many lines come and go, and where nothing else names them, the first of them."""
    changed = [line for line in delta if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]
    added = sum(line.startswith("+") for line in changed)
    count = f"(+{added} -{len(changed) - added})"
    if name:
        return f"{name} {count}"
    first = ", ".join(f"{line[0]}{line[1:].strip()}" for line in changed[:_FIRST_LINES])
    return without_secrets(f"{first}{', …' if len(changed) > _FIRST_LINES else ''} {count}".strip())


def _header(entry: Mapping[str, Any]) -> str:
    header = str(entry.get("after_header") or entry.get("before_header") or "")
    return header.removesuffix(" (content)").strip()


def _lines(value: object) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        return [f"{key}: {value[key]}" for key in sorted(value)]
    return str(value).splitlines()
