#!/usr/bin/env bash
# Builds a Debian package, with cargo-deb (cargo install cargo-deb): of the relay, or with DISTILL=1 of
# distill. Arguments are passed on to it, such as --output FOLDER; without any, the package is in target/debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=${RELAY_PROFILE:-release}
package=claude-distill-relay
if [ "${DISTILL:-}" = 1 ]; then
	package=relay-client
fi

# The manual pages and completions are made from the command line itself, where [package.metadata.deb] looks for them.
if [ "$profile" = dev ]; then
	# What `cargo build --workspace` has built, for a look at the package itself.
	"${CARGO_TARGET_DIR:-target}/debug/relay-package" target/package
else
	cargo build --locked --profile "$profile" --package "$package"
	cargo run --locked --profile "$profile" --package relay-package -- target/package
fi
cargo deb --locked --no-build --package "$package" --profile "$profile" "$@"
