"""junit.xml: a suite for each profile, a case for each requirement, as CI systems read it."""

from xml.etree import ElementTree as ET

from conformance.report.model import Line, Report


def junit(report: Report) -> str:
    """The report as JUnit XML."""
    root = ET.Element("testsuites", name="conformance", time=str(report.seconds))
    for profile in report.profiles:
        lines = [line for line in report.requirements if line.requirement.profile == profile.name]
        kinds = [_kind(line) for line in lines]
        suite = ET.SubElement(root, "testsuite", name=profile.name, tests=str(len(lines)))
        for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(attribute, str(kinds.count(kind)))
        for line in lines:
            _case(suite, line)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _kind(line: Line) -> str:
    """The element that says how it ended; empty if it passed. A SHOULD that does not hold fails no build."""
    if line.status == "pass":
        return ""
    if line.status == "fail" and line.requirement.level == "MUST":
        return "failure"
    return "error" if line.status == "error" else "skipped"


def _case(suite: ET.Element, line: Line) -> None:
    requirement = line.requirement
    name = f"{requirement.id} {requirement.sentence}"
    case = ET.SubElement(suite, "testcase", classname=requirement.profile, name=name)
    if kind := _kind(line):
        message = line.actual if kind == "failure" else f"{line.status}: {line.actual}"
        ET.SubElement(case, kind, message=message).text = f"expected: {line.expected}\nactual: {line.actual}"
    if line.evidence:
        ET.SubElement(case, "system-out").text = " ".join(f"{name}={value}" for name, value in line.evidence.items())
