"""A node as a process of its own, and commands against it, for the suites beside this file.

    Node(directory, engine) ─▶ serve ─▶ addresses ─▶ run("import", …), get("/readyz") ─▶ stop or kill
"""

import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ["IDNODE"]
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 90
COMMAND_SECONDS_MAX = 180
FRONT_ENDS = ("grpc", "dns", "handle", "http")


class Hang(Exception):
    """Something did not end by its deadline."""


def store_arguments(data, engine):
    """Arguments that name a store, for a node and for commands on a store at rest."""
    return ["--data", str(data), "--set", f"store.engine={engine}", "--set", "store.disk_reserve_bytes=1"]


def run_at_rest(data, engine, *command):
    """Runs a command on a store that no node has open."""
    arguments = [PROGRAM, *command, *store_arguments(data, engine)]
    return finish(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


def finish(process, seconds=COMMAND_SECONDS_MAX):
    """The end of a process, with what it wrote."""
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.communicate()
        raise Hang(f"{process.args[1:4]} has not ended after {seconds} s") from late
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def give_server_key(data):
    """Makes a data directory with a server key: making a key takes longer than most cases."""
    data.mkdir(mode=0o700, parents=True)
    shutil.copy(REPOSITORY / "tests/data/server-key.pem", data / "server-key.pem")
    (data / "server-key.pem").chmod(0o600)


class Node:
    """One run of the program on a data directory. `refused` is what it wrote, if it ended instead of listening."""

    def __init__(self, data, engine, log, environment=None):
        self.data, self.log, self.addresses, self.refused = data, log, None, None
        arguments = [PROGRAM, "serve", *store_arguments(data, engine)]
        for front_end in FRONT_ENDS:
            arguments += ["--set", f"{front_end}.listen=127.0.0.1:0"]
        (data / "addresses").unlink(missing_ok=True)
        with open(log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                arguments, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=os.environ | (environment or {})
            )
        self.wait_until_it_listens()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """No node outlives its case."""
        self.kill()

    def wait_until_it_listens(self):
        """Returns when the node has written its addresses, or has ended."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.addresses is None:
            if self.process.poll() is not None:
                self.refused = self.said()
                return
            if time.monotonic() > deadline:
                self.kill()
                raise Hang(f"the node has neither started nor ended after {START_SECONDS_MAX} s")
            time.sleep(0.01)
            self.addresses = self.read_addresses()

    def read_addresses(self):
        """The addresses that this process has written, or has only printed because the file could not be written."""
        try:
            lines = [line.split(" ", 1) for line in (self.data / "addresses").read_text(encoding="utf-8").splitlines()]
        except (FileNotFoundError, UnicodeDecodeError):
            lines = []
        found = dict(reversed([line for line in lines if len(line) == 2]))
        return found if found.get("process") == str(self.process.pid) else self.printed_addresses()

    def printed_addresses(self):
        """The addresses that a node prints when it is ready, the first of each front end."""
        words = [line.split() for line in self.said().splitlines()]
        found = {line[0].lower(): line[1] for line in reversed(words) if len(line) == 2}
        return {front_end: found[front_end] for front_end in FRONT_ENDS} if found.keys() >= set(FRONT_ENDS) else None

    def said(self):
        """What it has written so far."""
        return pathlib.Path(self.log).read_text(encoding="utf-8", errors="replace")

    def start(self, *arguments, token=None):
        """Starts a client command against this node."""
        environment = os.environ | {"IDNODE_NODE": self.addresses["grpc"], "IDNODE_TOKEN": token or ""}
        if token is None:
            del environment["IDNODE_TOKEN"]
        command = [PROGRAM, *map(str, arguments)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def run(self, *arguments, token=None):
        """Runs a client command to its end."""
        return finish(self.start(*arguments, token=token))

    def must(self, *arguments, token=None):
        """Runs a client command that has to succeed, and returns what it printed."""
        done = self.run(*arguments, token=token)
        if done.returncode != 0:
            raise SystemExit(f"`idnode {' '.join(map(str, arguments))}`: {done.stdout}{done.stderr}{self.said()}")
        return done.stdout

    def get(self, *paths):
        """Status and body of each path, over one connection."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.addresses["http"]).netloc, timeout=60)
        answers = []
        for path in paths:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answers.append((answer.status, answer.read()))
            except TimeoutError as late:
                raise Hang(f"GET {path} has not been answered after 60 s") from late
            except (OSError, http.client.HTTPException) as error:
                answers.append((0, str(error).encode()))
                connection.close()
        connection.close()
        return answers

    def why_not_ready(self):
        """What /readyz says, unless the node is ready."""
        (status, body), = self.get("/readyz")
        return None if status == 200 else body.decode(errors="replace")

    def stop(self):
        """Ends the node in order; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise Hang(f"the node has not stopped after {STOP_SECONDS_MAX} s") from late

    def kill(self):
        """Ends the node between two instructions."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def has_panicked(text):
    """Whether a node died of a mistake in it. A panic inside an engine is caught, and named as damage."""
    return "panicked at" in text and "src/store/engine" not in text and "the engine has stopped" not in text


def table(title, rows, columns, cells):
    """Prints a table of counts."""
    width = max(len(str(row)) for row in [title, *rows])
    widths = [max(len(column), 5) for column in columns]
    print(" ".join([title.ljust(width), *(column.rjust(size) for column, size in zip(columns, widths))]))
    for row in rows:
        counts = (str(cells.get((row, column), 0)).rjust(size) for column, size in zip(columns, widths))
        print(" ".join([str(row).ljust(width), *counts]))


def size_of(arguments, full, sample):
    """What the first argument asks for: how many cases (none: all), and the size of the store."""
    asked = arguments[1] if len(arguments) > 1 else ""
    identifiers = int(os.environ.get("LONG_IDENTIFIERS", "0"))
    if asked == "sample":
        return sample[0], identifiers or sample[1]
    if asked and not asked.isdigit():
        sys.exit(f"usage: {arguments[0]} [COUNT | sample]")
    return (int(asked) if asked else full[0]), identifiers or full[1]


def load_lines(path):
    """The objects of a file of JSON lines."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
