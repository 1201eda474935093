"""junit.xml: a suite for each profile, a case for each requirement, as CI systems read it."""

from xml.etree import ElementTree as ET

from conformance.report.model import Line, Report


def junit(report: Report) -> str:
    """The report as JUnit XML."""
    root = ET.Element("testsuites", name="conformance", time=str(report.seconds))
    for profile in report.profiles:
        lines = [line for line in report.requirements if line.requirement.profile == profile.name]
        suite = ET.SubElement(root, "testsuite", name=profile.name, tests=str(len(lines)))
        for kind, statuses in (
            ("failures", {"fail"}),
            ("errors", {"error"}),
            ("skipped", {"skipped", "unknown", "not_supported"}),
        ):
            suite.set(kind, str(sum(line.status in statuses for line in lines)))
        for line in lines:
            _case(suite, line)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, line: Line) -> None:
    requirement = line.requirement
    case = ET.SubElement(
        suite, "testcase", classname=requirement.profile, name=f"{requirement.id} {requirement.sentence}"
    )
    if line.status == "fail" and requirement.level == "MUST":
        ET.SubElement(case, "failure", message=line.actual).text = f"expected: {line.expected}\nactual: {line.actual}"
    elif line.status == "error":
        ET.SubElement(case, "error", message=line.actual)
    elif line.status != "pass":
        ET.SubElement(case, "skipped", message=f"{line.status}: {line.actual}")
    if line.evidence:
        ET.SubElement(case, "system-out").text = " ".join(f"{name}={value}" for name, value in line.evidence.items())
