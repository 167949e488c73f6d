#!/usr/bin/env bash
# Builds main.go, around the verifier of sigs.k8s.io/aws-iam-authenticator, from the Go module proxy, once for each main.go.
# Prints the path of the binary.
set -euo pipefail

authenticator=v0.6.13

here=$(cd "$(dirname "$0")" && pwd)
source=$(cksum <"$here/main.go" | cut -d' ' -f1)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/envoy-hpa-reaper"
verifier="$cache/token-verifier-$authenticator-$source"
if [ -x "$verifier" ]; then
  echo "$verifier"
  exit 0
fi
command -v go >/dev/null || {
  echo "test:real needs Go to build the token verifier of aws-iam-authenticator $authenticator" >&2
  exit 1
}

echo "building the token verifier of aws-iam-authenticator $authenticator into $verifier (only the first time)" >&2
module=$(mktemp -d)
trap 'rm -rf "$module"' EXIT
cp "$here/main.go" "$module"
cd "$module"
export GOFLAGS=-mod=mod CGO_ENABLED=0
cat >go.mod <<GO
module token-verifier

go 1.21

require sigs.k8s.io/aws-iam-authenticator $authenticator
GO
go mod tidy >&2
go build -trimpath -ldflags '-s -w' -o token-verifier . >&2
mkdir -p "$cache"
mv token-verifier "$verifier"
echo "$verifier"
