"""Configuration of a stack -> `DeploymentSpec`, and everything wrong with it in one message.

Keys are flat, so that the engine can type them and `pulumi config set redisMaxmemory 512mb` works:
section and field in camel case (`redis.maxmemory_policy` is `redisMaxmemoryPolicy`). Only the section
of a target is an object under the target's name (`compose.redisPort`).
"""

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic.alias_generators import to_camel, to_pascal

from infra.section import ContradictionError, Problem
from infra.spec import TARGET_SECTIONS, DeploymentSpec
from infra.values import MEBIBYTE

LONGEST_ECHO = 60


class SpecError(ValueError):
    """The configuration of a stack cannot be used; the message is for its author."""


@dataclass(frozen=True)
class Setting:
    """One key of the configuration."""

    key: str
    """As the user writes it; with a dot inside of a target's section."""
    path: tuple[str, str]
    """Section and field of `DeploymentSpec`."""
    schema: Mapping[str, object]
    """JSON schema of its value."""

    @property
    def default(self) -> object:
        """The default as a user would write it: `256mb`, not bytes."""
        value = "" if self.secret else self.schema["default"]
        return f"{value // MEBIBYTE}mb" if isinstance(value, int) and self.schema["type"] == "string" else value

    @property
    def secret(self) -> bool:
        """Whether the value is to be encrypted; the spec only holds whether there is one."""
        return bool(self.schema.get("secret"))

    @property
    def choices(self) -> list[str]:
        """The values of an enumeration, else nothing."""
        choices = self.schema.get("enum", [])
        return choices if isinstance(choices, list) else []

    @property
    def bound(self) -> str:
        """What the schema asks of a value."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.schema["type"] == "boolean":
            return "true or false"
        if self.schema["type"] != "integer":
            return f"a {self.schema['type']}"
        low, high = self.schema.get("minimum"), self.schema.get("maximum")
        return "a whole number" + (f" from {low} to {high}" if high else "" if low is None else f", at least {low}")


def settings(kind: str) -> Mapping[str, Setting]:
    """Return every setting of a stack of target `kind` by its key, `target` itself aside."""
    sections = {name: type(section) for name, section in DeploymentSpec()} | {"target": TARGET_SECTIONS[kind]}
    found = (
        Setting(f"{kind}.{to_camel(field)}" if name == "target" else name + to_pascal(field), (name, field), schema)
        for name, section in sections.items()
        for field, schema in section.model_json_schema()["properties"].items()
        if field != "kind"
    )
    return {setting.key: setting for setting in found}


def load_spec(
    config: Mapping[str, object], stack_file: str, secret_keys: Collection[str] = frozenset()
) -> DeploymentSpec:
    """Read the keys of this project, without its namespace, into a spec.

    Values may be strings, as the engine passes them on; an object may be JSON. `stack_file` is named in
    errors. The value of a key in `secret_keys`, and of a key that is not known, is never repeated.

    Raises:
        SpecError: with every wrong key, its value, what would be right, and how to set it.

    """
    kind = str(config.get("target", DeploymentSpec().target.kind))
    if kind not in TARGET_SECTIONS:
        complaint = _complaint("target", kind, f"one of {', '.join(TARGET_SECTIONS)}", next(iter(TARGET_SECTIONS)))
        raise SpecError(_message(stack_file, [complaint]))
    known = settings(kind)
    given, complaints = _flatten(config, kind)
    secrets = [key for key, value in given.items() if value and key in known and known[key].secret]
    complaints += [_in_clear(key) for key in secrets if key not in secret_keys]
    complaints += [_unknown(key, known) for key in given if key not in known]
    spec, problems = _validate(kind, {known[key].path: value for key, value in given.items() if key in known})
    keys = {setting.path: setting for setting in known.values()}
    for problem in problems:
        setting = keys[problem.path]
        hidden = setting.key.partition(".")[0] in secret_keys or (setting.secret and problem.value)
        value = "[secret]" if hidden else _echo(problem.value, setting)
        complaints.append(_complaint(setting.key, value, problem.bound, _suggestion(problem, setting)))
    if spec is None or complaints:
        raise SpecError(_message(stack_file, complaints))
    return spec


def _flatten(config: Mapping[str, object], kind: str) -> tuple[dict[str, object], list[str]]:
    """Values by key, those of the target's section by dotted key, and what is wrong with that section."""
    # The engine gives every target's section, as the empty object that Pulumi.yaml declares for it.
    empty = {key for key in TARGET_SECTIONS if config.get(key) in ({}, "{}")}
    flat = {key: value for key, value in config.items() if key not in {"target", kind, *empty}}
    try:
        section = config.get(kind, {})
        section = json.loads(section) if isinstance(section, str) else section
    except ValueError:
        section = None
    if isinstance(section, Mapping):
        return flat | {f"{kind}.{key}": value for key, value in section.items()}, []
    example = next(key for key in settings(kind) if key.startswith(f"{kind}."))
    return flat, [
        f"  {kind}\n      must be an object with keys like {example}\n      Remove it: pulumi config rm {kind}"
    ]


def _validate(kind: str, values: Mapping[tuple[str, str], object]) -> tuple[DeploymentSpec | None, list[Problem]]:
    tree: dict[str, dict[str, object]] = {"target": {"kind": kind}}
    for (section, field), value in values.items():
        tree.setdefault(section, {})[field] = value
    try:
        return DeploymentSpec.model_validate(tree), []
    except ValidationError as error:
        problems = list(_problems(error, kind))
    # What contradicts what shows only once each setting is right by itself: leave out the wrong ones and look again.
    wrong = {problem.path for problem in problems} & set(values)
    if wrong and not any(problem.involves for problem in problems):
        _, more = _validate(kind, {path: value for path, value in values.items() if path not in wrong})
        problems += [problem for problem in more if not wrong & {problem.path, *problem.involves}]
    return None, problems


def _problems(error: ValidationError, kind: str) -> Iterator[Problem]:
    bounds = {setting.path: setting.bound for setting in settings(kind).values()}
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, ContradictionError):
            yield from cause.problems
        else:
            path = str(detail["loc"][0]), str(detail["loc"][-1])
            yield Problem(path, detail["input"], str(cause) if cause else bounds[path])


def _suggestion(problem: Problem, setting: Setting) -> object:
    if problem.suggestion is not None or setting.secret:
        return problem.suggestion
    return next(iter(get_close_matches(str(problem.value), setting.choices, n=1)), setting.default)


def _complaint(key: str, value: str, bound: str, suggestion: object) -> str:
    return f"  {key}: {value}\n      must be {bound}\n      Correct it, for example: {_remedy(key, suggestion)}"


def _remedy(key: str, suggestion: object) -> str:
    """Return the command that sets a key to what is suggested: nothing removes it, None is a secret to be typed."""
    if suggestion is None:
        return f"pulumi config set --secret {key}"
    if suggestion == "":
        return _removal(key)
    value = suggestion if isinstance(suggestion, str) else json.dumps(suggestion)
    return f"pulumi config set {'--path ' if '.' in key else ''}{key} {shlex.quote(value)}"


def _removal(key: str) -> str:
    return f"pulumi config rm {'--path ' if '.' in key else ''}{key}"


def _in_clear(key: str) -> str:
    told = "is a secret, and stands in the stack file in clear: have it changed where it comes from"
    return f"  {key}\n      {told}\n      Encrypt the new one: {_remedy(key, None)}"


def _unknown(key: str, known: Mapping[str, Setting]) -> str:
    match = next(iter(get_close_matches(key, [*known, "target"], n=1)), None)
    meant = f"; did you mean {match}?" if match else ""
    return f"  {key}\n      is not a setting of this project{meant}\n      Remove it: {_removal(key)}"


def _message(stack_file: str, complaints: list[str]) -> str:
    count = "1 setting" if len(complaints) == 1 else f"{len(complaints)} settings"
    return "\n".join([f"{stack_file}: {count} cannot be used; nothing has been changed", *complaints])


def _echo(value: object, setting: Setting) -> str:
    if isinstance(value, int) and setting.schema["type"] == "string":
        value = f"{value // MEBIBYTE}mb"
    text = value if isinstance(value, str) else json.dumps(value)
    text = text if text.isprintable() and text else repr(text)
    short = text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "..."
    return f"{short} (the default)" if value == setting.default else short
