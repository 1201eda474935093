"""Where settings come from: environment variables, ``.env``, and secret files named after the variable.

Contradictions are refused when the settings are made, with the variables' names and never with their values.
"""

from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from session_core.errors import SettingsError

SECRETS_DIR: Final = Path("/run/secrets")


class Environment(BaseSettings):
    """One attribute for each variable, in lower case.

    Raises:
        SettingsError: one line for each wrong variable.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=".env",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - whatever pydantic-settings accepts
        """Read the environment; keyword arguments win over it."""
        if SECRETS_DIR.is_dir():
            values.setdefault("_secrets_dir", SECRETS_DIR)
        problems: list[str] = []
        try:
            super().__init__(**values)
        except UnicodeDecodeError:
            problems = [".env, or a secret file, is not UTF-8"]
        except ValidationError as error:
            problems = [_told(*problem["loc"], problem["msg"]) for problem in error.errors(include_input=False)]
        if problems:  # outside of the except block, so that no traceback drags the values along
            raise SettingsError("; ".join(problems))


def _told(*parts: int | str) -> str:
    *variable, problem = parts
    message = str(problem).removeprefix("Value error, ")
    return f"{str(variable[0]).upper()}: {message}" if variable else message
