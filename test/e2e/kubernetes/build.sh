#!/usr/bin/env bash
# build.sh: a Kubernetes control plane from Debian's packages alone, into ~/.cache/plumbline/kubernetes: etcd as it is
# packaged, kube-apiserver, kube-controller-manager and kube-scheduler 1.20 from their source package, which Debian 12
# packages the client of only, and the kubectl of Debian 13, because kustomize in 1.20 does not know components. What is
# there stays. Installs nothing and needs no root; 5 minutes on 2 cores, 1.5 GB of memory and 2.4 GB of disk meanwhile.
set -euo pipefail
kubernetes=${XDG_CACHE_HOME:-$HOME/.cache}/plumbline/kubernetes
servers=(kube-apiserver kube-controller-manager kube-scheduler)
case $kubernetes in *[[:space:],:]*) echo "no GOPATH can be in '$kubernetes': blanks, commas, colons" >&2 && exit 2 ;; esac
mkdir -p "$kubernetes"
kubernetes=$(readlink -f "$kubernetes")
say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

lacks() { for program in "$@"; do [ -x "$kubernetes/$program" ] || return 0; done && return 1; }
lacks kubectl etcd "${servers[@]}" || exit 0
work=$(mktemp -d "$kubernetes/building-XXXXXX")
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

# A program is in its place whole or not at all.
keep() { install -m 755 "$1" "$work/kept" && mv "$work/kept" "$kubernetes/$2"; }

# An apt beside the system's: the mirror that the system uses, its proxy and keys, but another suite and its sources.
mirror=$(. /etc/os-release && apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' 'Component: main' |
  sed -n "s/^$VERSION_CODENAME //p" | head -n 1)
[ -n "$mirror" ] || { echo "apt has no Debian mirror configured" >&2 && exit 1; }
apt_of() {
  local suite=$1 own=$work/apt-$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  shift
  if [ ! -d "$own" ]; then
    mkdir -p "$own"/{lists/partial,archives/partial} && touch "$own/status"
    printf '%s\n' "Types: deb deb-src" "URIs: $mirror" "Suites: $suite" "Components: main" >"$own/debian.sources"
    [ ! -e "$keyring" ] || echo "Signed-By: $keyring" >>"$own/debian.sources"
    apt_of "$suite" update
  fi
  apt-get -qq -o APT::Sandbox::User= -o Dir::Etc::SourceList="$own/debian.sources" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State::Lists="$own/lists" \
    -o Dir::State::Status="$own/status" -o Dir::Cache="$own" "$@"
}
# unpack SUITE DIRECTORY PACKAGE...
unpack() {
  local suite=$1 directory=$2 deb
  shift 2
  mkdir -p "$directory" && cd "$directory"
  apt_of "$suite" download "$@"
  for deb in *.deb; do dpkg-deb -x "$deb" . && rm "$deb"; done
}

if lacks kubectl; then
  unpack trixie "$work/client" kubectl
  keep usr/bin/kubectl kubectl
  say kubectl
fi
if lacks etcd; then
  unpack bookworm "$work/etcd" etcd-server
  keep usr/bin/etcd etcd
  say etcd
fi
lacks "${servers[@]}" || exit 0

unpack bookworm "$work/go" golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
export GOROOT=$work/go/usr/lib/go-1.19 GOPATH=$work/gopath GOCACHE=$work/go-cache GOTMPDIR=$work/tmp HOME=$work/home
export PATH=$GOROOT/bin:$PATH GOPROXY=off GOSUMDB=off GO111MODULE=off GOFLAGS= CGO_ENABLED=0
sources=$GOPATH/src/k8s.io/kubernetes
mkdir -p "$sources" "$GOTMPDIR" "$HOME" && cd "$work"
apt_of bookworm source --download-only kubernetes
tar -xzf kubernetes_*.orig.tar.gz -C "$sources" --strip-components=1
cd "$sources"
# What is vendored there of reflect2 crashes when a Go later than 1.17 has compiled it.
reflect2=github.com/modern-go/reflect2
rm -r "vendor/$reflect2"
cp -rL "$work/go/usr/share/gocode/src/$reflect2" "vendor/$reflect2"
rm -f "vendor/$reflect2"/*_test.go
say "sources of Kubernetes"

# The package has no generated files: the API server needs the OpenAPI of every type that is marked for it.
openapi_packages() {
  grep -rl --include='*.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io cmd plugin |
    grep -vE '_test\.go$|/testdata/|^staging/src/k8s\.io/(code-generator|sample-apiserver)/' |
    xargs -n 1 dirname | LC_ALL=C sort -u |
    sed 's#^staging/src/#vendor/#; s#^#k8s.io/kubernetes/#' | paste -sd,
}
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
"$work/openapi-gen" --input-dirs "$(openapi_packages)" --output-package k8s.io/kubernetes/pkg/generated/openapi \
  --output-file-base zz_generated.openapi --output-base "$GOPATH/src" --report-filename "$work/violations" \
  --go-header-file vendor/k8s.io/code-generator/hack/boilerplate.go.txt
say "generated files"

version=
for package in component-base client-go/pkg; do
  for value in gitMajor=1 gitMinor=20 gitVersion=v1.20.2; do
    version+=" -X k8s.io/kubernetes/vendor/k8s.io/$package/version.$value"
  done
done
for server in "${servers[@]}"; do
  go build -trimpath -tags providerless -ldflags "-s -w$version" -o "$work/$server" "./cmd/$server"
  keep "$work/$server" "$server"
  say "$server"
done
