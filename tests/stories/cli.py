"""`edubba` as a person or a pipeline runs it: a process, its exit code, its JSON."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody to log in as."""

    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


@dataclass(frozen=True, slots=True)
class Cli:
    """The command line of one person, with a home of their own."""

    url: str
    home: Path
    account: Account

    def run(self, *arguments: str, language: str = "en", stdin: str = "") -> Done:
        """Run a command to its end, however it ends."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(language),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: str) -> list[str]:
        """Return a command as the system runs it."""
        return [sys.executable, "-m", "control_plane.cli.main", *arguments]

    def environment(self, language: str = "en") -> dict[str, str]:
        """Return what a command is told by its surroundings, and nothing else."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": f"{language}.UTF-8",
            "PYTHONPATH": str(CHECKOUT),
            "EDUBBA_URL": self.url,
            "NO_COLOR": "1",
        }

    def ask(self, *arguments: str) -> Any:
        """Run a command that must succeed, with --json; return what it answered."""
        done = self.run(*arguments, "--json")
        assert done.code == 0, (arguments, done.output, done.errors)
        return done.json

    def log_in(self) -> None:
        """Keep a session's token in this person's home."""
        email = ("login", "--email", self.account.email)
        done = self.run(*email, "--password-stdin", stdin=self.account.password)
        assert done.code == 0, (done.output, done.errors)
