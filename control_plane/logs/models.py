"""What hostings wrote, the newest of it, and how far it is known."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Text
from sqlmodel import Field, SQLModel

from control_plane.kit.columns import json_column, moment, ref


class LogStore(SQLModel, table=True):
    """What is kept of one hosting's log, and the marks from which its server goes on."""

    __tablename__ = "log_store"

    hosting_id: str = ref("hosting.id", primary_key=True)
    agency_id: str = ref("agency.id")
    marks: dict[str, str] = json_column()
    last_number: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    size: int = 0  # bytes of all its lines, as they count
    collected_at: datetime = moment()


class LogLine(SQLModel, table=True):
    """One line; numbers grow in the order of coming. With `lost` it stands for bytes not kept."""

    __tablename__ = "log_line"
    __table_args__ = (Index("ix_log_line_hosting_id_at", "hosting_id", "at"),)

    hosting_id: str = ref("hosting.id", primary_key=True)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    agency_id: str = ref("agency.id", index=False)
    service: str = Field(max_length=32)
    at: datetime = moment()
    text: str = Field(default="", sa_column=Column(Text, nullable=False))
    lost: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    size: int
