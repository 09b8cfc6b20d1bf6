#!/usr/bin/env bash
# Builds the Debian package, with cargo-deb (cargo install cargo-deb). Arguments are passed on to it,
# such as --output FOLDER; without any, the package is in target/debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# RELAY_PROFILE=dev packs what `cargo build` has built, for a look at the package itself.
profile=${RELAY_PROFILE:-release}
cargo build --locked --profile "$profile"
program=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}/claude-distill-relay

# What is made from the command line itself, where [package.metadata.deb] looks for it.
mkdir -p target/package
"$program" man >target/package/claude-distill-relay.1
for shell in bash zsh fish; do
	"$program" completions "$shell" >"target/package/completion.$shell"
done
cargo deb --locked --no-build --profile "$profile" "$@"
