"""Prints the ten tests that took longest, of all the reports that are given."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

cases = [case for report in sys.argv[1:] for case in ET.parse(report).iter("testcase")]  # noqa: S314 - our own
print("\nThe slowest ten:")
for case in sorted(cases, key=lambda case: -float(case.get("time", "0")))[:10]:
    print(f"{float(case.get('time', '0')):8.1f} s  {case.get('classname')}::{case.get('name')}")
