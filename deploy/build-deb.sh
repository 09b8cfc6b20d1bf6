#!/usr/bin/env bash
# Builds the Debian package, with cargo-deb (cargo install cargo-deb). Arguments are passed on to it,
# such as --output FOLDER; without any, the package is in target/debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# RELAY_PROFILE=dev packs what `cargo build` has built, for a look at the package itself.
profile=${RELAY_PROFILE:-release}
cargo build --locked --profile "$profile"

# What is made from the command line itself, where [package.metadata.deb] looks for it.
cargo run --locked --profile "$profile" --package relay-package -- target/package
cargo deb --locked --no-build --profile "$profile" "$@"
