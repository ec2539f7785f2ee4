"""What is kept of visits, in the database that is attached: DATABASE_URL says where."""

import os
from dataclasses import dataclass

import psycopg

TABLES = (
    """
    create table if not exists clinic (
        id smallint primary key,
        name_ar text not null,
        name_en text not null
    )
    """,
    """
    create table if not exists visit (
        id bigint generated always as identity primary key,
        clinic_id smallint not null references clinic,
        at timestamptz not null default now()
    )
    """,
    "create index if not exists visit_by_clinic on visit (clinic_id, at)",
)
CLINICS = (
    (1, "مركز الكرادة الصحي", "Karrada health centre"),
    (2, "مركز الأعظمية الصحي", "Adhamiya health centre"),
    (3, "مركز العشار الصحي", "Ashar health centre"),
    (4, "مركز عينكاوا الصحي", "Ankawa health centre"),
)
CONNECT_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic, and how many people came: on this day in Baghdad, and ever."""

    id: int
    name_ar: str
    name_en: str
    today: int
    total: int


def migrate() -> None:
    """Make what is not there yet; made again, it changes nothing."""
    with _connect() as database:
        for table in TABLES:
            database.execute(table)
        for clinic in CLINICS:
            database.execute(
                "insert into clinic values (%s, %s, %s) on conflict (id) do update"
                " set name_ar = excluded.name_ar, name_en = excluded.name_en",
                clinic,
            )


def list_clinics() -> list[Clinic]:
    """Return all clinics with their visits."""
    with _connect() as database:
        rows = database.execute(
            """
            select clinic.id, name_ar, name_en,
                count(visit.id) filter (
                    where (at at time zone 'Asia/Baghdad')::date
                        = (now() at time zone 'Asia/Baghdad')::date
                ),
                count(visit.id)
            from clinic left join visit on visit.clinic_id = clinic.id
            group by clinic.id order by clinic.id
            """
        ).fetchall()
    return [Clinic(*row) for row in rows]


def record_visit(clinic_id: int) -> bool:
    """Record that somebody came now; False if there is no such clinic."""
    with _connect() as database:
        done = database.execute(
            "insert into visit (clinic_id) select id from clinic where id = %s", (clinic_id,)
        )
        return done.rowcount == 1


def count_visits() -> int:
    """Return how many visits were recorded ever."""
    with _connect() as database:
        row = database.execute("select count(*) from visit").fetchone()
    return int(row[0]) if row else 0


def _connect() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=CONNECT_WITHIN_S)
