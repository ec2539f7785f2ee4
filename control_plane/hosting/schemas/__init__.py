"""What goes in and out of hosting over HTTP."""

from control_plane.hosting.schemas.attachments import AttachmentIn, AttachmentOut
from control_plane.hosting.schemas.hostings import (
    ChangeIn,
    EndIn,
    HostingDetailOut,
    HostingOut,
    RestoreIn,
    ResumeIn,
    SettingOut,
    SettingsIn,
    SettingsOut,
    SuspendIn,
)
from control_plane.hosting.schemas.requests import (
    ApproveIn,
    CostOut,
    DecisionOut,
    PlanOut,
    PolicyOut,
    RejectIn,
    RequestDetailOut,
    RequestIn,
    RequestOut,
    WithdrawIn,
)
from control_plane.hosting.schemas.wishes import (
    DifferenceOut,
    JoinOut,
    UndeclaredOut,
    WishesOut,
    WishOut,
)

__all__ = [
    "ApproveIn",
    "AttachmentIn",
    "AttachmentOut",
    "ChangeIn",
    "CostOut",
    "DecisionOut",
    "DifferenceOut",
    "EndIn",
    "HostingDetailOut",
    "HostingOut",
    "JoinOut",
    "PlanOut",
    "PolicyOut",
    "RejectIn",
    "RequestDetailOut",
    "RequestIn",
    "RequestOut",
    "RestoreIn",
    "ResumeIn",
    "SettingOut",
    "SettingsIn",
    "SettingsOut",
    "SuspendIn",
    "UndeclaredOut",
    "WishOut",
    "WishesOut",
    "WithdrawIn",
]
