#!/bin/sh
# Installs what the benchmark compares the relay with, into this folder (git ignores it).
# Whatever fails to install is skipped by the benchmark, which says so.
cd "$(dirname "$0")" || exit 1

say() { printf '%s\n' "$*"; }

if python3 -m venv venv && venv/bin/pip install --quiet --upgrade websockets; then
    say "python: $(venv/bin/python -c 'import websockets; print("websockets", websockets.__version__)')"
else
    say "python: not installed"
fi

case "$(uname -m)" in
    x86_64) bun=@oven/bun-linux-x64 ;;
    *) bun=@oven/bun-linux-aarch64 ;;
esac
npm_install() { npm install --silent --no-save --no-package-lock --prefix . "$@" >/dev/null 2>&1; }
if npm_install ws "$bun"; then
    ln -sfn "$bun" node_modules/bun
    say "ws:     $(node -p 'require("./node_modules/ws/package.json").version')"
    say "bun:    $(node_modules/bun/bin/bun --version)"
else
    say "ws, bun: not installed"
fi

# HAProxy comes from the system; RUNLEVEL=1 keeps the package from starting a service.
if ! command -v haproxy >/dev/null; then
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo env RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends haproxy >/dev/null
fi
say "haproxy: $(haproxy -v 2>/dev/null | head -n 1 || true)"
