"""`distill` beside what else moves a file between two machines that cannot reach each other, over loopback:

    python3 benches/distill/beside.py [--mib 1024] [--rounds 3] [--out benches/results/distill.md]

It needs release builds of the relay and of `distill`, and a Python with `websockets`, `cryptography`, and for its rows
`magic-wormhole magic-wormhole-mailbox-server magic-wormhole-transit-relay`. What is not installed is left out by name.
Each figure is the median of the rounds. CPU time and memory are what the system counts for each process (wait4, and the
peak in /proc before it ends), without what it takes to start and to derive a key: an empty file is moved first.
"""

import argparse
import asyncio
import hashlib
import os
import pathlib
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).parents[2]
TODAY = TOP / "crates/client/tests/today.py"
PASSPHRASE = "a passphrase for figures"
MIB = 1 << 20
# A thin line: 10 Mbit/s, and 25 ms each way.
RATE, DELAY = 1_250_000, 0.025


class Process:
    """A program, what it printed, and what it took."""

    def __init__(self, *command, **options):
        environment = {**os.environ, "DISTILL_PASSPHRASE": PASSPHRASE, **options.pop("env", {})}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.DEVNULL,
            text=True,
            **options,
        )
        self.peak = 0

    def line(self, holds=""):
        """The next line printed that holds this."""
        for line in self.process.stdout:
            if holds in line:
                return line.strip()
        raise SystemExit(f"{self.process.args} ended before it printed {holds!r}")

    def cpu(self):
        """Seconds until now."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def look(self):
        """Notes the peak of its memory, in KiB."""
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        for line in status.splitlines():
            if line.startswith("VmHWM"):
                self.peak = max(self.peak, int(line.split()[1]))

    def ended(self):
        """Seconds of CPU time, once it has ended well."""
        self.look()
        pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.stdout:
            self.process.stdout.close()
        if self.process.returncode:
            raise SystemExit(f"{self.process.args} ended with {self.process.returncode}")
        return used.ru_utime + used.ru_stime

    def stop(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until_it_listens(port):
    for _ in range(500):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nobody listens at port {port}")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class Figures:
    """Of one transfer: seconds, CPU seconds of both ends and of what is between, peaks of both ends in KiB."""

    def __init__(self, seconds, ends, between, peaks):
        self.seconds, self.ends, self.between, self.peaks = seconds, ends, between, peaks


def moved(sender, receiver, between, began, before):
    """The figures of a transfer, when both of its ends have ended."""
    ends = {sender: None, receiver: None}
    while None in ends.values():
        time.sleep(0.01)
        ends = {end: ends[end] or end.ended() for end in ends}
    seconds = time.monotonic() - began
    return Figures(seconds, list(ends.values()), between.cpu() - before, [sender.peak, receiver.peak])


class Distill:
    name = "`distill`"

    def __init__(self, arguments, folder):
        self.program, self.folder = arguments.distill, folder
        self.port = free_port()
        state = folder / "state"
        state.mkdir(exist_ok=True)
        self.relay = Process(
            arguments.relay,
            env={"RELAY_PORT": str(self.port), "RELAY_STATE_DIR": str(state), "RUST_LOG": "warn"},
            stdout=subprocess.DEVNULL,
            cwd=state,
        )
        until_it_listens(self.port)

    def start(self, name, *words, port=None):
        home = self.folder / name
        home.mkdir(exist_ok=True)
        env = {"DISTILL_RELAY": f"ws://127.0.0.1:{port or self.port}/"}
        env |= {"XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        return Process(self.program, *words, "--json", env=env)

    def move(self, path, there, port=None):
        sender = self.start("sender", "share", path, port=port)
        opened = sender.line('"opened"')
        code = opened.partition('"code":"')[2].partition('"')[0]
        before, began = self.relay.cpu(), time.monotonic()
        receiver = self.start("receiver", "receive", code, "-o", there)
        return moved(sender, receiver, self.relay, began, before)

    def stop(self):
        self.relay.stop()


class Today(Distill):
    name = "today's Python clients, by a double"
    # They take 50 MiB, and content goes in hexadecimal digits.
    most = 20

    def move(self, path, there):
        url = f"ws://127.0.0.1:{self.port}/"
        sender = Process(sys.executable, TODAY, "send", url, PASSPHRASE, path)
        code = sender.line()
        before, began = self.relay.cpu(), time.monotonic()
        with open(there / path.name, "wb") as file:
            receiver = Process(sys.executable, TODAY, "receive", url, PASSPHRASE, code, stdout=file)
            return moved(sender, receiver, self.relay, began, before)


class Wormhole:
    name = "magic-wormhole, by a transit relay"

    def __init__(self, _, folder):
        programs = pathlib.Path(sys.executable).parent
        self.program, twist = programs / "wormhole", programs / "twist"
        for program in self.program, twist:
            if not program.exists():
                raise LookupError(f"{program.name} is not installed")
        self.folder, mailbox, transit = folder, free_port(), free_port()
        self.mailbox = Process(twist, "wormhole-mailbox", f"--port=tcp:{mailbox}:interface=127.0.0.1", cwd=folder)
        self.relay = Process(twist, "transitrelay", f"--port=tcp:{transit}:interface=127.0.0.1", cwd=folder)
        for port in mailbox, transit:
            until_it_listens(port)
        self.words = [f"--relay-url=ws://127.0.0.1:{mailbox}/v1", f"--transit-helper=tcp:127.0.0.1:{transit}"]

    def move(self, path, there):
        def start(*words):
            # Without the way around the relay, which two machines behind NAT do not have.
            return Process(self.program, *self.words, *words, cwd=there)

        code = f"{os.getpid()}-figures-{time.monotonic_ns()}"
        sender = start("send", "--no-listen", "--hide-progress", f"--code={code}", path)
        before, began = self.relay.cpu(), time.monotonic()
        receiver = start("receive", "--no-listen", "--hide-progress", "--accept-file", code)
        return moved(sender, receiver, self.relay, began, before)

    def stop(self):
        self.relay.stop()
        self.mailbox.stop()


def noise(folder, mib):
    path = folder / f"noise-{mib}"
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    if not mib:
        path.write_bytes(b"\n")
    return path


def text(folder, mib):
    """Of printable noise: today's clients share text alone."""
    path = folder / f"text-{mib}"
    with open(path, "wb") as file:
        for _ in range(mib or 1):
            file.write(os.urandom(MIB // 2 if mib else 1).hex().encode())
    return path


def row(way, make, mib, rounds, folder):
    """One line of the table."""
    path, tiny = make(folder, mib), make(folder, 0)
    all_figures = []
    for _ in range(rounds):
        there = pathlib.Path(tempfile.mkdtemp(dir=folder))
        (there / "tiny").mkdir()
        start = way.move(tiny, there / "tiny")
        figures = way.move(path, there)
        if digest(path) != digest(there / path.name):
            raise SystemExit(f"{way.name}: another file arrived")
        shutil.rmtree(there)
        figures.seconds -= start.seconds
        figures.between -= start.between
        figures.ends = [all_of_it - beginning for all_of_it, beginning in zip(figures.ends, start.ends)]
        all_figures.append(figures)
    path.unlink()

    def median(of):
        return statistics.median(of(figures) for figures in all_figures)

    sender, receiver = (median(lambda it: it.ends[end]) for end in (0, 1))
    peaks = [median(lambda it: it.peaks[end]) / 1024 for end in (0, 1)]
    cells = [
        way.name,
        f"{mib:,} MiB",
        f"{mib / median(lambda it: it.seconds):.0f}",
        f"{mib / sender:.0f}",
        f"{mib / receiver:.0f}",
        f"{median(lambda it: it.between) / mib * 1000:.2f}",
        f"{peaks[0]:.0f} / {peaks[1]:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """| | file | MiB/s | MiB/s a core, sender | receiver | relay's CPU time, ms a MiB | peak memory, MiB, sender / receiver |
|---|---:|---:|---:|---:|---:|---:|"""


async def carry(reader, writer):
    """One way of a thin line: so many bytes a second, each so much later."""
    queue, loop = asyncio.Queue(), asyncio.get_running_loop()
    room = asyncio.Semaphore(8)

    async def take():
        free = loop.time()
        while chunk := await reader.read(4096):
            await room.acquire()
            free = max(free, loop.time()) + len(chunk) / RATE
            await queue.put((free, chunk))
        await queue.put((free, b""))

    async def give():
        while True:
            free, chunk = await queue.get()
            await asyncio.sleep(max(0, free - loop.time()))
            room.release()
            if not chunk:
                loop.call_later(DELAY, writer.close)
                return
            loop.call_later(DELAY, writer.write, chunk)

    try:
        await asyncio.gather(take(), give())
    except OSError:
        writer.close()


async def line(to):
    """A thin line to this port; its own port."""

    async def serve(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", to, limit=4096)
        for end in writer, back:
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4096)
    return server.sockets[0].getsockname()[1], server


async def tls_copy(path, folder, thin):
    """Seconds to copy a file by TLS and nothing else."""
    certificate = folder / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split()
    subprocess.run(
        ["openssl", *words, "-keyout", certificate, "-out", folder / "only.pem"], check=True, capture_output=True
    )
    with open(certificate, "a") as file:
        file.write((folder / "only.pem").read_text())
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=folder / "only.pem")
    served.load_cert_chain(certificate)
    there = asyncio.get_running_loop().create_future()

    async def receive(reader, writer):
        with open(folder / "copy", "wb") as file:
            while chunk := await reader.read(65536):
                file.write(chunk)
        there.set_result(time.monotonic())
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0, ssl=served)
    port, _line = await thin(server.sockets[0].getsockname()[1])
    began = time.monotonic()
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
    with open(path, "rb") as file:
        while chunk := file.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.write_eof() if writer.can_write_eof() else writer.close()
    seconds = await there - began
    assert digest(path) == digest(folder / "copy")
    return seconds


async def thin_line(distill, folder, rounds, mib):
    """How much longer a share takes over a thin line than a copy by TLS over the same line, in percent."""
    path, longer = noise(folder, mib), []
    for _ in range(rounds):
        bare = await tls_copy(path, folder, line)
        port, _line = await line(distill.port)
        there = pathlib.Path(tempfile.mkdtemp(dir=folder))
        tiny = noise(folder, 0)
        seconds = []
        for file in tiny, path:
            figures = await asyncio.to_thread(distill.move, file, there, port)
            seconds.append(figures.seconds)
        longer.append((bare, seconds[1] - seconds[0]))
    return longer


def machine():
    cpu = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).partition(":")[2].strip()
    return f"{os.cpu_count()} cores, {cpu}, Linux {os.uname().release}, Python {sys.version.split()[0]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--distill", default=TOP / "target/release/distill")
    parser.add_argument("--relay", default=TOP / "target/release/claude-distill-relay")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    said = []

    def say(line):
        print(line, flush=True)
        said.append(line)

    say(f"{machine()}; medians of {arguments.rounds} rounds; noise, which does not shrink.\n")
    say(HEAD)
    for Way in Distill, Today, Wormhole:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            try:
                way = Way(arguments, folder)
            except LookupError as why:
                say(f"| {Way.name} | skipped: {why} | | | | | |")
                continue
            try:
                if Way is Distill:
                    say(row(way, text, Today.most, arguments.rounds, folder))
                make, mib = (text, Today.most) if Way is Today else (noise, arguments.mib)
                say(row(way, make, mib, arguments.rounds, folder))
                if Way is Distill:
                    thin = asyncio.run(thin_line(way, folder, arguments.rounds, 20))
            finally:
                way.stop()
    say(f"\n20 MiB over a thin line of {RATE * 8 / 1e6:.0f} Mbit/s and {DELAY * 1000:.0f} ms each way, in seconds:\n")
    say("| a copy by TLS | `distill`, by the relay | longer by |\n|---:|---:|---:|")
    for bare, shared in thin:
        say(f"| {bare:.2f} | {shared:.2f} | {(shared / bare - 1) * 100:.1f} % |")
    if arguments.out:
        arguments.out.write_text("\n".join(said) + "\n")


main()
