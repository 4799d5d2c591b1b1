import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.errors import InvalidInput
from app.flows.executors.account import check_boundary
from app.flows.executors.local import LocalExecutor
from app.flows.executors.outcome import Outcome
from app.flows.executors.workspace import Workspace
from app.secret import Secret

REPOSITORY = Path(__file__).parents[2]
PATH = "/usr/local/bin:/usr/bin:/bin"
LONG = timedelta(minutes=10)


@dataclass(frozen=True)
class Mode:
    user: str | None
    isolate: bool


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


@pytest.fixture
def marker() -> str:
    """In the environment of every process of a run, and of no other."""
    return f"marker-{uuid4().hex}"


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Unlike tmp_path, every account may pass through it."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture(
    params=["oneself", "oneself, subreapers alone", pytest.param("nobody", marks=needs_root)],
)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Every way of running; a PID namespace is used where permitted unless subreapers are to do alone."""
    return Mode("nobody" if request.param == "nobody" else None, isolate="alone" not in request.param)


@pytest.fixture
def executor(open_dir: Path, mode: Mode) -> LocalExecutor:
    return executor_of(open_dir, user=mode.user, isolate=mode.isolate)


@pytest.fixture
def plain(open_dir: Path) -> LocalExecutor:
    return executor_of(open_dir)


def executor_of(
    directory: Path, *, user: str | None = None, isolate: bool = True, grace: float = 5
) -> LocalExecutor:
    return LocalExecutor(
        runs_dir=directory / "runs",
        user=user,
        grace=timedelta(seconds=grace),
        poll=timedelta(milliseconds=20),
        isolate=isolate,
    )


def run(
    executor: LocalExecutor,
    *script: str,
    timeout: timedelta = LONG,
    cancelled: Callable[[], bool] = lambda: False,
    on_output: Callable[[bytes], None] = lambda _: None,
    **environment: str,
) -> tuple[Outcome, str]:
    """The outcome of a run of the script, and its whole output."""
    chunks: list[bytes] = []

    def output(chunk: bytes) -> None:
        chunks.append(chunk)
        on_output(chunk)

    with executor.workspace(7, uuid4().hex) as workspace:
        outcome = executor.execute(
            workspace=workspace,
            script=script,
            environment={"PATH": PATH} | environment,
            timeout=timeout,
            output=output,
            cancelled=cancelled,
        )
    return outcome, b"".join(chunks).decode()


def environments(name: str = "environ") -> Iterator[bytes]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                yield (process / name).read_bytes()


def alive(marker: str) -> bool:
    return any(marker.encode() in environment for environment in environments())


def eventually(condition: Callable[[], bool], seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def entries(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


class TestTheShell:
    def test_sees_the_given_environment_and_only_its_own_bookkeeping_beside_it(self, executor, monkeypatch):
        monkeypatch.setenv("COUNTERSIGN_SECRET_KEY", "the server's own")
        _, output = run(executor, "env", GREETING="hello\tworld ü", EMPTY="")
        seen = dict(line.split("=", 1) for line in output.splitlines())
        bookkeeping = {"PWD", "OLDPWD", "SHLVL", "_"}
        assert {name: value for name, value in seen.items() if name not in bookkeeping} == {
            "PATH": PATH,
            "GREETING": "hello\tworld ü",
            "EMPTY": "",
        }

    def test_may_hold_bytes_that_are_no_text(self, plain):
        seen: list[bytes] = []
        with plain.workspace(7, uuid4().hex) as workspace:
            execute(plain, workspace, 'printf %s "$RAW"', seen.append, RAW="\udcff\udcfex")
        assert seen == [b"\xff\xfex"]

    def test_starts_in_its_directory_with_a_private_umask_and_no_input(self, executor):
        _, output = run(executor, "pwd; umask; ulimit -c; cat; ls -A")
        directory, umask, core = output.splitlines()
        assert re.search(r"/runs/run-7-\w+/work$", directory)
        assert (umask, core) == ("0077", "0")

    def test_has_three_descriptors(self, executor):
        inherited = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(inherited, True)
        try:
            _, output = run(executor, "ls /proc/self/fd")
        finally:
            os.close(inherited)
        assert output.split() == ["0", "1", "2", "3"]  # the fourth is the directory that ls itself reads

    def test_leads_a_session_without_a_terminal(self, executor):
        _, output = run(executor, "cut -d' ' -f 1,6,7 /proc/$$/stat")
        process, session, terminal = output.split()
        assert (process, terminal) == (session, "0")

    def test_ignores_no_signal_that_the_server_ignores(self, plain):
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        try:
            _, output = run(plain, "grep -E '^Sig(Ign|Blk)' /proc/self/status")
        finally:
            signal.signal(signal.SIGUSR1, before)
        libc_s_own = 1 << 31 | 1 << 32  # signals 32 and 33, which no program can set and which are inherited
        assert {int(line.split()[1], 16) & ~libc_s_own for line in output.splitlines()} == {0}

    def test_is_one_for_all_lines_and_stops_at_the_first_that_fails(self, plain):
        outcome, output = run(plain, "x=kept", "echo $x", "false", "echo never")
        assert (outcome.exit_code, output) == (1, "kept\n")

    def test_its_two_streams_are_one_in_order(self, plain):
        lines = [f"echo {n} >&{1 + n % 2}" for n in range(200)]
        assert run(plain, *lines)[1].split() == [str(n) for n in range(200)]

    @pytest.mark.parametrize(
        ("line", "code", "reason"),
        [
            ("true", 0, "the script ended with exit code 0"),
            ("exit 3", 3, "the script ended with exit code 3"),
            ("no-such-program", 127, "the script ended with exit code 127"),
            ("kill -KILL $$", 137, "the shell was killed by SIGKILL"),
            ("kill -SEGV $$", 139, "the shell was killed by SIGSEGV"),
        ],
    )
    def test_its_exit_code_is_the_runs(self, plain, line, code, reason):
        assert run(plain, line)[0] == Outcome("exited", code, reason)

    def test_may_write_ten_megabytes(self, plain):
        outcome, output = run(plain, "head -c 10485760 /dev/zero | tr '\\0' x; echo end")
        assert outcome.exit_code == 0
        assert output == "x" * 10_485_760 + "end\n"

    def test_neither_script_nor_environment_is_in_any_processs_arguments(self, executor):
        script, value = uuid4().hex, uuid4().hex
        arguments: list[bytes] = []

        def look(_: bytes) -> None:
            arguments.extend(environments("cmdline"))

        lines = (f": {script}", "echo started", "sleep 600")
        run(executor, *lines, SECRET=value, on_output=look, cancelled=lambda: bool(arguments))
        assert any(b"launcher.py" in line for line in arguments)
        assert not any(text.encode() in line for line in arguments for text in (script, value))


class TestNothingOutlivesTheRun:
    HIDERS = (
        "sleep 600 &",
        "nohup sleep 600 >/dev/null 2>&1 &",
        "setsid sleep 600 &",
        "(setsid sh -c 'sleep 600 & sleep 600 &' &)",
        "sh -c \"trap '' TERM HUP; sleep 600; sleep 600\" &",
        "sh -c 'kill -STOP $$' &",
    )

    def test_when_it_ends_by_itself(self, executor, marker):
        outcome, output = run(executor, *self.HIDERS, "echo done", MARKER=marker)
        assert (outcome.exit_code, output) == (0, "done\n")
        assert not alive(marker)

    def test_when_its_time_is_over(self, open_dir, mode, marker):
        executor = executor_of(open_dir, user=mode.user, isolate=mode.isolate, grace=0.2)
        outcome, _ = run(executor, *self.HIDERS, "sleep 600", timeout=timedelta(seconds=0.5), MARKER=marker)
        assert outcome.state == "timed_out"
        assert not alive(marker)

    def test_when_it_is_cancelled(self, executor, marker):
        started = threading.Event()
        outcome, _ = run(
            executor,
            "setsid sleep 600 & echo started; sleep 600",
            on_output=lambda _: started.set(),
            cancelled=started.is_set,
            MARKER=marker,
        )
        assert (outcome.state, outcome.exit_code) == ("cancelled", None)
        assert not alive(marker)

    def test_when_passing_on_its_output_fails(self, executor, marker):
        def full(_: bytes) -> None:
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="the disk is full"):
            run(executor, "setsid sleep 600 & echo started; sleep 600", on_output=full, MARKER=marker)
        assert not alive(marker)

    def test_when_countersign_is_interrupted_and_the_launcher_is_slow(self, executor, marker):
        def interrupt(_: bytes) -> None:
            [guard] = launchers()
            os.kill(guard, signal.SIGSTOP)
            threading.Timer(1, os.kill, (guard, signal.SIGCONT)).start()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(executor, "setsid sleep 600 & echo started; sleep 600", on_output=interrupt, MARKER=marker)
        assert not alive(marker)

    @needs_root
    def test_even_if_it_forks_without_end_and_no_namespace_helps(self, open_dir, marker):
        executor = executor_of(open_dir, user="nobody", isolate=False, grace=0.1)
        bomb = ["{ ulimit -p 150; bomb() { bomb | bomb & }; bomb; } &", "while :; do :; done"]
        outcome, _ = run(executor, *bomb, timeout=timedelta(seconds=0.5), MARKER=marker)
        assert outcome.state == "timed_out"
        assert not alive(marker)

    @pytest.mark.parametrize("victim", ["guard", "init"])
    def test_when_one_of_its_launchers_two_processes_is_killed(self, executor, victim, marker):
        def kill(_: bytes) -> None:
            for guard in launchers():
                os.kill(guard if victim == "guard" else children(guard)[0], signal.SIGKILL)

        script = "setsid sleep 600 & (nohup sleep 600 &) ; echo started; sleep 600"
        outcome, _ = run(executor, script, on_output=kill, MARKER=marker)
        assert (outcome.state, outcome.exit_code) == ("failed", None)
        assert "launcher was killed" in outcome.reason
        assert not alive(marker)

    def test_when_countersign_is_killed(self, open_dir, mode, marker):
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(open_dir), mode.user or "", str(int(mode.isolate)), marker],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        with owner:
            assert owner.stdout.readline() == b"started\n"
            assert alive(marker)
            owner.kill()
        assert eventually(lambda: not alive(marker))
        leftover = executor_of(open_dir, user=mode.user)
        assert eventually(lambda: len(leftover.empty_leftovers()) == 1)
        [found] = leftover.empty_leftovers()  # until its run is known to have ended
        assert found.run_id == 7
        leftover.forget_leftover(found)
        assert (leftover.empty_leftovers(), entries(open_dir / "runs")) == ([], [])

    def test_a_step_has_the_grace_to_clean_up(self, open_dir, mode):
        executor = executor_of(open_dir, user=mode.user, isolate=mode.isolate, grace=120)
        script = "trap 'sleep 0.1; echo cleaned' TERM; sleep 600 & echo started; wait"
        started = threading.Event()
        outcome, output = run(executor, script, on_output=lambda _: started.set(), cancelled=started.is_set)
        assert outcome.state == "cancelled"
        assert output == "started\ncleaned\n"

    def test_one_that_was_cancelled_before_never_starts(self, plain):
        assert run(plain, "echo started", cancelled=lambda: True)[1] == ""


OWNER = """
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4
from app.flows.executors.local import LocalExecutor

directory, user, isolate, marker = sys.argv[1:]
executor = LocalExecutor(runs_dir=Path(directory) / "runs", user=user or None, isolate=bool(int(isolate)))
with executor.workspace(7, uuid4().hex) as workspace:
    executor.execute(
        workspace=workspace,
        script=[
            "setsid sleep 600 & (nohup sleep 600 &)",
            "sh -c 'trap : TERM; sleep 600; sleep 600' & echo started",
            "wait",
        ],
        environment={"PATH": "/usr/bin:/bin", "MARKER": marker},
        timeout=timedelta(hours=1),
        output=lambda chunk: print(chunk.decode(), end="", flush=True),
        cancelled=lambda: False,
    )
"""


WITHOUT_NAMESPACES = """
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4
from app.errors import InvalidInput
from app.flows.executors.account import check_boundary
from app.flows.executors.local import LocalExecutor

def run(user):
    executor = LocalExecutor(runs_dir=Path(sys.argv[1]) / "runs", user=user)
    with executor.workspace(7, uuid4().hex) as workspace:
        outcome = executor.execute(
            workspace=workspace,
            script=["true"],
            environment={"PATH": "/usr/bin:/bin"},
            timeout=timedelta(minutes=1),
            output=print,
            cancelled=lambda: False,
        )
    print(outcome.state, outcome.reason)

run("nobody")
try:
    print(check_boundary("nobody", []))
except InvalidInput as refusal:
    print(refusal)
run(None)
"""


def launchers() -> list[int]:
    """The guards that this process has started."""
    return [pid for pid in children(os.getpid()) if b"launcher.py" in cmdline(pid)]


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


class TestAFailedStart:
    def test_too_large_an_environment_says_so(self, plain):
        outcome, output = run(plain, "echo started", HUGE="x" * 200_000)
        assert (outcome.state, outcome.exit_code, output) == ("failed", None, "")
        assert "Argument list too long" in outcome.reason

    @pytest.mark.parametrize(("name", "value"), [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0")])
    def test_what_no_environment_can_hold_is_refused(self, plain, name, value):
        with pytest.raises(InvalidInput):
            run(plain, "echo started", **{name: value})

    @needs_root
    def test_a_directory_the_account_cannot_enter_is_named_with_the_remedy(self, open_dir):
        closed = open_dir / "closed"
        closed.mkdir(0o700)
        outcome, _ = run(executor_of(closed, user="nobody"), "echo started")
        assert outcome.state == "failed"
        assert re.search(r"cannot enter \S+/work; let it pass \(chmod o\+x\)", outcome.reason)


class TestTheWorkspace:
    def test_belongs_to_the_steps_account_alone(self, executor, mode):
        owner = pwd.getpwnam(mode.user).pw_uid if mode.user else os.geteuid()
        with executor.workspace(7, uuid4().hex) as workspace:
            for directory in vars(workspace).values():
                status = directory.stat()
                assert (status.st_mode & 0o7777, status.st_uid) == (0o700, owner)
            secret = executor.write_file(workspace, "PASSWORD", Secret("hunter22"))
            status = secret.stat()
            assert (status.st_mode & 0o7777, status.st_uid) == (0o400, owner)

    def test_holds_secrets_that_the_steps_can_read(self, executor):
        output: list[bytes] = []
        with executor.workspace(7, uuid4().hex) as workspace:
            path = executor.write_file(workspace, "PASSWORD", Secret("hunter22"))
            execute(executor, workspace, "cat $PASSWORD", output.append, PASSWORD=str(path))
        assert output == [b"hunter22"]

    def test_a_secrets_file_is_private_whatever_the_umask(self, plain):
        before = os.umask(0)
        try:
            with plain.workspace(7, uuid4().hex) as workspace:
                path = plain.write_file(workspace, "PASSWORD", Secret("hunter22"))
                assert path.stat().st_mode & 0o077 == 0
        finally:
            os.umask(before)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b"])
    def test_a_secrets_name_is_a_plain_one(self, plain, name):
        with plain.workspace(7, uuid4().hex) as workspace, pytest.raises(InvalidInput):
            plain.write_file(workspace, name, Secret("hunter22"))

    def test_a_secret_never_goes_through_a_link_or_over_a_file(self, plain, tmp_path):
        target = tmp_path / "target"
        with plain.workspace(7, uuid4().hex) as workspace:
            (workspace.files / "LINK").symlink_to(target)
            for name in ("LINK", "LINK"):
                with pytest.raises(FileExistsError):
                    plain.write_file(workspace, name, Secret("hunter22"))
        assert not target.exists()

    @pytest.mark.parametrize(
        "litter",
        [
            "mkdir -p a/b; touch a/b/c; chmod 0 a/b a",
            "chmod 500 ..; chmod 0 ../home",
            "ln -s / root; ln -s .. up; ln -s nowhere dangling",
            "mkfifo pipe",
            "rm -r ../files; ln -s / ../files",
            "touch \"$(printf 'a\\nb\\377')\"",
        ],
    )
    def test_is_removed_whatever_is_in_it(self, executor, open_dir, litter):
        outcome, output = run(executor, litter)
        assert (outcome.exit_code, output) == (0, "")
        assert entries(open_dir / "runs") == []

    def test_is_removed_however_deep_it_is(self, plain, open_dir):
        with plain.workspace(7, uuid4().hex) as workspace:
            current = os.open(workspace.directory, os.O_RDONLY)
            for _ in range(1100):
                os.mkdir("deep", dir_fd=current)
                current, above = os.open("deep", os.O_RDONLY, dir_fd=current), current
                os.close(above)
            os.close(current)
        assert entries(open_dir / "runs") == []

    def test_what_links_in_it_point_to_stays(self, executor, open_dir):
        kept = open_dir / "kept"
        kept.mkdir()
        (kept / "file").touch()
        run(executor, f"ln -s {kept} link; ln -s {kept}/file file")
        assert entries(kept) == ["file"]

    def test_one_in_use_is_no_leftover(self, plain, open_dir):
        with plain.workspace(7, uuid4().hex):
            assert plain.empty_leftovers() == []
            assert len(entries(open_dir / "runs")) == 1

    def test_what_else_lies_there_is_left_alone_and_stops_nobody(self, plain, open_dir):
        runs_dir = open_dir / "runs"
        stale = f"run-8-{'a' * 32}"
        for name in ("run-x", "run-7-0", stale):
            (runs_dir / name).mkdir(parents=True)
        for name in ("run-y", f"run-9-{'b' * 32}"):
            (runs_dir / name).touch()
        (runs_dir / stale / "secret").touch()
        assert plain.empty_leftovers() == [(8, "a" * 32)]
        assert entries(runs_dir / stale) == []
        assert len(entries(runs_dir)) == 5

    def test_before_the_first_run_there_are_no_leftovers(self, plain):
        assert plain.empty_leftovers() == []


def execute(
    executor: LocalExecutor,
    workspace: Workspace,
    line: str,
    output: Callable[[bytes], None],
    **environment: str,
) -> Outcome:
    return executor.execute(
        workspace=workspace,
        script=[line],
        environment={"PATH": PATH} | environment,
        timeout=LONG,
        output=output,
        cancelled=lambda: False,
    )


class TestAnotherAccount:
    def test_only_root_may_name_one(self, open_dir, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(InvalidInput, match="only root"):
            executor_of(open_dir, user="nobody")

    def test_it_has_to_exist(self, open_dir):
        with pytest.raises(InvalidInput, match="no such account"):
            executor_of(open_dir, user="no-such-account")

    @needs_root
    def test_it_is_not_root(self, open_dir):
        with pytest.raises(InvalidInput, match="without rights"):
            executor_of(open_dir, user="root")

    @needs_root
    def test_is_the_steps_for_good(self, open_dir):
        _, output = run(
            executor_of(open_dir, user="nobody"),
            "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm|CapAmb|NoNewPrivs)' /proc/self/status",
        )
        nobody = pwd.getpwnam("nobody")
        status = {line.split(":")[0]: line.split()[1:] for line in output.splitlines()}
        assert status["Uid"] == [str(nobody.pw_uid)] * 4
        assert status["Gid"] == [str(nobody.pw_gid)] * 4
        assert status["Groups"] == [str(nobody.pw_gid)]
        assert status["NoNewPrivs"] == ["1"]
        assert {int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == {0}

    @needs_root
    def test_reads_and_kills_nothing_of_ours(self, open_dir):
        key = open_dir / "key.pem"
        key.touch(0o600)
        executor = executor_of(open_dir, user="nobody", isolate=False)
        reads = (f"cat {key}", f"cat /proc/{os.getpid()}/environ", f"ls {open_dir}/runs", "kill -9 $PPID")
        for read in reads:
            outcome, output = run(executor, read)
            assert outcome.exit_code, output

    @needs_root
    def test_runs_nothing_where_its_runs_could_read_each_other(self, open_dir):
        """Without CAP_SYS_ADMIN nobody makes a PID namespace; runs as oneself go on without one."""
        lines = subprocess.check_output(
            ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", WITHOUT_NAMESPACES, str(open_dir)],
            cwd=REPOSITORY,
            text=True,
        ).splitlines()
        apart = "steps of different runs cannot be kept apart here: no PID namespace can be had: unshare: "
        assert lines[0].startswith(f"failed no step was started: {apart}")
        assert lines[1].startswith(f"LOCAL_EXECUTOR_USER: {apart}")
        assert lines[2] == "exited the script ended with exit code 0"

    @needs_root
    def test_the_boundary_is_checked_by_becoming_it(self, open_dir):
        keys = open_dir / "keys"
        keys.mkdir(0o700)
        (keys / "hidden.pem").touch(0o644)
        readable, writable, private = (open_dir / name for name in ("readable", "writable", "private"))
        for path, mode in ((readable, 0o604), (writable, 0o602), (private, 0o600)):
            path.touch()
            path.chmod(mode)
        own = Path(f"/proc/{os.getpid()}/environ")
        named = [keys, private, own, open_dir / "absent", readable, writable]
        assert check_boundary("nobody", named) == [str(readable), str(writable)]

    @needs_root
    def test_what_lies_in_an_open_directory_is_found(self, open_dir):
        keys = open_dir / "keys"
        (keys / "old").mkdir(parents=True)
        keys.chmod(0o711)
        (keys / "old").chmod(0o711)
        leak = keys / "old" / "kid.pem"
        leak.touch()
        leak.chmod(0o644)
        assert check_boundary("nobody", [keys]) == [str(leak)]
