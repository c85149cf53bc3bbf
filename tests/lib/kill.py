#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands of caisson are killed, and what they leave is looked at.

Each case is one entry of CASES: commands that prepare a state, and the command that is killed in a copy of
it. Kills come before a step (a system call that changes something, kill-at.c), of the command alone ("alone"),
with all that it started ("all"), or as if the power had been cut ("power": what was not synced is lost); or
at a random time ("time"). After each, what the next command finds must be the old state or the new one,
whole: which volumes there are, their sizes, filesystems (e2fsck, every file in them), who can open them, key
records, and the names of all files in the state, so that nothing is left behind. Then the command is
repeated, and the new state must come of it.

  kill.py --build BUILD --work FOLDER [--kills N] [--long] [--seed S] [--case NAME [--mode M --at STEP]]
"""
import argparse
import concurrent.futures
import glob
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

MODES = ["alone", "all", "power"]
LIMIT = 60  # seconds that any command may take


@dataclass
class Case:
    """{work} in an argument is the folder of the sources, {here} one of the copy's own."""

    name: str
    command: list
    prepare: list = field(default_factory=list)
    # What the second of two full runs ends with; a repeated command may say that it was done.
    again: tuple = (0,)
    # For commands that leave something beside the state: files whose content is part of the picture.
    beside: tuple = ()
    # Volumes that are looked at.
    volumes: tuple = ("data",)
    # What is run behind the command, before the look: undoing what is meant to last.
    after: tuple = ()
    # Writes beside the state, where only its repetition sweeps.
    sweeps: bool = False
    # Each of the volumes may be in its old or its new state.
    independent: bool = False
    device: bool = False  # {device} is a loop device of the copy's own
    share: float = 1.0  # of the kills


CREATE = ["volume", "create", "data", "--size", "64M"]
FROM = CREATE + ["--from", "{work}/tree"]
KEYED = [FROM, ["volume", "key", "add", "data", "--new-key-file", "{work}/key-1"]]

CASES = [
    Case("create", CREATE, again=(1,)),
    Case("create-from", FROM, again=(1,)),
    Case("create-preallocate", CREATE + ["--preallocate"], again=(1,), share=0.5),
    Case("create-key-file", CREATE + ["--key-file", "{work}/key-1"], again=(1,), share=0.5),
    Case("create-device", CREATE + ["--device", "{device}", "--from", "{work}/tree"], again=(1,), device=True, share=0.5),
    Case("grow", ["volume", "resize", "data", "96M"], [FROM]),
    Case("shrink", ["volume", "resize", "data", "48M"], [FROM]),
    Case("copy", ["volume", "copy", "data", "twin"], [FROM], again=(1,), volumes=("data", "twin")),
    Case("key-add", ["volume", "key", "add", "data", "--new-key-file", "{work}/key-1"], [FROM], again=(0, 1)),
    Case(
        "key-change",
        ["volume", "key", "change", "data", "--key-file", "{work}/key-1", "--new-key-file", "{work}/key-2"],
        KEYED,
        again=(1, 2),
    ),
    Case("key-change-service", ["volume", "key", "change", "data", "--new-service"], [FROM]),
    Case("key-remove", ["volume", "key", "remove", "data", "--key-file", "{work}/key-1"], KEYED, again=(0, 1, 2)),
    Case("backup", ["volume", "backup", "data", "{here}/backup"], [FROM], again=(0, 1), sweeps=True),
    Case(
        "restore",
        ["volume", "restore", "data", "{here}/backup"],
        [FROM, ["volume", "backup", "data", "{here}/backup"]]
        + [["volume", "key", "add", "data", "--new-key-file", "{work}/key-1"]],
    ),
    Case("export", ["volume", "export", "data", "{here}/out"], [FROM], again=(0, 1), beside=("out",),
         sweeps=True),
    Case(
        "export-qcow2",
        ["volume", "export", "data", "{here}/out", "--format", "qcow2"],
        [FROM],
        again=(0, 1),
        sweeps=True,
        share=0.5,
    ),
    Case("destroy-empty", ["volume", "destroy", "data"], [CREATE], share=0.5),
    Case("destroy", ["volume", "destroy", "data"], [FROM]),
    Case("destroy-two", ["volume", "destroy", "data", "twin"], [FROM, ["volume", "copy", "data", "twin"]],
         volumes=("data", "twin"), independent=True, share=0.5),
    Case("open-userspace", ["volume", "open", "data", "--userspace"], [FROM], again=(0, 1),
         after=(["volume", "close", "data"],), share=0.5),
]


class Wrong(Exception):
    """Something that must not be."""


class Kill:
    """One copy of a prepared state, and what is done in it."""

    numbers = itertools.count()

    def __init__(self, options, template=None):
        self.options = options
        self.here = os.path.join(options.work, "kill-%d" % next(self.numbers))
        self.tag = "caisson-kill-%d-%s" % (os.getpid(), os.path.basename(self.here))
        if template:
            subprocess.run(["cp", "-a", "--sparse=always", template.here, self.here], check=True)
        else:
            os.makedirs(self.here, 0o700)
        self.state, self.config = self.here + "/state", self.here + "/config"
        self.log = []
        self.device = ""

    def attach(self):
        with open(self.here + "/disk", "wb") as disk:
            disk.truncate(80 << 20)
        self.device = subprocess.run(["losetup", "--find", "--show", disk.name], check=True,
                                     stdout=subprocess.PIPE).stdout.decode().strip()

    def done(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        with open("/proc/self/mounts") as mounts:
            for line in mounts:
                if self.here in line.split()[1]:
                    subprocess.run(["umount", "-l", line.split()[1]], check=False)
        if self.device:
            subprocess.run(["losetup", "--detach", self.device], check=False)
        shutil.rmtree(self.here, ignore_errors=True)

    def environment(self):
        return dict(os.environ, CAISSON_STATE=self.state, CAISSON_CONFIG=self.config, LC_ALL="C",
                    CAISSON_TEST_TAG=self.tag)

    def fill(self, arguments):
        return [word.format(work=self.options.work, here=self.here, device=self.device) for word in arguments]

    def start(self, command):
        """Output goes to files: what lives on must not hold us."""
        with open(self.here + "/.out", "wb") as out, open(self.here + "/.err", "wb") as err:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                    env=self.environment(), start_new_session=True, cwd="/")

    def run(self, command):
        process = self.start(command)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Wrong("%s: not done after %d s" % (" ".join(command), LIMIT)) from None
        with open(self.here + "/.out", "rb") as out, open(self.here + "/.err", "rb") as err:
            text, said = out.read().decode(errors="replace"), err.read().decode(errors="replace")
        self.log.append("%s: %d %s" % (" ".join(command), status, " ".join((said + text).split())[:300]))
        return status, text, said

    def caisson(self, arguments, allowed=(0,)):
        status, _, said = self.run([self.options.caisson] + self.fill(arguments))
        if status not in allowed:
            raise Wrong("%s ended with %d: %s" % (" ".join(arguments), status, said.strip()[-400:]))

    def processes(self):
        tag = b"CAISSON_TEST_TAG=" + self.tag.encode() + b"\0"
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                with open(path, "rb") as environ:
                    if tag in environ.read() + b"\0":
                        found.append(int(path.split("/")[2]))
            except OSError:
                pass
        return [pid for pid in found if not self.is_tracer(pid)]

    @staticmethod
    def is_tracer(pid):
        try:
            with open("/proc/%d/comm" % pid) as comm:
                return comm.read().strip() == "kill-at"
        except OSError:
            return True

    # What there is

    def volume(self, name):
        """As it is behind a check: what a killed command left is finished by whoever needs it first."""
        seen = self.inspect(name)
        if seen is None:
            return None
        if self.options.has_check:
            # Without its key it tells less, and finishes all the same.
            self.caisson(["volume", "check", name], (0,) if seen.get("has_key") else (0, 1))
        opens = self.openers(name, seen["path"])
        picture = {"opens": opens}
        if self.options.has_export:
            picture.update(self.content(name, opens))
        seen = self.inspect(name)
        for key in ("size", "has_key", "in_use", "keyslots", "uuid"):
            picture[key] = seen.get(key)
        # Volumes that are made anew have another.
        picture["uuid"] = picture["uuid"] != ""
        return picture

    def inspect(self, name):
        status, text, said = self.run([self.options.caisson, "volume", "inspect", name, "--json"])
        if status == 1 and "no volume called" in said:
            return None
        if status != 0:
            raise Wrong("inspect %s ended with %d: %s" % (name, status, said.strip()))
        try:
            seen = json.loads(text)
        except ValueError:
            raise Wrong("inspect %s: no JSON: %s" % (name, text)) from None
        if seen.get("header_error"):
            raise Wrong("inspect %s: %s" % (name, seen["header_error"]))
        return seen

    def openers(self, name, path):
        machine = subprocess.run([self.options.build + "/tests/machine-key", self.state, self.config, name, "1"],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        keys = [("service", machine)] if machine else []
        for key in ("key-1", "key-2"):
            with open(os.path.join(self.options.work, key), "rb") as file:
                keys.append((key, file.read()))
        opens = []
        for who, key in keys if self.options.cryptsetup else []:
            # A weak slot is opened in no time, and only what a case can have made is tried.
            done = subprocess.run([self.options.cryptsetup, "open", "--test-passphrase", "--type", "luks2",
                                   "--key-file", "-", path], input=key, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, check=False)
            if done.returncode == 0:
                opens.append(who)
            elif done.returncode != 2:
                raise Wrong("cryptsetup open %s: %d %s" % (path, done.returncode, done.stderr))
        return opens

    def content(self, name, opens):
        raw = self.here + "/.raw"
        credential = [] if "service" in opens else ["--key-file", self.options.work + "/" + opens[0]] if opens else None
        if credential is None:
            raise Wrong("%s: nothing opens it" % name)
        self.caisson(["volume", "export", name, raw] + credential)
        try:
            return self.files_of(name, raw)
        finally:
            os.unlink(raw)

    def files_of(self, name, raw):
        done = subprocess.run(["e2fsck", "-fn", raw], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise Wrong("%s: e2fsck ended with %d: %s" % (name, done.returncode, done.stdout.decode()[-600:]))
        tree = self.here + "/.tree"
        os.mkdir(tree)
        try:
            subprocess.run(["debugfs", "-R", "rdump / " + tree, raw], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
            return {"payload": os.stat(raw).st_size, "tree": digest(tree)}
        finally:
            shutil.rmtree(tree)

    def names(self):
        """Every name in the state and the configuration, but what SQLite puts beside a database."""
        found = set()
        for top in (self.state, self.config):
            for folder, folders, files in os.walk(top):
                for name in folders + files:
                    path = os.path.relpath(os.path.join(folder, name), self.here)
                    if not re.search(r"\.db-(journal|wal|shm)$", path):
                        found.add(path)
        return found

    def records(self):
        path = self.state + "/keys/keys.db"
        if not os.path.exists(path):
            return []
        with sqlite3.connect(path, timeout=10) as database:
            return sorted(row[0] for row in database.execute("SELECT name FROM volumes"))

    def picture(self, case):
        for command in case.after:
            self.caisson(command, (0, 1, 2))
        picture = {name: self.volume(name) for name in case.volumes}
        picture["names"] = sorted(name for name in self.names() if not name.endswith("/holder"))
        picture["records"] = self.records()
        picture["beside"] = {name: digest(os.path.join(self.here, name)) for name in case.beside}
        picture["here"] = sorted(name for name in os.listdir(self.here) if name not in (".out", ".err", "state", "config"))
        loops = subprocess.run(["losetup", "--noheadings", "--output", "BACK-FILE"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=False).stdout.decode()
        picture["loops"] = loops.count(self.here + "/")
        if self.device:
            picture["header"] = subprocess.run(["cryptsetup", "isLuks", self.device], check=False).returncode
        picture["processes"] = self.processes_left()
        return picture

    def processes_left(self):
        for _ in range(100):
            left = self.processes()
            if not left:
                return []
            time.sleep(0.05)
        names = []
        for pid in left:
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as cmdline:
                    names.append(cmdline.read().replace(b"\0", b" ").decode(errors="replace").strip())
            except OSError:
                pass
        return names


def digest(path):
    """Of a file or a tree: names, types, modes, and contents."""
    whole = hashlib.sha256()
    if not os.path.lexists(path):
        return "none"
    todo = [path]
    while todo:
        at = todo.pop()
        st = os.lstat(at)
        whole.update(("%s %o %d\n" % (os.path.relpath(at, path), st.st_mode, st.st_nlink)).encode())
        if os.path.islink(at):
            whole.update(os.readlink(at).encode())
        elif os.path.isdir(at):
            todo += sorted(os.path.join(at, name) for name in os.listdir(at))
        elif os.path.isfile(at):
            with open(at, "rb") as file:
                for block in iter(lambda file=file: file.read(1 << 20), b""):
                    whole.update(block)
    return whole.hexdigest()[:16]


def differences(wanted, got):
    out = []
    for key in sorted(set(wanted) | set(got)):
        if wanted.get(key) != got.get(key):
            if key in ("names", "here"):
                out.append("%s: +%s -%s" % (key, sorted(set(got[key]) - set(wanted[key])),
                                            sorted(set(wanted[key]) - set(got[key]))))
            else:
                out.append("%s: %s, not %s" % (key, got.get(key), wanted.get(key)))
    return "; ".join(out)


class Runner:
    """One case: its old and its new picture, and kills of it."""

    def __init__(self, options, case):
        self.options, self.case = options, case
        self.template = Kill(options)
        for command in case.prepare or [["volume", "list"]]:
            self.template.caisson(command)
        self.old = self.look()
        full = self.copy()
        try:
            began = time.monotonic()
            full.caisson(case.command)
            self.duration = time.monotonic() - began
            self.new = full.picture(case)
            full.caisson(case.command, case.again)
            self.again = full.picture(case)
            if self.again != self.new and 0 not in case.again:
                raise Wrong("a second run changed: " + differences(self.new, self.again))
        finally:
            full.done()
        counted = self.copy()
        try:
            counted.run([options.kill_at, "--steps", counted.here + "/.steps", "--", options.caisson]
                        + counted.fill(case.command))
            with open(counted.here + "/.steps") as steps:
                self.steps = int(steps.read())
            # What it opened is served until somebody closes it.
            counted.run([options.caisson, "volume", "unmount", "data"])
        finally:
            counted.done()

    def copy(self):
        copy = Kill(self.options, self.template)
        if self.case.device:
            copy.attach()
        return copy

    def look(self):
        copy = self.copy()
        try:
            return copy.picture(self.case)
        finally:
            copy.done()

    def kill(self, mode, at):
        """Returns what is wrong, or None; and whether anything was killed."""
        copy = self.copy()
        try:
            killed = self.kill_in(copy, mode, at)
            return None, killed
        except Wrong as wrong:
            return "%s\n%s" % (wrong, "\n".join("  " + line for line in copy.log)), True
        finally:
            copy.done()

    def whole(self, seen):
        if self.case.sweeps:
            seen = dict(seen, here=[name for name in seen["here"] if not name.startswith(".new-")])
        if self.case.independent:
            return all(seen[name] in (self.old[name], self.new[name]) for name in self.case.volumes)
        return seen in (self.old, self.new)

    def kill_in(self, copy, mode, at):
        command = [self.options.caisson] + copy.fill(self.case.command)
        if mode == "time":
            process = copy.start(command)
            try:
                process.wait(at)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            status = 137 if process.returncode == -signal.SIGKILL else process.returncode
            copy.log.append("killed after %.6f s: %d" % (at, status))
        else:
            how = {"alone": [], "all": ["--tree"], "power": ["--power", str(self.options.seed % 3)]}[mode]
            status, _, _ = copy.run([self.options.kill_at, "--after", str(at)] + how + ["--"] + command)
        if status not in (0, 137):
            raise Wrong("the command ended by itself with %d" % status)
        seen = copy.picture(self.case)
        if not self.whole(seen):
            raise Wrong("neither old (%s) nor new (%s)" % (differences(self.old, seen),
                                                           differences(self.new, seen)))
        copy.caisson(self.case.command, self.case.again if seen == self.new else (0,))
        seen = copy.picture(self.case)
        if seen not in (self.new, self.again):
            raise Wrong("repeated, it is not as new: " + differences(self.new, seen))
        return status == 137


def prepare_sources(options):
    tree = options.work + "/tree"
    os.makedirs(tree + "/deep/er")
    chance = random.Random(1)
    for i in range(40):
        with open(tree + "/deep/%d" % i, "wb") as file:
            file.write(chance.randbytes(chance.randrange(0, 60000)))
    with open(tree + "/deep/er/large", "wb") as file:
        file.write(chance.randbytes(3 << 20))
    os.symlink("deep/1", tree + "/link")
    os.link(tree + "/deep/1", tree + "/hard")
    for key in ("key-1", "key-2"):
        with open(os.path.join(options.work, key), "wb") as file:
            file.write(chance.randbytes(32))
        os.chmod(file.name, 0o600)


def supported(options, *commands):
    """Whether caisson has the commands, and their options."""
    for command in commands:
        words = list(itertools.takewhile(lambda word: not word.startswith("-") and word not in ("data", "twin"),
                                         command))
        usage = subprocess.run([options.caisson] + words + ["--help"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=False)
        text = usage.stdout.decode()
        if usage.returncode != 0 or not all(word in text for word in command if word.startswith("--")):
            return False
    return True


class Report:
    def __init__(self):
        self.number = self.failed = 0
        self.lock = threading.Lock()

    def point(self, fine, what, more=""):
        with self.lock:
            self.number += 1
            self.failed += not fine
            print("%sok %d - %s" % ("" if fine else "not ", self.number, what))
            for line in more.splitlines():
                print("#   " + line)
            sys.stdout.flush()

    def skip(self, what, why):
        with self.lock:
            self.number += 1
            print("ok %d - %s # SKIP %s" % (self.number, what, why), flush=True)


def plan(options, runner, kills, chance):
    """The kills of one case: at steps evenly from a random one on, all steps with --long; and at times."""
    if options.mode:
        at = float(options.at) if options.mode == "time" else int(options.at)
        return [(options.mode, at)]
    timed = max(2, kills // 4)
    if options.long:
        steps = [(mode, at) for mode in MODES for at in range(1, runner.steps + 1)]
        timed = 20
    else:
        count = max(3, kills - timed)
        stride = max(1.0, runner.steps / count)
        phase = chance.random() * stride
        places = sorted({min(runner.steps, 1 + int(phase + i * stride)) for i in range(count)})
        first = chance.randrange(3)
        steps = [(MODES[(first + i) % 3], at) for i, at in enumerate(places)]
    return steps + [("time", chance.uniform(0, 1.2 * runner.duration)) for _ in range(timed)]


def run_case(options, report, pool, case, kills):
    if not supported(options, case.command, *case.prepare, *case.after):
        report.skip(case.name, "there is no such command")
        return 0
    if case.device and (os.geteuid() != 0 or not os.path.exists("/dev/loop-control")):
        report.skip(case.name, "loop devices are root's, and not there in all containers")
        return 0
    chance = random.Random("%d %s" % (options.seed, case.name))
    try:
        runner = Runner(options, case)
    except Wrong as wrong:
        report.point(False, "%s, not killed" % case.name, str(wrong))
        return 0
    began, killed, places = time.monotonic(), 0, {}
    planned = plan(options, runner, max(4, int(kills * case.share)), chance)
    for (mode, at), (wrong, hit) in zip(planned, pool.map(lambda how: runner.kill(*how), planned)):
        killed += hit
        if wrong:
            places.setdefault(re.sub(r"kill-\d+|\.new-\w+", "*", wrong.split("\n")[0]), []).append((mode, at, wrong))
    runner.template.done()
    text = "%d steps, %.0f ms; %d kills took %.1f s" % (runner.steps, runner.duration * 1000, len(planned),
                                                       time.monotonic() - began)
    for found in list(places.values())[: options.show]:
        text += "\n%d times, at %s; --case %s --mode %s --at %s: %s" % (
            len(found), " ".join("%s:%s" % one[:2] for one in found[:40]), case.name, *found[0])
    report.point(not places, "%s: %d kills, whole after each" % (case.name, killed), text)
    return killed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--kills", type=int, default=300, help="of all cases together")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CAISSON_KILL_SEED") or random.randrange(1 << 30)))
    parser.add_argument("--case", action="append")
    parser.add_argument("--mode", choices=MODES + ["time"])
    parser.add_argument("--at")
    parser.add_argument("--show", type=int, default=6, help="so many failures of a case are told")
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    options.build = os.path.abspath(options.build)
    options.caisson = options.build + "/caisson"
    options.kill_at = options.build + "/tests/kill-at"
    options.cryptsetup = shutil.which("cryptsetup")
    options.has_check = supported(options, ["volume", "check"])
    options.has_export = supported(options, ["volume", "export"])
    prepare_sources(options)
    print("# CAISSON_KILL_SEED=%d" % options.seed)
    report = Report()
    cases = [case for case in CASES if not options.case or case.name in options.case]
    total = sum(case.share for case in cases if supported(options, case.command, *case.prepare)) or 1
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        killed = sum(run_case(options, report, pool, case, options.kills / total) for case in cases)
    if not options.case:
        report.point(killed >= min(200, options.kills * 2 // 3), "%d kills in all" % killed)
    print("1..%d" % report.number)
    sys.exit(report.failed != 0)


main()
