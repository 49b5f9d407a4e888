"""The network part of the bench: another host, and what is measured from there.

A sample takes an engine as `run` knows it. Load goes over a cable between two network namespaces
made here, or over the loopback of the engine's own.
"""
import os
import statistics
import subprocess
import sys
import time

HOST, OUTSIDE = "198.18.7.1", "198.18.7.2"
BYTES = 1 << 30
PINGS = 3000
# For each connection nc(1) starts a program of its own.
ECHO = "nc -ll -p 7 -e cat & exec nc -ll -p 19 -e dd if=/dev/zero bs=65536 count=20000"

# Run in a namespace: connects to a port, and measures.
CLIENT = """
import os, socket, sys, time
what, host, port, amount = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for attempt in range(200):
    try:
        s = socket.create_connection((host, port), 5)
        break
    except OSError:
        time.sleep(0.02)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
if what == "trip":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for _ in range(100):
        s.sendall(b"x"); s.recv(1)
    began = time.perf_counter()
    for _ in range(amount):
        s.sendall(b"x"); s.recv(1)
    print(1e6 * (time.perf_counter() - began) / amount)
else:
    buffer, got = memoryview(bytearray(1 << 18)), 0
    s.recv_into(buffer)
    began = time.perf_counter()
    while got < amount:
        count = s.recv_into(buffer)
        if not count:
            sys.exit("the stream ended early")
        got += count
    print(got / 1e6 / (time.perf_counter() - began))
"""


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Outside:
    """A host on a cable to an engine's."""

    def __init__(self, engine):
        self.engine = engine.process.pid
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep 100000"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.keeper.stdout.read(1)
        pid = self.keeper.pid
        self.inside(self.engine, "ip", "link", "set", "lo", "up")
        self.inside(self.engine, "ip", "link", "add", "out0", "type", "veth", "peer", "name", "eth0")
        self.inside(self.engine, "ip", "link", "set", "eth0", "netns", str(pid))
        for where, link, address in (self.engine, "out0", HOST), (pid, "eth0", OUTSIDE):
            self.inside(where, "ip", "address", "add", f"{address}/24", "dev", link)
            self.inside(where, "ip", "link", "set", link, "up")

    def inside(self, pid, *command):
        return subprocess.run(["nsenter", "--net", "--target", str(pid), *command],
                              check=True, capture_output=True, text=True).stdout

    def measure(self, near, what, port, amount):
        where, host = (self.engine, "127.0.0.1") if near else (self.keeper.pid, HOST)
        out = self.inside(where, sys.executable, "-c", CLIENT, what, host, str(port), str(amount))
        return float(out)

    def close(self):
        self.keeper.kill()
        self.keeper.wait()


def bind(pid):
    """Has a process and its children run on the client's CPU. Whether the kernel puts both ends on
    one is chance and trebles the figure, which is to be about the way of the packets."""
    time.sleep(0.2)
    cpus = {max(os.sched_getaffinity(0))}
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        for one in pid, *map(int, children.read().split()):
            os.sched_setaffinity(one, cpus)


def of_port(near, what):
    """Through a published port: microseconds of a round trip, or MB/s of a stream."""
    def sample(engine):
        outside = Outside(engine)
        try:
            container = engine.run("run", "-d", "-p", "7007:7", "-p", "7019:19", "busybox", "sh",
                                   "-c", ECHO).decode().strip()
            port, amount = (7007, PINGS) if what == "trip" else (7019, BYTES)
            if what == "trip":
                bind(int(engine.run("inspect", "-f", "{{.State.Pid}}", container)))
            return outside.measure(near, what, port, amount)
        finally:
            outside.close()
            engine.clear()
    return sample


def run_true(engine):
    return 1000 * seconds(lambda: engine.run("run", "--rm", "busybox", "true"))


def added(engine):
    """Milliseconds that a bridge and a published port add to a start: the median of pairs."""
    def start(**host):
        container = engine.create("sleep", "1000", **host)
        took = seconds(lambda: engine.api("POST", f"/v1.41/containers/{container}/start"))
        engine.api("DELETE", f"/v1.41/containers/{container}?force=1")
        time.sleep(0.05)
        return 1000 * took
    port = {"7/tcp": [{"HostPort": "7007"}]}
    pairs = [start(NetworkMode="bridge", PortBindings=port) - start() for _ in range(7)]
    return statistics.median(pairs)


def with_ports(engine, count=20):
    """MB and processes of each container that publishes a port, beyond one of them."""
    before, processes = engine.memory(), len(engine.processes())
    for number in range(count):
        engine.run("run", "-d", "-p", f"{7100 + number}:7", "busybox", "sleep", "1000")
    time.sleep(0.3)
    grown = (engine.memory() - before) / count / 1e6
    helpers = (len(engine.processes()) - processes) / count
    engine.clear()
    return grown, helpers
