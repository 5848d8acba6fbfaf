"""The command tables of husk, asked from the programs themselves (`--introspect`)."""
import json
import subprocess


def ask(program):
    answer = subprocess.run([program, "--introspect"], check=True, capture_output=True)
    return json.loads(answer.stdout)


def merged(rows, theirs):
    """A row that another program carries out is that program's row; of a group of commands, each one by itself. What the
    other hides is its own plumbing: husk-image's `commit` packs a layer for husk's."""
    theirs = {row["name"]: row for row in theirs if not row["hidden"]}
    out = []
    for row in rows:
        other = theirs.get(row["name"])
        if other and row["commands"]:
            out.append(dict(row, commands=merged(row["commands"], other["commands"])))
        else:
            out.append(other or row)
    return out


def tables(programs):
    """husk's commands, with those that husk-image, husk-look and husk-build carry out."""
    rows = ask(programs[0])
    for program in programs[1:]:
        rows = merged(rows, ask(program))
    return rows


def flatten(commands, words=()):
    """Every command as (words, row), the sub-commands after theirs."""
    for row in commands:
        here = words + (row["name"],)
        yield here, row
        yield from flatten(row["commands"], here)
