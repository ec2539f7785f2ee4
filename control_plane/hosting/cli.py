"""Commands for those who write policies and tenant files; none of them needs a database.

`python -m control_plane.hosting.cli schema policy > tenants/policies/policy.schema.json`
"""

import json
from enum import StrEnum

import typer

from control_plane.hosting.rules import Policy, TenantFile

app = typer.Typer(help="Describe the form of policies and tenant files.", no_args_is_help=True)


class Form(StrEnum):
    """What a schema is of."""

    POLICY = "policy"
    TENANT = "tenant"


@app.callback()
def commands() -> None:
    """Keep `schema` a command of its own, though it is the only one."""


@app.command("schema")
def show_schema(form: Form) -> None:
    """Print a JSON Schema, for editors."""
    typer.echo(schema_text(form), nl=False)


def schema_text(form: Form) -> str:
    """Return a JSON Schema as it is kept in the tree."""
    model = Policy if form is Form.POLICY else TenantFile
    schema = model.model_json_schema(by_alias=True)
    return json.dumps(schema, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    app()
