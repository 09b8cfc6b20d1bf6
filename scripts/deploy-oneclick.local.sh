#!/usr/bin/env bash
# Where this script was before it moved to deploy/.
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/../deploy/deploy-oneclick.local.sh" "$@"
