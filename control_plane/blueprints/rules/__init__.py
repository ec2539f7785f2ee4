"""What a blueprint is: a kind of hosting as data, with inputs, sizes and prices. Pure."""

from control_plane.blueprints.rules.blueprint import (
    INPUT_PATTERN,
    NAME_PATTERN,
    Attachable,
    Blueprint,
    InputField,
    PriceLine,
    Size,
    Wheels,
    Words,
    check_path,
    digest_of,
    parse_blueprint,
    render_placeholder,
)
from control_plane.blueprints.rules.inputs import check_inputs
from control_plane.blueprints.rules.problems import (
    BlueprintUnknown,
    InputInvalid,
    PriceFixed,
    PriceUnknown,
    SizeUnknown,
)

__all__ = [
    "INPUT_PATTERN",
    "NAME_PATTERN",
    "Attachable",
    "Blueprint",
    "BlueprintUnknown",
    "InputField",
    "InputInvalid",
    "PriceFixed",
    "PriceLine",
    "PriceUnknown",
    "Size",
    "SizeUnknown",
    "Wheels",
    "Words",
    "check_inputs",
    "check_path",
    "digest_of",
    "parse_blueprint",
    "render_placeholder",
]
