#!/usr/bin/env bash
# Installs the WebSocket libraries that tests/clients.rs plays clients with, into target/clients.
#
# Node.js and npm are the system's, where it has them. What makes the Python environments, and the browser of the
# tests, are the system's, too: apt-get install --no-install-recommends python3-venv chromium chromium-driver
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/target/clients

websockets_10=10.4
websockets=17.4
aiohttp=3.14.5
ws=8.23.0
bun=1.4.5

# All that is below stands in the name of this file, which is written last.
stamp=$target/$websockets_10-$websockets-$aiohttp-$ws-$bun
if [[ -e $stamp ]]; then
    exit 0
fi
rm -rf "$target"
mkdir -p "$target"

if ! command -v npm >/dev/null; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends nodejs npm >&2
fi

python3 -m venv "$target/python"
pip_install() {
    "$target/python/bin/pip" --quiet --disable-pip-version-check install --target "$target/$1" "$2"
}
pip_install websockets-10 "websockets==$websockets_10"
pip_install websockets "websockets==$websockets"
pip_install aiohttp "aiohttp==$aiohttp"

# The package `bun` only downloads one of these.
case "$(uname -m)" in
x86_64) platform=linux-x64 ;;
*) platform=linux-aarch64 ;;
esac
npm install --silent --no-save --no-package-lock --prefix "$target" "ws@$ws" "@oven/bun-$platform@$bun"
ln -s "node_modules/@oven/bun-$platform/bin/bun" "$target/bun"
touch "$stamp"
