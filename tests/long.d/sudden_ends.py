"""Ends a node at any moment, by a kill or a power cut, and looks at what it holds when it is started again.

    phase under way ─▶ kill -9, or the power: what was not synced is gone ─▶ started again: ready, every acknowledged change there
"""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from running import PROGRAM, Hang, Node, finish, give_server_key, has_panicked, run_at_rest, size_of, table

ENGINES = os.environ.get("LONG_ENGINES", "fjall,sled").split(",")
SOURCE = pathlib.Path(__file__).with_name("volatile_disk.c")
PREFIX = "88.118.8"
WRITERS = 4
# What each range of bytes takes to become durable: power cuts find syncs under way, and the latest bytes there first.
SYNC_MICROSECONDS = "200"
DAY_SECONDS = 86_400
# Changes of a sealed segment of the journal: what is pruned at once.
SEGMENT = 65_536
COLUMNS = ["runs", "acknowledged", "not begun", "lost", "not ready", "violation"]


class Violation(Exception):
    """Something the node promises does not hold; `kind` is the column it is counted in."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class Writers(contextlib.AbstractContextManager):
    """Clients that register over HTTP until the node is gone, and the identifiers that were acknowledged to them."""

    def __init__(self, node, token, first):
        self.node, self.token, self.first = node, token, first
        self.acknowledged, self.refusals = set(), []
        self.threads = [threading.Thread(target=self.write, args=(writer,)) for writer in range(WRITERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join()

    def write(self, writer):
        """Registers one identifier after the other."""
        address = urllib.parse.urlsplit(self.node.addresses["http"]).netloc
        connection = http.client.HTTPConnection(address, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        number = 0
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                identifier = f"{PREFIX}/{self.first}-{writer}-{number}"
                connection.request("PUT", f"/api/handles/{identifier}", body_of(identifier), headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status not in (200, 201):
                    self.refusals.append(f"{answer.status} {text[:200]}")
                    return
                self.acknowledged.add(identifier)
                number += 1


def note_of(identifier):
    """What is registered under an identifier: one in sixteen is large."""
    return identifier * (2_000 if identifier.endswith("7") else 3)


def body_of(identifier):
    """A request to register an identifier."""
    value = {"index": 1, "type": "NOTE", "data": {"format": "string", "value": note_of(identifier)}}
    return json.dumps({"values": [value]})


class Bench:
    """A directory with the data and the backups of a node, and the state it would have after a power cut."""

    def __init__(self, place, engine, cuts_power):
        self.place, self.engine, self.cuts_power = place, engine, cuts_power
        self.live, self.shadow, self.log = place / "live", place / "shadow", place / "log"
        self.data, self.backups = self.live / "data", self.live / "data-backups"
        self.library = place / "volatile_disk.so"
        if cuts_power:
            command = ["cc", "-shared", "-fPIC", "-O2", "-w", "-o", self.library, SOURCE, "-ldl", "-lpthread"]
            subprocess.run(command, check=True)

    def environment(self):
        """What makes a node forget what it did not sync."""
        if not self.cuts_power:
            return {}
        return {
            "LD_PRELOAD": str(self.library),
            "VOLATILE_DIRECTORY": str(self.live),
            "VOLATILE_SHADOW": str(self.shadow),
            "VOLATILE_SLOW": SYNC_MICROSECONDS,
        }

    def begin(self, base=None):
        """An empty directory, or a copy of another one. What is there at the beginning is durable."""
        for path in (self.live, self.shadow):
            shutil.rmtree(path, ignore_errors=True)
        if base is None:
            give_server_key(self.data)
        else:
            subprocess.run(["cp", "-a", "--sparse=always", base, self.live], check=True)
        if self.cuts_power:
            subprocess.run(["cp", "-a", "--sparse=always", self.live, self.shadow], check=True)

    def node(self, data=None):
        """A node whose power can be cut."""
        return Node(data or self.data, self.engine, self.log, self.environment())

    def lose_power(self):
        """What was not synced is gone."""
        if self.cuts_power:
            shutil.rmtree(self.live)
            self.shadow.rename(self.live)

    def look(self, acknowledged, data=None):
        """Starts the node again, and looks for what was acknowledged."""
        data = data or self.data
        with Node(data, self.engine, self.log) as node:
            if node.refused is not None:
                raise Violation("not ready", f"it does not start: {node.refused[-500:]}")
            if reason := node.why_not_ready():
                raise Violation("not ready", f"it is not ready: {reason[:500]}")
            if has_panicked(node.said()):
                raise Violation("violation", f"it panicked: {node.said()[-500:]}")
            paths = [f"/api/handles/{identifier}" for identifier in sorted(acknowledged)]
            answers = node.get(*paths) if paths else []
            for identifier, (status, body) in zip(sorted(acknowledged), answers):
                if status != 200 or note_of(identifier) not in body.decode():
                    raise Violation("lost", f"{identifier}: {status} {body[:200]}")
            node.stop()
        if has_panicked(node.said()):
            raise Violation("violation", f"it panicked: {node.said()[-500:]}")

    def admin(self, data=None):
        """The admin token of a data directory."""
        return ((data or self.data) / "admin-token").read_text(encoding="utf-8").strip()


# ----------- Phases ---------------------------------------------------------


def first_start(bench, chance, _base):
    """The very first start."""
    bench.begin()
    arguments = [PROGRAM, "serve", "--data", bench.data, "--set", f"store.engine={bench.engine}"]
    for front_end in ("grpc", "dns", "handle", "http"):
        arguments += ["--set", f"{front_end}.listen=127.0.0.1:0"]
    with open(bench.log, "w", encoding="utf-8") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env=os.environ | bench.environment())
    time.sleep(chance.uniform(0, 0.25))
    process.kill()
    process.wait()
    bench.lose_power()
    bench.look(set())
    with Node(bench.data, bench.engine, bench.log) as node:
        node.must("prefix", "home", PREFIX, token=bench.admin())
    return set()


def registration(bench, chance, base):
    """Registrations over HTTP, large values among them; every third run goes on from the one before."""
    if not bench.live.exists() or not (bench.data / "admin-token").exists() or chance.randrange(3) == 0:
        bench.begin(base)
    elif bench.cuts_power:
        shutil.rmtree(bench.shadow, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", bench.live, bench.shadow], check=True)
    with bench.node() as node:
        require_listening(node)
        with Writers(node, bench.admin(), chance.randrange(1 << 40)) as writers:
            time.sleep(chance.uniform(0.02, 1.0))
            node.kill()
    require_served(writers)
    bench.lose_power()
    bench.look(writers.acknowledged)
    return writers.acknowledged


def compaction(bench, chance, base):
    """Registrations while the engine flushes and compacts: imports of many large values."""
    bench.begin(base)
    rows = bench.place / "rows.csv"
    first = chance.randrange(1 << 40)
    names = [f"{PREFIX}/{first}-{number}" for number in range(6_000)]
    rows.write_text("identifier,NOTE\n" + "".join(f"{name},{note_of(name) * 20}\n" for name in names), encoding="utf-8")
    with bench.node() as node:
        require_listening(node)
        load = node.start("import", rows, "--result", bench.place / "result.csv", token=bench.admin())
        with Writers(node, bench.admin(), first + 1) as writers:
            time.sleep(chance.uniform(0.2, 2.5))
            node.kill()
        load.kill()
        load.communicate()
    require_served(writers)
    bench.lose_power()
    bench.look(writers.acknowledged)
    return writers.acknowledged


def pruning(bench, chance, base):
    """The hourly upkeep, which prunes whole segments at a start whose journal shows a day of changes."""
    bench.begin(base.with_name("old"))
    retention = {"IDNODE_STORE_BODIES_DAYS": "10", "IDNODE_STORE_HEADERS_DAYS": "10"}
    with Node(bench.data, bench.engine, bench.log, bench.environment() | retention) as node:
        require_listening(node)
        with Writers(node, bench.admin(), chance.randrange(1 << 40)) as writers:
            time.sleep(chance.uniform(0, 0.4))
            node.kill()
    require_served(writers)
    bench.lose_power()
    bench.look(writers.acknowledged)
    return writers.acknowledged


def backing_up(bench, chance, base):
    """Backups while identifiers are registered. One that is listed afterwards is whole."""
    bench.begin(base)
    acknowledged = set()
    with bench.node() as node:
        require_listening(node)
        with Writers(node, bench.admin(), chance.randrange(1 << 40)) as writers:
            backup = node.start("backup", "create", *chance.choice([[], ["--incremental"]]), token=bench.admin())
            time.sleep(chance.uniform(0.01, 0.6))
            node.kill()
        acknowledged = writers.acknowledged
        backup.communicate()
    require_served(writers)
    bench.lose_power()
    bench.look(acknowledged)
    done = finish(subprocess.Popen(
        [PROGRAM, "backup", "verify", "--all", "--offline", "--directory", bench.backups],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )) if bench.backups.exists() else None
    # One that was not complete is not there.
    if done and done.returncode != 0 and "there is no backup in" not in done.stderr:
        raise Violation("violation", f"backup verify: {done.stdout[-300:]}{done.stderr[-300:]}")
    if done and backup.returncode == 0 and "full" not in done.stdout and "incremental" not in done.stdout:
        raise Violation("lost", f"a backup that was acknowledged is gone: {done.stdout[-300:]}")
    return acknowledged


def restoring(bench, chance, base):
    """A restore: afterwards the data directory is complete, or not there, and the restore can be repeated."""
    bench.begin(base.with_name("backed-up"))
    target = bench.live / "restored"
    command = [PROGRAM, "backup", "restore", bench.backups, "--data", target]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | bench.environment()
    )
    time.sleep(chance.uniform(0, 0.5))
    process.kill()
    acknowledged = process.wait() == 0
    process.communicate()
    bench.lose_power()
    if acknowledged and not target.exists():
        raise Violation("lost", "a restore that was acknowledged is gone")
    if not target.exists() or not any(target.iterdir()):
        done = finish(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        if done.returncode != 0:
            raise Violation("violation", f"the restore cannot be repeated: {done.stderr[-400:]}")
    bench.look({f"{PREFIX}/base-{number}" for number in range(0, 2_000, 50)}, target)
    return set()


def require_listening(node):
    """A whole store starts."""
    if node.refused is not None:
        raise Violation("not ready", f"it does not start: {node.refused[-500:]}")


def require_served(writers):
    """A node that was not ended yet refuses no registration."""
    if writers.refusals:
        raise Violation("violation", f"refused before the end: {writers.refusals[0]}")


# ----------- Bases ----------------------------------------------------------


def make_base(bench):
    """A node with 2,000 identifiers; the same with a backup; and one with a sealed segment that is to be pruned."""
    bench.begin()
    plain, backed_up = bench.place / "base", bench.place / "backed-up"
    with Node(bench.data, bench.engine, bench.log) as node:
        node.must("prefix", "home", PREFIX, token=bench.admin())
        import_rows(bench, node, "base", 2_000)
        node.stop()
        subprocess.run(["cp", "-a", bench.live, plain], check=True)
    with Node(bench.data, bench.engine, bench.log) as node:
        node.must("backup", "create", token=bench.admin())
        node.stop()
    subprocess.run(["cp", "-a", bench.live, backed_up], check=True)
    return plain


@contextlib.contextmanager
def clock_of_children(bench, ahead):
    """Programs that are started meanwhile, nodes and clients, have a clock that is so many seconds ahead."""
    os.environ.update({"LD_PRELOAD": str(bench.library), "VOLATILE_CLOCK": str(ahead)})
    yield
    del os.environ["LD_PRELOAD"], os.environ["VOLATILE_CLOCK"]


def make_old(bench):
    """A node whose first segment is older than the journal is retained, with a day of changes since."""
    bench.begin()
    with clock_of_children(bench, -40 * DAY_SECONDS), Node(bench.data, bench.engine, bench.log) as node:
        node.must("prefix", "home", PREFIX, token=bench.admin())
        import_rows(bench, node, "old", SEGMENT + 500)
        node.stop()
    for number in range(28):
        with clock_of_children(bench, (number - 27) * 55 * 60), Node(bench.data, bench.engine, bench.log) as node:
            node.must("register", f"{PREFIX}/day-{number}", "NOTE=x", token=bench.admin())
            node.stop()
    subprocess.run(["cp", "-a", "--sparse=always", bench.live, bench.place / "old"], check=True)


def import_rows(bench, node, name, count):
    """Registers so many identifiers."""
    rows = bench.place / "rows.csv"
    identifiers = (f"{PREFIX}/{name}-{number}" for number in range(count))
    rows.write_text("identifier,NOTE\n" + "".join(f"{one},{note_of(one)}\n" for one in identifiers), encoding="utf-8")
    node.must("import", rows, "--result", bench.place / "result.csv", token=bench.admin())


# ----------- Run ------------------------------------------------------------


def run(phases, cuts_power, full, sample):
    """Runs the phases in turn, so many times on each engine; the number of violations decides the exit code."""
    count, _ = size_of(sys.argv, (full, 0), (sample, 0))
    if cuts_power and not shutil.which("cc"):
        print("skipped: there is no C compiler")
        return 0
    seed = int(os.environ.get("LONG_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}, {PROGRAM}", flush=True)
    cells, failures = collections.Counter(), 0
    for engine in ENGINES:
        chance = random.Random(f"{seed} {engine}")
        with tempfile.TemporaryDirectory(dir=os.environ.get("LONG_DIRECTORY")) as directory:
            bench = Bench(pathlib.Path(directory), engine, cuts_power)
            base = make_base(bench)
            chosen = [phases[number % len(phases)] for number in range(count)]
            if pruning in chosen:
                make_old(bench)
            for number, phase in enumerate(sorted(chosen, key=phases.index)):
                row = f"{engine}: {phase.__name__.replace('_', ' ')}"
                cells[row, "runs"] += 1
                try:
                    cells[row, "acknowledged"] += len(phase(bench, chance, base))
                except (Violation, Hang) as violation:
                    failures += 1
                    cells[row, getattr(violation, "kind", "violation")] += 1
                    print(f"{row}, run {number}: {violation}", flush=True)
                    shutil.rmtree(bench.live, ignore_errors=True)
                if number % 50 == 49:
                    print(f"{engine}: {number + 1} of {count}", flush=True)
    print()
    table("phase", sorted({row for row, _ in cells}), [column for column in COLUMNS if column != "not begun"], cells)
    print(f"{failures} failures")
    return 1 if failures else 0
