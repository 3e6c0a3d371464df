"""Prints what the tests of all reports that are given measured, and the ten that took longest."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

cases = [case for report in sys.argv[1:] for case in ET.parse(report).iter("testcase")]  # noqa: S314 - our own
measured = [(each, case.get("name")) for case in cases for each in case.iter("property")]
if measured:
    print("\nMeasured:")
for each, test in measured:
    print(f"{each.get('value', ''):>10} {each.get('name')}, {test}")
print("\nThe slowest ten:")
for case in sorted(cases, key=lambda case: -float(case.get("time", "0")))[:10]:
    print(f"{float(case.get('time', '0')):8.1f} s  {case.get('classname')}::{case.get('name')}")
