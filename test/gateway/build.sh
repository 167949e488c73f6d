#!/usr/bin/env bash
# Builds Envoy Gateway of one version from the Go module proxy, once. Prints the folder that holds the binary and its CRDs.
set -euo pipefail

version=$1

folder="${XDG_CACHE_HOME:-$HOME/.cache}/envoy-hpa-reaper/envoy-gateway-$version"
if [ -x "$folder/envoy-gateway" ] && [ -d "$folder/crds" ]; then
  echo "$folder"
  exit 0
fi
command -v go >/dev/null || {
  echo "test:gateway needs Go to build Envoy Gateway $version" >&2
  exit 1
}

echo "building Envoy Gateway $version into $folder (some minutes, only the first time)" >&2
# Outside of this project: a go.mod or go.work further up would decide which module is meant.
module=$(cd / && go mod download -json "github.com/envoyproxy/gateway@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
rm -rf "$folder/crds"
mkdir -p "$folder/crds"
# The chart with the CRDs moved in v1.8.
for crds in charts/gateway-helm/crds charts/gateway-helm/charts/crds/crds; do
  [ -f "$module/$crds/gatewayapi-crds.yaml" ] || continue
  cp "$module/$crds/gatewayapi-crds.yaml" "$module/$crds"/generated/*.yaml "$folder/crds/"
done
chmod u+w "$folder/crds"/*
package=github.com/envoyproxy/gateway/internal/cmd/version
cd "$module"
CGO_ENABLED=0 GOFLAGS='' go build -trimpath -ldflags "-s -w -X $package.envoyGatewayVersion=$version" -o "$folder/partial" ./cmd/envoy-gateway >&2
mv "$folder/partial" "$folder/envoy-gateway"
echo "$folder"
