"""Every place where something of a tenant could lie about, read as bytes: files, memories, streams, command lines."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import redis
from kombu import Connection

from tests.chaos.site import superuser_url
from tests.journeys.product import Product, wait_until
from workers.supervisor.postgres_binaries import find_programs

Plant = Callable[[str], object]
RABBITMQ_FOLDER = Path("/var/lib/rabbitmq")
DECOYS = "decoys"


def plant_message(broker_url: str, text: str) -> None:
    """A message encoded as the product's are, in a queue of its own, kept on the broker's disk."""
    with Connection(broker_url) as connection:
        connection.SimpleQueue(DECOYS).put({"decoy": text}, delivery_mode=2)


def read_broker(product: Product, broker_url: str, *, is_read: Callable[[bytes], bool]) -> bytes:
    """What the broker keeps by now, once `is_read` finds in it what was planted. The planted message is taken back."""
    if not urlsplit(broker_url).scheme.startswith("amqp"):
        return _read_memory(
            _embedded_broker(product) if not urlsplit(broker_url).scheme else redis.from_url(broker_url)
        )
    with Connection(broker_url) as connection:
        queue = connection.SimpleQueue(DECOYS)
        if not _may_read(RABBITMQ_FOLDER):
            return str(queue.get(timeout=30).body).encode()
        content: bytes = wait_until(
            lambda: next(filter(is_read, [read_folder(RABBITMQ_FOLDER)]), b""),
            seconds=60,
            what="the broker wrote the decoy to its disk",
        )
        queue.queue.delete()
        return content


def dump_database(product: Product) -> bytes:
    """All of it, as text, by whom no policy binds."""
    program = find_programs(product.data_dir, account=None) / "pg_dump"
    command = [str(program), "--dbname", superuser_url(product), "--inserts"]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


def read_metrics(product: Product) -> bytes:
    """Of the web process, and of the port for machines without one."""
    ports = [product.port, int(product.environment["JOBSERVICE_METRICS_PORT"])]
    return b"".join(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read() for port in ports)


def read_processes(product: Product) -> bytes:
    """The command line and the environment of each process."""
    found = [Path(f"/proc/{pid}/{name}") for pid in product.pids() for name in ("cmdline", "environ")]
    return b"\n".join(_read(path) for path in found)


def read_files(product: Product, temporary: Path) -> dict[str, bytes]:
    """What a stopped product leaves: its data folder, in parts, and the folder of its temporary files."""
    postgres = product.data_dir / "postgres"
    log = product.data_dir / "up.log"
    others = [path for path in _files(product.data_dir) if postgres not in path.parents and path != log]
    assert others
    return {
        "the database's files": b"\n".join(_read(path) for path in _files(postgres) if path.parent.name != "pg_wal"),
        "the database's log of writes": read_folder(postgres / "pg_wal"),
        "logs": log.read_bytes(),
        "temporary files, and all others": b"\n".join(map(_read, [*others, *_files(temporary)])),
    }


def read_folder(folder: Path) -> bytes:
    return b"\n".join(map(_read, _files(folder)))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _read(path: Path) -> bytes:
    """Its bytes without the zeros at its end; nothing of one that is gone."""
    try:
        return path.read_bytes().rstrip(b"\0")
    except OSError:
        return b""


def _may_read(folder: Path) -> bool:
    try:
        return any(folder.rglob("*.rdq")) or any((folder / "mnesia").iterdir())
    except OSError:
        return False


def _embedded_broker(product: Product) -> redis.Redis:
    url = json.loads((product.data_dir / "connections.json").read_text())["broker"]
    return redis.Redis(unix_socket_path=url.removeprefix("redis+socket://").split("?")[0])


# Each type by the command that tells all of it: what a server writes to its file is compressed.
_READS: dict[bytes | str, tuple[object, ...]] = {
    b"string": ("GET", ...),
    b"list": ("LRANGE", ..., 0, -1),
    b"hash": ("HGETALL", ...),
    b"set": ("SMEMBERS", ...),
    b"zset": ("ZRANGE", ..., 0, -1, "WITHSCORES"),
    b"stream": ("XRANGE", ..., "-", "+"),
}


def _read_memory(client: redis.Redis) -> bytes:
    """The name and the value of every key."""
    found = []
    for key in client.scan_iter():
        command = _READS[client.type(key)]
        value = client.execute_command(*(key if part is ... else part for part in command))  # type: ignore[no-untyped-call]
        found.append(key + b" " + (value if isinstance(value, bytes) else repr(value).encode()))
    client.delete(DECOYS)
    client.close()
    return b"\n".join(found)
