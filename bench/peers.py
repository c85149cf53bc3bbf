#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many of the traps of tests/lib/elf-traps.sh caisson and its peers get right.

usage: peers.py CAISSON LIST

A trap counts as right when the same libraries are found as by the loader, and something is said to be
missing or broken exactly when the loader says so; of the peers no more is asked for, neither the order nor
which version is missing.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests/lib'))
from loader_judge import Answer, Trap, ask_caisson, differences, read_loader  # noqa: E402

TREE = re.compile(r'^[ │├└─┊]*(?P<path>[^ ].*?) (?:\[.*\]|not found)$')


def run(trap, command):
    env = {'PATH': os.environ['PATH'], 'LC_ALL': 'C'}
    if trap.library_path is not None:
        env['LD_LIBRARY_PATH'] = trap.library_path
    done = subprocess.run(command, capture_output=True, cwd=trap.cwd, check=False, env=env,
                          stdin=subprocess.DEVNULL, timeout=20)
    return done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace'), done.returncode


def real(trap, path):
    return os.path.realpath(os.path.join(trap.cwd or '.', path))


def libtree(trap):
    """The paths that are found, and whether all is."""
    output, _, status = run(trap, ['libtree', '-pvv', trap.program])
    found = set()
    for line in output.split('\n')[1:]:
        match = TREE.match(line)
        if match and '┊' not in line and not line.endswith('not found'):
            found.add(real(trap, match['path']))
    return found, status == 0


def lddtree(trap):
    output, _, status = run(trap, ['/usr/bin/python3', '/usr/bin/lddtree', '-l', trap.program])
    lines = output.split('\n')[1:-1]
    lost = [line for line in lines if not os.path.exists(os.path.join(trap.cwd, line))]
    return {real(trap, line) for line in lines if line not in lost}, status == 0 and not lost


def ldd(trap):
    output, errors, status = run(trap, ['ldd', trap.program])
    answer = read_loader(trap.place, output, output + errors, status if 'not a dynamic' not in errors else 0)
    whole = not (answer.missing or answer.versions or answer.error)
    return {path for _, path in answer.found}, whole


def dracut(trap):
    with tempfile.TemporaryDirectory() as to:
        _, _, status = run(trap, ['/usr/lib/dracut/dracut-install', '-D', to, '-l', trap.program])
        found = {os.path.join(folder, name)[len(to):] for folder, _, names in os.walk(to)
                 for name in names if not os.path.islink(os.path.join(folder, name))}
    # It also takes the linker's script along.
    return {real(trap, path) for path in found if not path.endswith('/libc.so')}, status == 0


PEERS = {
    'ldd': (ldd, 'ldd'),
    'libtree': (libtree, 'libtree'),
    'lddtree.py': (lddtree, '/usr/bin/lddtree'),
    'dracut-install': (dracut, '/usr/lib/dracut/dracut-install'),
}


def main():
    caisson, listed = sys.argv[1:]
    with open(listed, encoding='utf-8') as file:
        traps = [Trap(line.rstrip('\n')) for line in file]
    # No peer can be asked for another processor than this one.
    traps = [trap for trap in traps if 'hwcaps' not in trap.options]
    right, wrong, counted = dict.fromkeys(['caisson', *PEERS], 0), {name: [] for name in PEERS}, 0
    for trap in traps:
        answer = trap.ask(trap.judged, trap.cwd)
        if trap.unmet(answer):
            continue
        counted += 1
        answer = answer or Answer()
        command = [caisson, 'closure', '--dlopen', 'none', *trap.arguments()]
        ours, _ = ask_caisson(command, [trap.program], trap.cwd)
        static = not answer.found and not answer.interpreter and not answer.error
        if ours and not differences(None if static else answer, trap.place.inside(trap.program),
                                    ours['programs'][0]):
            right['caisson'] += 1
        whole = not (answer.missing or answer.versions or answer.error)
        # Whether the program and its interpreter are listed is a matter of taste.
        taste = {trap.place.inside(trap.program), answer.interpreter, os.path.realpath(
            '/lib64/ld-linux-x86-64.so.2')}
        theirs = {path for _, path in answer.found} - taste
        for name, (ask, program) in PEERS.items():
            if not shutil.which(program):
                continue
            try:
                found, complete = ask(trap)
            except subprocess.TimeoutExpired:
                found, complete = set(), None
            if complete == whole and (answer.error or found - taste == theirs):
                right[name] += 1
            else:
                wrong[name].append(trap.name)
    for name, count in right.items():
        if name == 'caisson' or shutil.which(PEERS[name][1]):
            print(f'{name:52} {count:4} of {counted}')
    if os.environ.get('VERBOSE'):
        for name, names in wrong.items():
            print(f'{name}: {" ".join(names)}')


main()
