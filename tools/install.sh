#!/bin/sh
# sh tools/install.sh VENV NAME PIP_ARGUMENT...
#
# Make sure that the virtual environment VENV exists and runs, and that the packages which
# PIP_ARGUMENTs ask for are in it. Does nothing if that was done for the same lists of packages.
# PYTHON names the interpreter to build from; default: the first of 3.11 or newer on the PATH.
set -eu
venv=$1
name=$2
shift 2

key=$({ pwd; cat pyproject.toml constraints.txt tests/colab/requirements.txt; } | cksum | tr -d ' ')
stamp=$venv/.$name-$key
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

if ! { "$venv/bin/python" -c "$new_enough" && "$venv/bin/python" -m pip --version; } >/dev/null 2>&1
then
    python=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if "$candidate" -c "$new_enough" 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "nmlib needs Python 3.11 or newer, and ${PYTHON:-python3} is not." >&2
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
fi

[ -e "$stamp" ] && exit 0
echo "Installing into $venv: once, a few minutes ..."
if ! "$venv/bin/python" -m pip install -qq "$@"; then
    echo "The installation failed; pip says why above. Run the same command again to go on." >&2
    exit 1
fi
rm -f "$venv"/."$name"-*
touch "$stamp"
