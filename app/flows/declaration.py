"""What every table of an ``agent-config.yml`` has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Declaration(BaseModel):
    """A table of known keys, each with a value if it is there; none of its refusals repeats one."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_there(cls, value: Any, info: ValidationInfo) -> Any:
        """``None`` is how a missing key is read, and never what a key says."""
        if value is None and cls.model_fields[info.field_name or ""].default is None:
            raise ValueError("is empty: fill it in or remove it")
        return value
