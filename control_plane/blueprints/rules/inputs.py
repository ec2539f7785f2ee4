"""Whether what somebody said fits what a blueprint asks for. Pure."""

from collections.abc import Mapping
from typing import Any

from email_validator import EmailNotValidError, validate_email
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from control_plane.blueprints.rules.blueprint import Blueprint
from control_plane.blueprints.rules.problems import InputInvalid
from control_plane.kit.text import Phrase

# By the keyword of JSON Schema that said no; `expected` is what the schema has there.
_REASONS = {
    "type": "it must be of the type {expected}",
    "pattern": "it has characters or a form that are not allowed",
    "format": "it is not a valid {expected}",
    "minLength": "it is shorter than {expected} characters",
    "maxLength": "it is longer than {expected} characters",
    "minimum": "it is below {expected}",
    "maximum": "it is above {expected}",
    "enum": "it is not one of {expected}",
    "maxItems": "it has more than {expected} entries",
    "uniqueItems": "it has an entry twice",
    "required": "it is missing",
    "additionalProperties": "this blueprint has no such input",
}
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("email", raises=EmailNotValidError)
def _is_email(value: object) -> bool:
    return not isinstance(value, str) or bool(validate_email(value, check_deliverability=False))


def check_inputs(blueprint: Blueprint, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with the defaults of those left out. Raises: InputInvalid."""
    schema = blueprint.inputs.as_json_schema()
    validator = Draft202012Validator(schema, format_checker=_FORMATS)
    given = dict(inputs)
    errors = sorted(validator.iter_errors(given), key=lambda error: list(map(str, error.path)))
    if errors:
        raise _problem(blueprint, errors[0], given)
    defaults = {
        name: field.default
        for name, field in blueprint.inputs.properties.items()
        if field.default is not None
    }
    return {**defaults, **given}


def _problem(blueprint: Blueprint, error: ValidationError, given: dict[str, Any]) -> InputInvalid:
    keyword = str(error.validator)
    if keyword == "required":
        name = next(name for name in blueprint.inputs.required if name not in given)
    elif keyword == "additionalProperties":
        name = next(name for name in given if name not in blueprint.inputs.properties)
    else:
        name = str(error.path[0]) if error.path else "inputs"
    expected = error.validator_value
    listed = ", ".join(map(str, expected)) if isinstance(expected, list) else expected
    reason = Phrase(_REASONS.get(keyword, "{why}"), expected=listed, why=error.message)
    return InputInvalid(blueprint=blueprint.name, input=name, reason=reason)
