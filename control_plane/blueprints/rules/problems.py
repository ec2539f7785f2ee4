"""What can go wrong with blueprints, for people."""

from typing import ClassVar

from control_plane.kit.errors import Problem


class BlueprintUnknown(Problem):
    """There is no blueprint of that name."""

    code: ClassVar[str] = "blueprint_unknown"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There is no blueprint {blueprint}"
    mend: ClassVar[str] = "GET /v1/blueprints and `edubba blueprint list` name those there are."


class SizeUnknown(Problem):
    """The blueprint has no such size."""

    code: ClassVar[str] = "size_unknown"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The blueprint {blueprint} has no size {size}"
    mend: ClassVar[str] = "Choose one of: {known}."


class PriceUnknown(Problem):
    """Nobody has said what this size costs in that currency."""

    code: ClassVar[str] = "price_unknown"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The size {size} of {blueprint} has no price in {currency} yet"
    mend: ClassVar[str] = "Choose another size, or ask the data centre to set a price."


class PriceFixed(Problem):
    """A price that was set is never changed."""

    code: ClassVar[str] = "price_fixed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The price of {size} from {effective_from} on is already set"
    mend: ClassVar[str] = "Leave that line as it was, and add one with a later moment."


class InputInvalid(Problem):
    """An input is missing, unknown or not as the blueprint wants it."""

    code: ClassVar[str] = "input_invalid"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The input {input} can't be used: {reason}"
    mend: ClassVar[str] = "Correct it; GET /v1/blueprints/{blueprint} describes the inputs."
