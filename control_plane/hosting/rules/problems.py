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


class RegionUnknown(Problem):
    """There is no such region."""

    code: ClassVar[str] = "region_unknown"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There is no region {region}"
    mend: ClassVar[str] = "Name one of: {known}."


class RegionUnnamed(Problem):
    """There are several regions, or none at all, and the wish names none."""

    code: ClassVar[str] = "region_unnamed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "It isn't said in which region the hosting shall be"
    mend: ClassVar[str] = "Name one of: {known}."


class ImageMissing(Problem):
    """The region can't make servers of this blueprint yet."""

    code: ClassVar[str] = "image_missing"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The region {region} has no image {image} yet"
    mend: ClassVar[str] = "Try again in a minute. If it lasts, the data centre must prepare it."


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
    """What is wished is there already, but otherwise; changing it is not offered yet."""

    code: ClassVar[str] = "hosting_differs"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hosting {name} is there already, with another {fields}"
    mend: ClassVar[str] = "Put into the file what there is, or end the hosting and ask anew."
