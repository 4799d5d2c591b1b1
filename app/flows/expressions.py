"""Regular expressions that a configuration declares, in an engine whose time is linear in the text.

Who writes one may steer a project, and must not be able to stop a server: Rust's ``regex``, which pydantic
brings, has RE2's syntax (GitLab's, too), no look-around, and a limit on the size of what it compiles.
"""

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

MAX_EXPRESSION = 256


class Expression:
    """``ValueError`` for what is no expression, or one that grows too large."""

    def __init__(self, pattern: str) -> None:
        try:
            self._validator = SchemaValidator(
                core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
            )
        except SchemaError:
            reason = "is no regular expression of RE2, or too large a one: mind brackets, look-around, counts"
            raise ValueError(reason) from None

    def finds(self, text: str) -> bool:
        """Anywhere in ``text``, unless the expression begins with ``^`` and ends with ``$``."""
        try:
            self._validator.validate_python(text)
        except ValidationError:
            return False
        return True
