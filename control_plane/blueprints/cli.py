"""Commands for those who write blueprints; none of them needs a database.

`python -m control_plane.blueprints.cli schema > tenants/blueprint.schema.json`
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from control_plane.blueprints import actions
from control_plane.blueprints.rules import Blueprint
from control_plane.kit.documents import DocumentInvalid

app = typer.Typer(help="Check blueprints and describe their form.", no_args_is_help=True)


@app.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of blueprint.yml, for editors."""
    typer.echo(schema_text(), nl=False)


@app.command("check")
def check_folder(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="tenants/…/<name>")],
) -> None:
    """Read a blueprint's folder and name every mistake with its line."""
    try:
        blueprint = actions.read_folder(folder)
    except DocumentInvalid as invalid:
        for mistake in invalid.mistakes:
            typer.echo(f"{invalid.facts['source']}:{mistake.line}: {mistake.reason}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{blueprint.name} {blueprint.digest}")


def schema_text() -> str:
    """Return the JSON Schema as it is kept in the tree."""
    schema = Blueprint.model_json_schema(by_alias=True)
    schema["properties"].pop("placeholder")  # files beside blueprint.yml, not a part of it
    return json.dumps(schema, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    app()
