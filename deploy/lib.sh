# Shared by the commands of this folder; sourced, never run. Defines functions and constants only.
# shellcheck shell=bash disable=SC2034 # the lists are for the scripts that source this

REPOSITORY="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# The packages are those of Debian 12. One list per purpose, so that running Ladder needs no test library.
BUILD_PACKAGES=(
  g++ cmake ninja-build ccache mold pkg-config python3
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev
  nlohmann-json3-dev libspdlog-dev libcli11-dev libzstd-dev libssl-dev libsqlite3-dev
  prometheus-cpp-dev libcpp-httplib-dev
)
# libamdhip64-5 is hipRTC (80 MB installed): kernels are compiled for AMD GPUs too.
TEST_PACKAGES=(
  libgtest-dev libgmock-dev libbenchmark-dev libboost-context-dev libamdhip64-5 patchelf python3-yaml
)
LINT_PACKAGES=(clang-format clang-tidy shellcheck git)
BUNDLE_PACKAGES=(patchelf)
WHEEL_PACKAGES=(python3-pip)
# NVRTC knows sm_100a and sm_120a from this version on, in CUDA_VERSION's form.
CUDA_MINIMUM=12080

say() { printf '%s\n' "ladder: $*"; }
fail() {
  printf '%s\n' "ladder: error: $*" >&2
  exit 1
}

# missing_packages NAME...: prints those that dpkg doesn't have installed.
missing_packages() {
  local package
  for package in "$@"; do
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || printf '%s\n' "$package"
  done
}

# install_packages NAME...: installs what is missing. Without anything missing it needs no root, no apt and no network.
install_packages() {
  command -v dpkg-query >/dev/null ||
    fail "this system has no dpkg: install the equivalents of the Debian 12 packages '$*' by hand and run again with" \
      "LADDER_SKIP_PACKAGES=1"
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      fail "these packages are missing: ${missing[*]}; neither root nor sudo is at hand, so let an administrator run" \
        "'apt-get install ${missing[*]}' and run again"
    as_root=(sudo)
  fi
  say "installing what is missing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq ||
    fail "apt-get update failed: the package lists could not be fetched; check the network and /etc/apt/sources.list"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null ||
    fail "apt-get could not install ${missing[*]}: Ladder's packages are those of Debian 12 (bookworm)"
}

# ensure_packages NAME...: install_packages unless the user installs by hand.
ensure_packages() {
  [[ -n "${LADDER_SKIP_PACKAGES:-}" ]] || install_packages "$@"
}

# toolkit_version INCLUDE: prints the CUDA_VERSION of a folder's cuda.h (13000 is 13.0), or nothing.
toolkit_version() {
  sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$1/cuda.h" 2>/dev/null | head -n 1
}

# find_toolkit: prints the root of a CUDA toolkit with the headers to build against and NVRTC to run with, or fails.
find_toolkit() {
  local nvcc root version
  nvcc="$(command -v nvcc || true)"
  for root in "${CUDA_HOME:-}" "${LADDER_TOOLKIT_DEFAULT:-/usr/local/cuda}" \
    "${nvcc:+$(dirname "$(dirname "$(readlink -f "$nvcc")")")}"; do
    [[ -n "$root" && -e "$root/include/nvrtc.h" ]] || continue
    version="$(toolkit_version "$root/include")"
    ((${version:-0} >= CUDA_MINIMUM)) || continue
    compgen -G "$root/lib64/libnvrtc.so*" >/dev/null || compgen -G "$root/lib/libnvrtc.so*" >/dev/null || continue
    printf '%s\n' "$root"
    return 0
  done
  return 1
}

# fetch_wheels LIST FOLDER WHAT: unpacks the wheels that LIST pins under FOLDER, once. WHAT says what they bring.
fetch_wheels() {
  local list="$1" folder="$2" what="$3" digest wheel
  digest="$(sha256sum <"$list")"
  [[ "$(cat "$folder/wheels.sha256" 2>/dev/null)" != "$digest" ]] || return 0
  ensure_packages "${WHEEL_PACKAGES[@]}"
  say "fetching $what from PyPI into $folder"
  rm -rf "$folder"
  mkdir -p "$folder/wheels"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --dest "$folder/wheels" --requirement "$list" || return 1
  for wheel in "$folder"/wheels/*.whl; do
    python3 -m zipfile -e "$wheel" "$folder" || return 1
  done
  rm -r "$folder/wheels"
  printf '%s\n' "$digest" >"$folder/wheels.sha256"
}

# fetch_nvrtc BUILD: puts the pinned wheels under BUILD/nvrtc, once, and links their libraries into BUILD/lib, where the
# programs in BUILD/bin look first.
fetch_nvrtc() {
  local build="$1" library
  local folder="$build/nvrtc"
  [[ -e "$folder/wheels.sha256" || "$(uname -m)" == x86_64 ]] ||
    fail "no CUDA toolkit found, and the pinned NVRTC wheels are for x86_64, not $(uname -m): install CUDA 13 and set" \
      "CUDA_HOME"
  fetch_wheels "$REPOSITORY/deploy/cuda-wheels.txt" "$folder" "NVRTC and the CUDA headers, no toolkit being found (90 MB)," ||
    fail "the pinned NVRTC wheels could not be fetched from PyPI: check the network, or install CUDA 13 and set" \
      "CUDA_HOME"
  mkdir -p "$build/lib"
  for library in "$folder"/nvidia/cu13/lib/libnvrtc*.so.*; do
    ln -sf "../nvrtc/nvidia/cu13/lib/${library##*/}" "$build/lib/${library##*/}"
  done
}

# fetch_kubernetes_schemas BUILD: puts the pinned schemas and their validator under BUILD/kubernetes, once, for the test of
# the manifests; unless the user installs by hand. Where PyPI is out of reach, that test says that it was skipped.
fetch_kubernetes_schemas() {
  [[ -z "${LADDER_SKIP_PACKAGES:-}" ]] || return 0
  (fetch_wheels "$REPOSITORY/deploy/kubernetes-wheels.txt" "$1/kubernetes" "Kubernetes's schemas (22 MB)") ||
    say "warning: the pinned schemas could not be fetched from PyPI; the manifests are not held against them this time"
}

# configure PRESET BUILD ARGUMENT...: finds or fetches CUDA's headers and NVRTC, then configures the preset.
configure() {
  local preset="$1" build="$2" root include
  shift 2
  if root="$(find_toolkit)"; then
    include="$root/include"
    say "CUDA toolkit: $root"
  else
    fetch_nvrtc "$build"
    include="$build/nvrtc/nvidia/cu13/include"
  fi
  local log="$build/configure.log"
  mkdir -p "$build"
  cmake -S "$REPOSITORY" --preset "$preset" -B "$build" -DLADDER_CUDA_INCLUDE="$include" "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    fail "cmake could not configure the build; its messages are above and in $log"
  }
}

# build BUILD TARGET...: builds with every core; no TARGET means all.
build() {
  local folder="$1"
  shift
  say "building in $folder with $(nproc) cores"
  # CMake's own flag separates targets, so an empty list is the default target.
  cmake --build "$folder" --parallel "$(nproc)" ${1:+--target "$@"} ||
    fail "the build failed; the compiler's messages are above"
}
