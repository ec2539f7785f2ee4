"""What can go wrong with requests and hostings, for people."""

from typing import ClassVar

from control_plane.kit.errors import Problem


class HostingMoveRefused(Problem):
    """A hosting can't go from its present state to that one."""

    code: ClassVar[str] = "hosting_move_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hosting that is {present} can't become {to}"
    mend: ClassVar[str] = "Read it again: it may have changed since you looked."


class RequestMoveRefused(Problem):
    """A request can't go from its present state to that one."""

    code: ClassVar[str] = "request_move_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A request that is {present} can't become {to}"
    mend: ClassVar[str] = "Read it again: it may have changed since you looked."


class NameTaken(Problem):
    """The agency has a hosting of this name."""

    code: ClassVar[str] = "hosting_name_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The agency has a hosting {name} already"
    mend: ClassVar[str] = "Choose another name, or look at the one there is: {hosting}."


class ImageMissing(Problem):
    """The region can't make servers of this blueprint yet."""

    code: ClassVar[str] = "image_missing"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The region {region} has no image {image} yet"
    mend: ClassVar[str] = (
        "The data centre prepares it with: make images FAMILIES={image}. "
        "Ask again a minute after that."
    )


class RequestOpen(Problem):
    """Something about this hosting is being decided or carried out."""

    code: ClassVar[str] = "request_open"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The request {request} about this hosting is not closed yet"
    mend: ClassVar[str] = "Wait for it, or withdraw it."


class NotEndable(Problem):
    """A hosting that isn't there, or not any more, can't be ended."""

    code: ClassVar[str] = "hosting_not_endable"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hosting that is {present} can't be ended"
    mend: ClassVar[str] = "If it waits for a decision, withdraw its request; else it is over."


class NotChangeable(Problem):
    """Only what is in service can be changed."""

    code: ClassVar[str] = "hosting_not_changeable"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hosting that is {present} can't be changed"
    mend: ClassVar[str] = "Wait until it is active, or ask the data centre if it isn't."


class NothingToChange(Problem):
    """What is wished is what there is."""

    code: ClassVar[str] = "nothing_to_change"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hosting is as wished already"
    mend: ClassVar[str] = "Say what shall be otherwise: its size, title, inputs or image."


class DiskCannotShrink(Problem):
    """A smaller size would cut off what is stored."""

    code: ClassVar[str] = "disk_cannot_shrink"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The size {size} has a smaller disk than the hosting has now"
    mend: ClassVar[str] = (
        "Choose a size with at least {from_mib} MiB of disk, or release to a new hosting."
    )


class NotSuspendable(Problem):
    """Only what is in service can be closed."""

    code: ClassVar[str] = "hosting_not_suspendable"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hosting that is {present} can't be suspended"
    mend: ClassVar[str] = "Wait until it is active, or end it."


class NotSuspended(Problem):
    """There is nothing to open again."""

    code: ClassVar[str] = "hosting_not_suspended"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hosting is not suspended; it is {present}"
    mend: ClassVar[str] = "Read it again: it may have changed since you looked."


class SuspendedByCentre(Problem):
    """What the data centre closed, the data centre opens."""

    code: ClassVar[str] = "suspended_by_centre"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The data centre has suspended this hosting: {reason}"
    mend: ClassVar[str] = "Ask the data centre to let it resume."


class NotRestorable(Problem):
    """Only what has ended, was live once and is kept still can be brought back."""

    code: ClassVar[str] = "hosting_not_restorable"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hosting that is {present} can't be brought back"
    mend: ClassVar[str] = (
        "What has ended can be brought back until its data is destroyed; after that, ask anew."
    )


class OwnRequest(Problem):
    """Nobody decides on what they asked for themselves."""

    code: ClassVar[str] = "own_request"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "You submitted this request yourself"
    mend: ClassVar[str] = "Somebody else who may decide must do it."


class PlanChanged(Problem):
    """The plan is not the one that the decider saw."""

    code: ClassVar[str] = "plan_changed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The plan has changed since you read it"
    mend: ClassVar[str] = "Read the request again and decide on its present plan, {plan_hash}."


class AlreadyDecided(Problem):
    """The request was decided before."""

    code: ClassVar[str] = "already_decided"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This request is {present} already"
    mend: ClassVar[str] = "Read it: it says who decided what, and when."


class HostingDiffers(Problem):
    """What is wished is there already, but otherwise in what can't be changed, or not now."""

    code: ClassVar[str] = "hosting_differs"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hosting {name} is there already, with another {fields}"
    mend: ClassVar[str] = "Put into the file what there is, or end the hosting and ask anew."
