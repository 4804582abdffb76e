"""The embedded catalog: started by anyone, survives everything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from quant_pipeline import catalog, lake
from quant_pipeline.settings import Settings

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="others' catalogs are in the data folder")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings of an embedded catalog of the test's own, not yet started."""
    settings = Settings(home=tmp_path / "data")
    yield settings
    catalog.destroy(settings)


def _wait_until_gone(pid: int, deadline_s: float = 10) -> None:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still runs after {deadline_s} s")


def test_starting_twice_and_stopping_twice_is_harmless(own: Settings) -> None:
    dsn = catalog.ensure(own)
    pid = catalog.server_pid(own)
    assert catalog.ensure(own) == dsn
    assert catalog.server_pid(own) == pid
    assert catalog.stop(own)
    assert not catalog.is_up(dsn)
    assert not catalog.stop(own)


def test_processes_that_start_it_at_once_share_one_server(own: Settings) -> None:
    program = (
        "from pathlib import Path; from quant_pipeline import catalog;"
        "from quant_pipeline.settings import Settings; import sys;"
        "s = Settings(home=Path(sys.argv[1])); catalog.ensure(s); print(catalog.server_pid(s))"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(own.home)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    pids = {starter.communicate(timeout=60)[0] for starter in starters}
    assert len(pids) == 1
    assert [starter.returncode for starter in starters] == [0] * 4


def test_committed_rows_survive_kill_9_of_the_server(own: Settings) -> None:
    dsn = catalog.ensure(own)
    with psycopg.connect(dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    pid = catalog.server_pid(own)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_until_gone(pid)
    with psycopg.connect(catalog.ensure(own)) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_a_pid_file_that_names_another_program_does_not_stop_the_start(own: Settings) -> None:
    catalog.ensure(own)
    data = catalog.locate(own).data
    lines = (data / "postmaster.pid").read_text().splitlines()
    catalog.stop(own)
    # As after a reboot: the file is there, and its pid now belongs to somebody else.
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert catalog.is_up(catalog.ensure(own))


def test_an_initdb_that_was_killed_half_way_is_started_over(own: Settings) -> None:
    (own.home / "catalog" / "global").mkdir(parents=True)
    assert catalog.is_up(catalog.ensure(own))
    catalog.stop(own)
    (catalog.locate(own).data / "PG_VERSION").unlink()
    assert catalog.is_up(catalog.ensure(own))


def test_a_long_data_folder_still_has_a_socket(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ("long-" * 30))
    try:
        assert catalog.is_up(catalog.ensure(settings))
    finally:
        catalog.destroy(settings)


@pytest.mark.parametrize("mode", [0o755, 0o700])  # root's server cannot pass the second
def test_a_lake_whose_folder_was_moved_opens_as_before(mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(mode)
        made = Settings(home=Path(folder) / "data")
        with lake.connect(settings=made) as connection:
            connection.execute("create table lake.main.kept as select 42 as answer")
        catalog.stop(made)
        moved = Settings(home=Path(folder) / "it's moved" / "data")
        moved.home.parent.mkdir()
        made.home.rename(moved.home)
        try:
            with lake.connect(read_only=True, settings=moved) as connection:
                assert connection.execute("from lake.main.kept").fetchone() == (42,)
            # A new lake where the old one was is not given the old one's catalog.
            assert catalog.locate(made).data != catalog.locate(moved).data
            assert not catalog.locate(made).is_made
        finally:
            catalog.destroy(moved)


@only_root
def test_a_copy_of_the_data_folder_does_not_share_the_catalog_of_the_original(
    own: Settings, tmp_path: Path
) -> None:
    catalog.ensure(own)
    assert catalog.locate(own).link is not None
    copy = Settings(home=tmp_path / "copy")
    shutil.copytree(own.home, copy.home, symlinks=True)
    with pytest.raises(catalog.CatalogError, match="is a copy of"):
        catalog.ensure(copy)
    assert catalog.is_up(catalog.ensure(own))


@only_root
def test_a_link_of_the_users_is_not_taken_for_our_own(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "data")
    disk = tmp_path / "disk" / "catalog"
    disk.mkdir(parents=True)
    settings.home.mkdir()
    (settings.home / "catalog").symlink_to(disk)
    with pytest.raises(catalog.CatalogError, match="is a link to"):  # pytest's folders are private
        catalog.ensure(settings)
    (disk / "PG_VERSION").touch()
    assert catalog.locate(settings).link is None  # else `destroy` would delete all of the disk


@only_root
def test_a_deleted_catalog_leaves_no_link_behind(own: Settings) -> None:
    catalog.ensure(own)
    kept = catalog.locate(own).data.parent
    catalog.destroy(own)
    assert not kept.exists()
    assert not (own.home / "catalog").is_symlink()


def test_files_of_a_lake_are_never_given_an_empty_catalog(own: Settings) -> None:
    file = Path(own.lake_path) / "raw" / "ticks" / "year=2024" / "ticks.parquet"
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(catalog.CatalogError, match="holds a lake's files, but their catalog"):
        catalog.ensure(own)
    assert not catalog.locate(own).is_made
    file.unlink()
    assert catalog.is_up(catalog.ensure(own))


def test_a_folder_that_only_its_owner_may_enter_is_left_as_it_is(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    settings = Settings(home=private / "clone" / "data")
    try:
        assert catalog.is_up(catalog.ensure(settings))
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        catalog.destroy(settings)


def test_no_other_user_can_reach_the_socket(own: Settings) -> None:
    catalog.ensure(own)
    assert catalog.locate(own).socket.stat().st_mode & 0o077 == 0


def test_a_password_leaves_the_dsn(
    catalog_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    settings = Settings(home=tmp_path, catalog_dsn=f"{catalog_server} password=hunter2")
    dsn = catalog.ensure(settings)
    assert "hunter2" not in dsn
    assert os.environ["PGPASSWORD"] == "hunter2"
    monkeypatch.delenv("PGPASSWORD")


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("host=/nowhere dbname=lake password=hunter2", "does not answer"),
        ("not a dsn", "is not a libpq DSN"),
    ],
)
def test_a_server_of_the_users_own_that_does_not_answer_is_named(
    tmp_path: Path, dsn: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "")
    with pytest.raises(catalog.CatalogError, match=message) as refused:
        catalog.ensure(Settings(home=tmp_path, catalog_dsn=dsn))
    assert "hunter2" not in str(refused.value)
    assert "catalog_dsn" in str(refused.value)


def test_a_server_of_the_users_own_is_never_stopped(settings: Settings) -> None:
    with pytest.raises(catalog.CatalogError, match="server of your own"):
        catalog.stop(settings)


def test_stopping_only_if_idle_spares_whoever_is_connected(own: Settings) -> None:
    with psycopg.connect(catalog.ensure(own)):
        assert not catalog.stop(own, only_if_idle=True)
    assert catalog.stop(own, only_if_idle=True)
