"""The command line as a whole: arguments, exit codes, pipes that close and disks that are full."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vit_engine.cli import COMMANDS, console, main

MODEL = "random_vit_tiny_p16"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["attend"],
        ["attend", "a.png", "--model", MODEL],
        ["attend", "a.png", "--model", MODEL, "--out", "results", "--layers", "first"],
        ["attend", "a.png", "--model", MODEL, "--out", "results", "--query", "3"],
        ["attend", "a.png", "--model", MODEL, "--out", "results", "--size", "0"],
        ["attend", "a.png", "--model", MODEL, "--out", "results", "--size", "32,32,32"],
        ["attend", "a.png", "--model", MODEL, "--out", "results", "--seed", "9223372036854775808"],
        ["models", "--jso"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert "usage: vit-engine" in capsys.readouterr().err


def test_help_is_exit_code_0(capsys: pytest.CaptureFixture[str]):
    assert main(["attend", "--help"]) == 0
    assert "--layers" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["attend", "features", "estimate", "compare"])
def test_the_help_says_which_size_is_the_default(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([command, "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    default = "224" if command == "compare" else "the model's own size"
    assert re.search(rf"--size N\|HEIGHT WIDTH (short )?side[^;]*; default: {default}", words), words


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_help_and_has_its_own(command: str, capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    assert COMMANDS[command] in capsys.readouterr().out
    assert main([command, "--help"]) == 0
    assert f"usage: vit-engine {command} " in capsys.readouterr().out


def test_what_would_steer_the_terminal_is_written_as_its_number(capsys: pytest.CaptureFixture[str]):
    console.emit("one\ttwo\n\x1b]0;title\x07é\x9b2J")
    console.note("\x1b[2J")
    assert tuple(capsys.readouterr()) == ("one\ttwo\n\\x1b]0;title\\x07é\\x9b2J\n", "vit-engine: \\x1b[2J\n")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"\u2192 \udcff"), ("cp1252", r"\u2192 \udcff"), ("utf-8", r"→ \udcff")]
)
def test_characters_that_the_output_cannot_have_are_written_as_their_numbers(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", output)
    console.emit("→ \udcff")
    assert output.buffer.getvalue().decode(encoding) == f"{shown}\n"


@pytest.mark.parametrize(
    ("arguments", "joined"),
    [
        (["--size", "96", "64", "7.png"], ["--size=96,64", "7.png"]),
        (["--size", "96", "64", "32"], ["--size=96,64", "32"]),
        (["--layers", "-3,-1", "--json"], ["--layers=-3,-1", "--json"]),
        (["--layers", "all"], ["--layers", "all"]),
        (["--size"], ["--size"]),
        (["--out", "-1"], ["--out", "-1"]),
    ],
)
def test_numbers_are_joined_to_their_option(arguments: list[str], joined: list[str]):
    assert console.join_values(arguments, {"--size": 2, "--layers": 1}) == joined


def _started(*arguments: str, stdout: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vit_engine", *arguments]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}  # as in a shell: errors show only when flushed
    root = Path(__file__).parents[3]
    return subprocess.Popen(command, cwd=root, env=buffered, stdout=stdout, stderr=subprocess.PIPE, text=True)


def test_process_fails_without_a_traceback():
    with _started("attend", "missing.png", "--model", MODEL, "--out", "never", stdout=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err == "vit-engine: error: 'missing.png' cannot be read: No such file or directory. Check the path.\n"


def test_process_does_not_mind_a_closed_pipe():
    with _started("models", stdout=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_process_says_that_stdout_is_full():
    with Path("/dev/full").open("w") as full, _started("models", stdout=full) as process:
        err = process.stderr.read()
    assert (process.returncode, err) == (1, "vit-engine: error: output: No space left on device.\n")
