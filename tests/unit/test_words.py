"""The few words that matter, and never a secret among them."""

from __future__ import annotations

from typing import Any

import pytest

from provision import words


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("join with abcdef.0123456789abcdef now", "join with [token] now"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [token]"),
        ("password=hunter2 user=x", "password=[hidden] user=x"),
        ("--token abc --other", "--token [hidden] --other"),
        ("certificate-key: 0123", "certificate-key: [hidden]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest", "[key]\nrest"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl", "[token]"),
        ("node1 is not ready", "node1 is not ready"),
        ("dial tcp 10.77.0.11:6443: refused", "dial tcp 10.77.0.11:6443: refused"),
    ],
)
def test_secrets_are_replaced(said: str, shown: str) -> None:
    assert words.without_secrets(said) == shown


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "no space left"}, "no space left"),
        ({"msg": "Task failed: Action failed: no space left"}, "no space left"),
        ({"msg": "non-zero return code", "stderr": "E: locked"}, "E: locked"),
        ({"msg": "non-zero return code", "stderr": "", "stdout": "only here"}, "only here"),
        ({"msg": "non-zero return code", "cmd": ["false"], "rc": 1}, "`false` ended with code 1 and said nothing"),
        ({"msg": "etcd is not ready", "stderr": "member 3 is down"}, "etcd is not ready\nmember 3 is down"),
        ({"censored": "hidden"}, "the details are hidden because this step handles secrets"),
        ({"msg": "One or more items failed", "results": [{"msg": "a"}, {"failed": True, "msg": "b"}]}, "b"),
        ({}, "no explanation was given"),
    ],
)
def test_the_last_words_of_a_failure(result: dict[str, Any], said: str) -> None:
    assert words.last_words(result) == said


def test_long_output_is_cut_to_its_end() -> None:
    said = words.last_words({"msg": "non-zero return code", "stderr": "\n".join(map(str, range(100)))})
    assert said.splitlines() == [str(number) for number in range(92, 100)]


@pytest.mark.parametrize(
    ("result", "summary"),
    [
        ({"diff": {"before": "a\nb\n", "after": "a\nc\nd\n", "after_header": "/etc/hosts"}}, ("/etc/hosts (+2 -1)",)),
        ({"diff": [{"before": "stopped", "after": "started"}]}, ("stopped -> started",)),
        ({"diff": {"before": "", "after": "started"}}, ("nothing -> started",)),
        ({"diff": {"before": {"a": 1}, "after": {"a": 2}, "before_header": "sysctl"}}, ("sysctl: a: 1 -> a: 2",)),
        (
            {"diff": {"before": "absent", "after": "2.3.7", "after_header": "containerd"}},
            ("containerd: absent -> 2.3.7",),
        ),
        ({"diff": {"before": "", "after": "a secret", "after_header": "/etc/key"}}, ("/etc/key (+1 -0)",)),
        ({"diff": {"before": "present", "after": "absent", "after_header": "/etc/cni"}}, ("/etc/cni (removed)",)),
        (
            {"diff": {"before": "", "after": "directory 0755\n", "after_header": "/etc/cni"}},
            ("/etc/cni (directory 0755)",),
        ),
        ({"diff": {"before": "", "after": "a\nb\nc\nd\ne"}}, ("+a, +b, +c, +d, … (+5 -0)",)),
        ({"diff": {"prepared": "restart kubelet"}}, ("restart kubelet",)),
        ({"diff": {"prepared": "-a\n+b\n+c"}}, ("-a, +b, +c (+2 -1)",)),
        ({"diff": {"before": "same", "after": "same"}}, ()),
        ({"diff": [], "installed": ["/usr/local/bin/kubelet"]}, ("/usr/local/bin/kubelet",)),
        ({"action": "restarted"}, ("restarted",)),
        ({"results": [{"diff": {"before": "1", "after": "2"}}, {}]}, ("1 -> 2",)),
        ({}, ()),
    ],
)
def test_a_difference_in_a_line(result: dict[str, Any], summary: tuple[str, ...]) -> None:
    assert words.diff_summary(result) == summary


def test_a_difference_in_full() -> None:
    text = words.diff_text({"diff": {"before": "a\n", "after": "a\ntoken: xyz\n", "after_header": "/etc/x"}})
    assert text.splitlines() == ["--- /etc/x now", "+++ /etc/x then", "@@ -1 +1,2 @@", " a", "+token: [hidden]"]
