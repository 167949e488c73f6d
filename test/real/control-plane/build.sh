#!/usr/bin/env bash
# Builds kube-apiserver and etcd (or the binaries that are named, of which kubectl may be one) from the Go module proxy,
# once. Prints the folder that holds them, which is what KUBEBUILDER_ASSETS means to every tool of this field. Where
# KUBEBUILDER_ASSETS is set already, that folder is used.
set -euo pipefail

kubernetes=v1.34.2
[ $# -gt 0 ] || set -- kube-apiserver etcd

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for binary; do
    [ -x "$KUBEBUILDER_ASSETS/$binary" ] || {
      echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no executable $binary; unset it to build one" >&2
      exit 1
    }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

assets="${XDG_CACHE_HOME:-$HOME/.cache}/envoy-hpa-reaper/control-plane-$kubernetes"
missing=()
for binary; do
  [ -x "$assets/$binary" ] || missing+=("$binary")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "$assets"
  exit 0
fi
command -v go >/dev/null || {
  echo "Go is needed to build ${missing[*]} of Kubernetes $kubernetes, or KUBEBUILDER_ASSETS with them" >&2
  exit 1
}

echo "building ${missing[*]} of Kubernetes $kubernetes into $assets (some minutes, only the first time)" >&2
module=$(mktemp -d)
trap 'rm -rf "$module"' EXIT
cd "$module"
export GOFLAGS=-mod=mod CGO_ENABLED=0

source=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
go_version=$(sed -n 's/^go \(.*\)$/\1/p' "$source")
{
  echo "module control-plane"
  echo "go $go_version"
  echo "require k8s.io/kubernetes $kubernetes"
  # k8s.io/kubernetes asks for its staging modules at v0.0.0; they are published as v0.MINOR.PATCH.
  sed -n "s#^\t\(k8s.io/[^ ]*\) v0.0.0\( .*\)\{0,1\}\$#replace \1 => \1 v0.${kubernetes#v1.}#p" "$source"
} >go.mod
mkdir etcd
cat >etcd/main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
cat >commands.go <<'GO'
//go:build control_plane

package control_plane

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
GO
# What they say of themselves comes from the linker, as in Kubernetes' own build.
version="-X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(echo "$kubernetes" | cut -d. -f2)"
go mod tidy -e >&2
mkdir -p "$assets"
partial=$(mktemp -d "$assets/partial.XXXXXX")
trap 'rm -rf "$module" "$partial"' EXIT
for binary in "${missing[@]}"; do
  case $binary in
    etcd) package=./etcd flags='-s -w' ;;
    *) package=k8s.io/kubernetes/cmd/$binary flags="-s -w $version" ;;
  esac
  go build -trimpath -ldflags "$flags" -o "$partial/$binary" "$package" >&2
  mv "$partial/$binary" "$assets/$binary"
done
echo "$assets"
