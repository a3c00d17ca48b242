"""The embedded PostgreSQL: starts anywhere, keeps what was committed, never outlives us."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from onebox.postgres_binaries import find_binaries
from onebox.postgres_process import ServerLog
from onebox.postgres_server import DidNotStart, EmbeddedPostgres, FolderInUse, NoPostgres
from servers.patience import on_this_machine

# Starts a server on the folder given, commits a row, says so and waits to be killed.
PROGRAM = """
import asyncio, sys
from pathlib import Path
import asyncpg
from onebox.postgres_server import EmbeddedPostgres, PostgresError

async def program():
    try:
        postgres = EmbeddedPostgres(Path(sys.argv[1]))
        await postgres.start()
    except PostgresError as error:
        return str(error)
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    print("ready", postgres.pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await connection.close()
    await postgres.stop()

sys.exit(asyncio.run(program()))
"""

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


def can_be_somebody_else() -> bool:
    """Root can; but a checkout below /root is closed to everybody else."""
    imports = [*NOBODY, sys.executable, "-c", "import onebox.postgres_server"]
    return (
        os.geteuid() == 0
        and subprocess.run(imports, capture_output=True, check=False).returncode == 0
    )


somebody_else = pytest.mark.skipif(
    not can_be_somebody_else(), reason="needs root, and a checkout that other users can read"
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder below which another user can get, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def fetch(postgres: EmbeddedPostgres, statement: str) -> object:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def start_program(
    folder: Path, *before: str, path: str | None = None
) -> tuple[subprocess.Popen[str], int]:
    """The program running on *folder*, and the process id of its server."""
    child = subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": path or os.environ["PATH"]},
    )
    assert child.stdout is not None
    said = child.stdout.readline()
    while said and not said.startswith("ready"):
        said = child.stdout.readline()
    assert said, "the program ended before it was ready"
    return child, int(said.split()[1])


def complaint(*command: str) -> str:
    """What the program says when it cannot start."""
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=on_this_machine(60), check=False
    )
    assert result.returncode == 1
    return result.stderr


def runs(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def ends_within(seconds: float, pid: int) -> bool:
    limit = time.monotonic() + on_this_machine(seconds)
    while runs(pid) and time.monotonic() < limit:
        time.sleep(0.01)
    return not runs(pid)


def end(child: subprocess.Popen[str]) -> None:
    child.communicate(timeout=on_this_machine(30))
    assert child.returncode == 0


async def test_what_was_committed_is_there_at_the_next_start(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        await fetch(postgres, "CREATE TABLE kept AS SELECT 42 AS n")
        server = postgres.pid
    assert not runs(server)

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        assert await fetch(postgres, "SELECT n FROM kept") == 42


async def test_only_we_can_get_at_it_and_a_terminal_cannot_end_it(tmp_path: Path) -> None:
    folder = tmp_path / "pg"
    async with EmbeddedPostgres(folder) as postgres:
        for private in (folder, folder / "data", folder / "socket"):
            assert private.stat().st_mode & 0o777 == 0o700
        assert await fetch(postgres, "SHOW listen_addresses") == ""
        assert os.getsid(postgres.pid) == postgres.pid


async def test_it_keeps_promises_a_mail_queue_needs(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert await fetch(postgres, f"SHOW {name}") == "on"


async def test_memory_of_a_statement_is_kept_for_the_next_one(tmp_path: Path) -> None:
    """By default glibc gives what is above 128 KiB back to the kernel, and faults it in again."""

    def faults() -> int:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[7])

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        process = await connection.fetchval("SELECT pg_backend_pid()")
        a_megabyte = await connection.prepare(
            "SELECT array_length(array_agg(repeat('x', 1000)), 1) FROM generate_series(1, 1000)"
        )
        for _ in range(10):
            await a_megabyte.fetch()
        before = faults()
        for _ in range(10):
            await a_megabyte.fetch()
        assert faults() - before < 100
        await connection.close()


async def test_options_override(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "pg", options={"fsync": "off"}) as postgres:
        assert await fetch(postgres, "SHOW fsync") == "off"


async def test_a_killed_parent_takes_the_server_along_and_the_next_start_recovers(
    tmp_path: Path,
) -> None:
    """Three times in a row, as a restart loop would have it; each commit is kept."""
    for _ in range(3):
        child, server = start_program(tmp_path / "pg")
        child.kill()
        child.communicate()
        assert ends_within(1.0, server)

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        assert await fetch(postgres, "SELECT count(*) FROM kept") == 3


async def test_a_successor_waits_for_the_server_of_a_killed_predecessor(tmp_path: Path) -> None:
    child, _ = start_program(tmp_path / "pg")
    child.kill()
    child.communicate()

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        assert await fetch(postgres, "SELECT count(*) FROM kept") == 1


async def answer(postgres: EmbeddedPostgres) -> object:
    """The number kept, None while the server is away."""
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        return await fetch(postgres, "SELECT n FROM kept")
    return None


async def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    stopping = asyncio.Event()
    async with EmbeddedPostgres(tmp_path / "pg") as postgres, asyncio.TaskGroup() as tasks:
        tasks.create_task(postgres.run(stopping))
        await fetch(postgres, "CREATE TABLE kept AS SELECT 42 AS n")
        first = postgres.pid

        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(on_this_machine(20)):
            while await answer(postgres) != 42:  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(0.02)
        assert postgres.pid != first
        stopping.set()


async def test_one_folder_serves_one_process(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        with pytest.raises(FolderInUse, match=rf"in use by another .*process {os.getpid()}"):
            await EmbeddedPostgres(tmp_path / "pg").start()
        assert await fetch(postgres, "SELECT 1") == 1


async def test_a_process_id_that_now_belongs_to_a_stranger_is_no_predecessor(
    tmp_path: Path,
) -> None:
    """After a restart of a container process ids begin again."""
    async with EmbeddedPostgres(tmp_path / "pg"):
        record = (tmp_path / "pg/data/postmaster.pid").read_text()
    stale = str(os.getpid()) + record[record.index("\n") :]
    (tmp_path / "pg/data/postmaster.pid").write_text(stale)
    (tmp_path / "pg/socket/.s.PGSQL.5432.lock").write_text(stale)

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        assert await fetch(postgres, "SELECT 1") == 1


async def test_half_made_data_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "pg/data.new/base").mkdir(parents=True)

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        assert await fetch(postgres, "SELECT 1") == 1


async def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    async with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres, "SELECT 1") == 1
        elsewhere = (folder / "socket").resolve()
        assert elsewhere.stat().st_mode & 0o777 == 0o700
    assert not elsewhere.exists()


async def test_a_folder_with_odd_characters_is_no_obstacle(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "müll & co? 100%") as postgres:
        assert await fetch(postgres, "SELECT 1") == 1


async def test_an_option_the_server_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match='unrecognized configuration parameter "nonsense"'):
        await EmbeddedPostgres(tmp_path / "pg", options={"nonsense": "1"}).start()


async def test_binaries_that_are_not_there_are_told_by_place(tmp_path: Path) -> None:
    with pytest.raises(NoPostgres, match=rf"looked in {tmp_path}/none \(nothing usable\)"):
        await EmbeddedPostgres(tmp_path / "pg", binaries=tmp_path / "none").start()


async def test_data_of_a_version_nobody_has_is_told(tmp_path: Path) -> None:
    (tmp_path / "pg/data").mkdir(parents=True)
    (tmp_path / "pg/data/PG_VERSION").write_text("9\n")

    with pytest.raises(NoPostgres, match=r"version 9, which made the data, .* \(version 18\)"):
        await EmbeddedPostgres(tmp_path / "pg").start()


@pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL is installed beside the wheel's")
async def test_data_is_served_by_the_version_that_made_it(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "pg", binaries=INSTALLED[0]) as postgres:
        made = await fetch(postgres, "SHOW server_version_num")

    async with EmbeddedPostgres(tmp_path / "pg") as postgres:
        assert await fetch(postgres, "SHOW server_version_num") == made


def test_a_wheel_comes_before_what_is_installed() -> None:
    assert "site-packages" in str(find_binaries(None, major=None).folder)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=16m none "$1" && exec "$2" -c "$3" "$1/pg"'
    said = complaint(
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"),
        *(str(tmp_path), sys.executable, PROGRAM),
    )

    assert "could not make its data" in said
    assert "No space left on device" in said


@somebody_else
def test_an_ordinary_user_needs_nothing_special(open_folder: Path) -> None:
    shutil.chown(open_folder, "nobody")

    child, server = start_program(open_folder / "pg", *NOBODY)

    assert f"Uid:\t{open_folder.stat().st_uid}" in Path(f"/proc/{server}/status").read_text()
    end(child)


@somebody_else
def test_a_folder_of_somebody_else_is_told(open_folder: Path) -> None:
    folder = open_folder / "pg"

    said = complaint(*NOBODY, sys.executable, "-c", PROGRAM, str(folder))

    assert f"cannot use {folder}: Permission denied" in said


@somebody_else
def test_root_without_namespaces_uses_another_user_and_dies_with_its_parent_too(
    open_folder: Path,
) -> None:
    """Many containers forbid user namespaces; here the command that makes one is not found."""
    for _ in range(2):
        child, server = start_program(open_folder / "pg", path="/nowhere")
        assert "Uid:\t0" not in Path(f"/proc/{server}/status").read_text()
        child.kill()
        child.communicate()
        assert ends_within(1.0, server)

    end(start_program(open_folder / "pg")[0])


def test_the_log_of_the_server_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Its beginning is moved aside while the server appends to it."""
    log = ServerLog(tmp_path / "postgres.log")
    log.mark_start()
    with log.path.open("ab") as server:
        server.write(b"old line\n" * 1_200_000)
        server.flush()
        log.limit()
        server.write(b"new line\n")
    assert log.tail() == "new line"
    assert log.path.stat().st_size == len(b"new line\n")
    assert log.path.with_suffix(".log.1").stat().st_size == len(b"old line\n") * 1_200_000
