#!/usr/bin/env bash
# Installs the Autobahn Testsuite where tests/autobahn.rs looks for it: target/autobahn.
#
# The suite is Python 2 code. Its interpreter comes from pyenv, or else from the system's packages;
# virtualenv, which sets its environment up, is Python 3 and dropped Python 2 in 20.22.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/target/autobahn

if [[ -x $target/bin/wstest ]]; then
    exit 0
fi

# The first Python 2.7 that runs: a pyenv shim may stand for a version that is not selected.
find_python2() {
    local candidate
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7 \
        /usr/bin/python2.7 "$(type -P python2.7 || true)"; do
        if [[ -n $candidate ]] && "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

if ! python2=$(find_python2); then
    if apt-get update -qq; then
        apt-get install -qq -y python2.7-dev >&2 || true
    fi
    python2=$(find_python2) || {
        echo "no Python 2.7: install one with pyenv (pyenv install 2.7.18)" >&2
        exit 1
    }
fi

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$tools" 'virtualenv<20.22'
PYTHONPATH=$tools python3 -m virtualenv --quiet --python "$python2" "$target"
"$target/bin/pip" install --quiet autobahntestsuite==0.8.2
