"""The Debian package catalogue as identifiers: the converter, and the comparison of a node with the source.

    catalogue.py convert < available > catalogue.csv
    catalogue.py check DIRECTORY IDNODE
    catalogue.py unchanged DIRECTORY

DIRECTORY holds catalogue.csv, `first` and `second` (what the imports printed) and `data` (the node's). Stanzas are
those of `apt-cache dumpavail`; a package is `88.118.9/<package>_<version>_<architecture>`.
"""

import csv
import json
import os
import random
import re
import subprocess
import sys

PREFIX = "88.118.9"
COLUMNS = {
    "URL": "Homepage",
    "MAINTAINER": "Maintainer",
    "SIZE": "Size",
    "SHA256": "SHA256",
    "DESCRIPTION": "Description",
    "VERSION": "Version",
    "SECTION": "Section",
    "TAG": "Tag",
}
MACHINE_TYPE = "TYPE65416"
CHOSEN = 10


def stanzas(lines):
    """The stanzas as dictionaries; lines that continue a field stay lines."""
    fields, name = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, name = {}, None
        elif line[0] in " \t":
            fields[name] += "\n" + line
        else:
            name, _, text = line.partition(":")
            fields[name] = text.strip()
    if fields:
        yield fields


def convert():
    """Writes the catalogue as CSV; of several stanzas with one identifier the first counts."""
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8", newline="")
    writer, seen = csv.writer(sys.stdout), set()
    writer.writerow(["identifier", *COLUMNS])
    for stanza in stanzas(sys.stdin):
        suffix = "_".join(stanza[name] for name in ("Package", "Version", "Architecture"))
        if suffix.lower() in seen:
            continue
        seen.add(suffix.lower())
        writer.writerow([f"{PREFIX}/{suffix}", *(stanza.get(field, "") for field in COLUMNS.values())])


def source(directory):
    """Identifier to [(index, type, text)], as the columns number them."""
    with open(f"{directory}/catalogue.csv", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        types = next(rows)[1:]
        return {
            row[0]: [(at + 1, types[at], cell) for at, cell in enumerate(row[1:]) if cell] for row in rows
        }


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def said(directory, name):
    with open(f"{directory}/{name}", encoding="utf-8") as file:
        return json.load(file)


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}:\n  found    {found}\n  expected {expected}")


def presentation(text):
    """The character strings of an answer of dig as lists of bytes (RFC 1035 section 5.1)."""
    strings = []
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', text):
        found = bytearray()
        for escape, letter, plain in re.findall(r"\\(\d{3})|\\(.)|([^\\])", quoted):
            found += bytes([int(escape)]) if escape else (letter or plain).encode()
        strings.append(bytes(found))
    return strings


def machine_value(data):
    """Index, type and data of a value in machine form; without TTL, timestamp and permissions that are defaults."""
    same("form of a machine record", data[0], 1)
    same("permissions and TTL of a machine record", (data[5], data[6], int.from_bytes(data[7:11])), (0b1110, 0, 86400))
    type_end = 16 + data[15]
    same("references of a machine record", data[type_end], 0)
    return int.from_bytes(data[1:5]), data[16:type_end].decode(), data[type_end + 1 :].decode()


def check_by_dns(dig, name, values):
    lines = run(*dig, "TXT", name).splitlines()
    found = {b"".join(presentation(line)) for line in lines}
    same(f"TXT of {name}", found, {f"{index} {kind} {text}".encode() for index, kind, text in values})

    found = sorted(
        machine_value(bytes.fromhex("".join(line.split()[2:])))
        for line in run(*dig, MACHINE_TYPE, name).splitlines()
    )
    same(f"machine form of {name}", found, sorted(values))

    expected = [text for _, kind, text in values if kind == "URL" and text.isascii() and ":" in text]
    answers = run(*dig, "NAPTR", name).splitlines()
    expressions = [presentation(line)[2].decode() for line in answers]
    found = [re.sub(r"\\(.)", r"\1", expression.removeprefix("!^.*$!").removesuffix("!")) for expression in expressions]
    same(f"NAPTR of {name}", found, expected)


def check(directory, idnode):
    """The count, then ten packages by gRPC and by DNS."""
    expected = source(directory)
    first = said(directory, "first")
    same("rows registered", first["registered"], len(expected))
    same("rows refused", first["refused"], 0)
    status = json.loads(run(idnode, "status", "--json"))
    same("identifiers that the node counts", status["identifiers"], len(expected))
    listed = [json.loads(line)["identifier"] for line in run(idnode, "list", PREFIX, "--json").splitlines()]
    same("identifiers listed", sorted(listed), sorted(expected))

    with open(f"{directory}/data/addresses", encoding="utf-8") as file:
        address = next(line.split()[1] for line in file if line.startswith("dns "))
    host, _, port = address.rpartition(":")
    dig = ["dig", f"@{host}", "-p", port, "+short", "+norecurse", "+time=10", "+tries=2"]
    seed = os.environ.get("CATALOGUE_SEED") or str(random.randrange(10**9))
    chosen = random.Random(int(seed)).sample(sorted(expected), CHOSEN)
    for identifier in chosen:
        answer = json.loads(run(idnode, "resolve", identifier, "--json"))
        found = [(value["index"], value["type"], value["data"]) for value in answer["values"]]
        same(f"values of {identifier}", found, expected[identifier])
        check_by_dns(dig, run(idnode, "dns-name", identifier).strip(), expected[identifier])
    print(f"{len(expected)} packages registered at {first['rate']} a second; {CHOSEN} random ones (CATALOGUE_SEED={seed}):")
    print("\n".join(f"  {identifier}" for identifier in chosen))
    print("equal to the source by gRPC and by dig (NAPTR, TXT, machine form)")


def unchanged(directory):
    """The second import skipped everything."""
    first, second = said(directory, "first"), said(directory, "second")
    found = [second[name] for name in ("registered", "skipped", "overwritten", "refused")]
    same("the second import", found, [0, first["registered"], 0, 0])
    print("the second import changed nothing")


if __name__ == "__main__":
    {"convert": convert, "check": check, "unchanged": unchanged}[sys.argv[1]](*sys.argv[2:])
