#!/usr/bin/env bash
# Builds a Debian package, with cargo-deb (cargo install cargo-deb): of the relay, or with DISTILL=1 of
# distill. Arguments are passed on to it, such as --output FOLDER; without any, the package is in target/debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# RELAY_PROFILE=dev packs what `cargo build` has built, for a look at the package itself.
profile=${RELAY_PROFILE:-release}
package=claude-distill-relay
if [ "${DISTILL:-}" = 1 ]; then
	package=relay-client
fi
cargo build --locked --profile "$profile" --package "$package"

# What is made from the command line itself, where [package.metadata.deb] looks for it.
cargo run --locked --profile "$profile" --package relay-package -- target/package
cargo deb --locked --no-build --package "$package" --profile "$profile" "$@"
