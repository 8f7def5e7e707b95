"""Fail unless every test against the reference's outputs ran: ``golden_ran.py JUNIT_XML``."""

import sys
import xml.etree.ElementTree as ET

tree = ET.parse(sys.argv[1])
cases = [case for case in tree.iter("testcase") if "golden" in case.get("classname", "")]
ran = [case for case in cases if case.find("skipped") is None]
if not cases or len(ran) < len(cases):
    sys.exit(f"the golden data is there, but only {len(ran)} of {len(cases)} golden tests ran")
