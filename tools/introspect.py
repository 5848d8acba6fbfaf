"""The command tables of husk, asked from the programs themselves (`--introspect`)."""
import json
import subprocess


def ask(program):
    answer = subprocess.run([program, "--introspect"], check=True, capture_output=True)
    return json.loads(answer.stdout)


def tables(programs):
    """husk's commands; a row that another program carries out (husk-image) is that program's row."""
    rows = ask(programs[0])
    for program in programs[1:]:
        theirs = {row["name"]: row for row in ask(program)}
        rows = [theirs.get(row["name"], row) for row in rows]
    return rows


def flatten(commands, words=()):
    """Every command as (words, row), the sub-commands after theirs."""
    for row in commands:
        here = words + (row["name"],)
        yield here, row
        yield from flatten(row["commands"], here)
