#!/bin/sh
# sh tools/install.sh VENV NAME EXTRAS PIP_OPTION...
#
# Make sure that the virtual environment VENV exists and runs, and that nmlib is in it from this
# folder with EXTRAS (as ".[test]"). Does nothing if that was done here for the same lists of
# packages, and needs no network if the packages are there. Waits while another make installs.
#
# PYTHON names the interpreter to build from; default: the first of 3.11 or newer on the PATH.
# LOCK names a file of requirements/: all packages but torch are taken from it, each by its hash.
set -eu
venv=${1%/}
name=$2
extras=$3
shift 3

key=$({ pwd -P; cat pyproject.toml constraints.txt tests/colab/requirements.txt ${LOCK:+"$LOCK"}; } |
    cksum | tr -d ' ')
stamp=$venv/.$name-$key
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

# first_that TEST INTERPRETER...: put the first that passes into $python.
first_that() {
    test=$1
    shift
    for python in "$@"; do
        if "$python" -c "$test" 2>/dev/null; then return 0; fi
    done
    return 1
}

# Take the kernel's lock on descriptor 9, which this shell and pip hold open: it is free as soon as
# both have ended, however they did. Where there are no locks, nobody waits.
one_at_a_time() {
    mkdir -p "$(dirname "$venv")"
    if ! (exec 9>>"$venv.lock") 2>/dev/null; then return 0; fi
    exec 9>>"$venv.lock"
    if first_that 'import fcntl' "$venv/bin/python" ${PYTHON:+"$PYTHON"} python3 python; then
        "$python" - "$venv" <<'END'
import fcntl
import sys

try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print(f"Another make installs into {sys.argv[1]}: waiting until it is done ...", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass
END
    fi
}

make_environment() {
    if ! first_that "$new_enough" "$@"; then
        echo "nmlib needs Python 3.11 or newer, and $1 is not." >&2
        echo "Debian or Ubuntu: apt-get install python3 python3-venv (as root)" >&2
        echo "Or say where it is: make PYTHON=/path/to/python3.12 ..." >&2
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python can make no virtual environment: ensurepip is missing." >&2
        echo "Debian or Ubuntu: apt-get install python3-venv (as root), then make again" >&2
        exit 1
    fi
    echo "Making $venv with $("$python" --version) ..."
    # What is left of a broken environment goes, and its stamps with it.
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

pip_install() {
    "$venv/bin/python" -m pip install -qq "$@"
}

# hatchling comes first: nmlib is then built with it, not in an environment that is fetched anew.
install_all() {
    if [ -n "${LOCK:-}" ]; then
        pip_install --require-hashes --no-deps --only-binary :all: -r "$LOCK" || return 1
    fi
    pip_install hatchling "$@" && pip_install --no-build-isolation --editable "$extras" "$@"
}

one_at_a_time
if ! { "$venv/bin/python" -c "$new_enough" && "$venv/bin/python" -m pip --version; } >/dev/null 2>&1
then
    if [ -n "${PYTHON:-}" ]; then
        make_environment "$PYTHON"
    else
        make_environment python3 python3.13 python3.12 python3.11 python
    fi
fi
[ -e "$stamp" ] && exit 0
echo "Installing into $venv: once, a few minutes ..."
if ! install_all "$@"; then
    echo "The installation failed; pip says why above. Run the same command again to go on." >&2
    exit 1
fi
rm -f "$venv"/."$name"-*
touch "$stamp"
