"""The program between Countersign and the steps of a run: nothing that a step started outlives it.

Two processes watch each other. The *guard* (this program) listens to its owner and keeps the time; *init*,
its child, is the parent of the shell. Both are child subreapers, so a process that leaves its session
and loses its parent still falls to one of them, and whichever is killed, the other kills all that is left.
Where the kernel permits (as root), init is also the first process of a PID namespace: then the kernel
itself kills the rest with init, however fast it forks, and steps see no processes but their own. Steps that
have an account run in no other way: runs of one account could read each other's /proc/<pid>/environ.

Standard input is a Unix socket to the owner: a request comes in (eight bytes of length, JSON), then a byte
that means *cancel*, or the end of file that means the owner is dead; one JSON object goes out.
Standard output is the steps' output. Standard library only, and never app: it has to start quickly.
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# <linux/prctl.h>, <linux/sched.h>, <linux/mount.h>
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_SLAVE = 2, 4, 8, 0x4000, 0x80000

Request = dict[str, Any]

_NOT_APART = "steps of different runs cannot be kept apart here: no PID namespace can be had: "


def main() -> None:
    owner = socket.socket(fileno=0)
    size = int.from_bytes(owner.recv(8, socket.MSG_WAITALL))
    body = owner.recv(size, socket.MSG_WAITALL)
    if not size or len(body) < size:
        return
    request = json.loads(body)
    report = _probe(request) if request["task"] == "probe" else _guard(owner, request)
    with suppress(BrokenPipeError):
        owner.sendall(json.dumps(report).encode())


def _probe(request: Request) -> Request:
    try:
        _isolate()
    except OSError as error:
        return {"error": f"{_NOT_APART}{error.strerror}"}
    try:
        _become(request["account"])
    except OSError as error:
        return {"error": f"steps cannot become this account: {error}"}
    reach = [path for path in request["paths"] if os.access(path, os.R_OK) or os.access(path, os.W_OK)]
    return {"reached": reach}


def _guard(owner: socket.socket, request: Request) -> Request:
    """Has the script run, and ends it when its time is over or its owner says so or dies."""
    in_use = os.open(request["root"], os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(in_use, fcntl.LOCK_SH)  # held by guard and init: nobody takes the directory for a leftover
    _system("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        isolated = _isolated(request)
    except OSError as error:
        return {"error": f"{_NOT_APART}{error.strerror}"}
    ours, theirs = socket.socketpair()

    def become_init() -> None:
        ours.close()
        _init(theirs, request, isolated=isolated)

    init = _fork(theirs, become_init)
    theirs.close()
    _close_output()
    heard = bytearray()
    state = _wait(ours, heard, request["timeout"], (owner, request["owner"]))
    if state != "exited":
        os.kill(init, signal.SIGTERM)
        _wait(ours, heard, 0 if state == "abandoned" else request["grace"])
    os.kill(init, signal.SIGKILL)
    _kill_family()
    return {"state": state} | {key: value for line in heard.splitlines() for key, value in json.loads(line)}


def _isolated(request: Request) -> bool:
    """Isolates the next child, if asked to; steps that run as oneself can do without, where it must be."""
    if not request["isolate"]:
        return False
    try:
        _isolate()
    except OSError:
        if request["account"]:
            raise
        return False
    return True


def _isolate() -> None:
    """Puts the next child into a PID namespace; the mounts it needs are tried while there is a way back."""
    _system("unshare", CLONE_NEWNS)
    _system("mount", None, b"/", None, MS_REC | MS_SLAVE, None)
    _mount_proc()
    _system("umount", b"/proc")
    _system("unshare", CLONE_NEWPID)


def _mount_proc() -> None:
    _system("mount", b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)


def _wait(
    init: socket.socket, heard: bytearray, seconds: float, owner: tuple[socket.socket, int] | None = None
) -> str:
    """Listens until init is gone, the time is over, or the owner cancels or dies; says which it was.

    The owner's death also shows in our having another parent: its end of the socket may live on in a fork.
    PR_SET_PDEATHSIG would be no help: it could kill us when init is dead and we alone are left to kill.
    """
    deadline = time.monotonic() + seconds
    sources = [init, owner[0]] if owner else [init]
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select(sources, [], [], min(left, 1))
        if init in ready:
            report = init.recv(4096)
            if not report:
                return "exited"
            heard += report
        elif owner and ready:
            return "cancelled" if owner[0].recv(1) else "abandoned"
        elif owner and os.getppid() != owner[1]:
            return "abandoned"
    return "timed_out"


def _init(guard: socket.socket, request: Request, *, isolated: bool) -> None:
    """Starts the shell, reaps whatever falls to it, and returns when the shell has ended.

    Told to stop (SIGTERM) it passes that on, and returns only when no process is left.
    """
    awaited = {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _system("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _system("prctl", PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    if select.select([guard], [], [], 0)[0]:
        return  # the guard died before it could be noticed
    if isolated:
        _system("unshare", CLONE_NEWNS)  # not the guard's: its /proc must go on telling of its own processes
        _mount_proc()
    shell = _fork(guard, lambda: _become_shell(request))
    _close_output()
    stopping = False
    while (number := signal.sigwait(awaited)) != signal.SIGHUP:
        if number == signal.SIGTERM:
            stopping = True
            _signal_family(signal.SIGTERM)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == shell:
                    _tell(guard, "status", ended[1])
                    if not stopping:
                        return
        except ChildProcessError:
            return
    _kill_family()


def _become_shell(request: Request) -> NoReturn:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(1, 2)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request["account"]:
        _become(request["account"])
    # Whoever could gain rights by exec (sudo) could also become too strong for us to kill.
    _system("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _system("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # last, for a change of account clears it
    _enter(request["directory"])
    os.execve("/bin/sh", ["sh", "-e", request["script"]], request["environment"])  # noqa: S606 - it is the shell


def _become(account: Request) -> None:
    """Gives up root for good: groups first, while we still may, and the user last."""
    uid, gid = account["uid"], account["gid"]
    os.setgroups(account["groups"])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    with suppress(PermissionError):
        os.setuid(0)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise PermissionError("the account could become root again")


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except PermissionError:
        raise PermissionError(
            f"the steps' account cannot enter {directory}; let it pass (chmod o+x) every directory above"
        ) from None


def _fork(report: socket.socket, work: Callable[[], None]) -> int:
    """The child's id; the child does its work and ends there, and reports what went wrong."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - whatever it is, a child never returns into its parent's code
        _tell(report, "error", str(error))
    finally:
        os._exit(0)


def _tell(guard: socket.socket, key: str, value: object) -> None:
    with suppress(BrokenPipeError):
        guard.sendall(json.dumps([[key, value]]).encode() + b"\n")


def _close_output() -> None:
    """Leaves the output to the steps alone, so that it ends when they do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _kill_family() -> None:
    """Kills and reaps until no child is left; a subreaper without children has no descendants."""
    with suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                _signal_family(signal.SIGKILL)
                time.sleep(0.001)


def _signal_family(number: int) -> None:
    _, *others = family = _family()
    members = set(family)
    for pid in others:
        if _parent(pid) in members:  # else its number may be a stranger's by now
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _family() -> list[int]:
    """Ourselves and our descendants, parents first: a shell hears of its end before its child does."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children[_parent(int(entry.name))].append(int(entry.name))
    family = [os.getpid()]
    for member in family:
        family += children[member]
    return family


def _parent(pid: int) -> int | None:
    """The fourth field of proc_pid_stat(5); the second is a name, which may hold anything."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _system(name: str, *arguments: int | bytes | None) -> None:
    """Calls a function of the C library that Python has no name for."""
    library = ctypes.CDLL(None, use_errno=True)
    converted = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if getattr(library, name)(*converted) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
