# ladderd for AMD GPUs. Build from the repository's root:
#   docker build -f deploy/container/rocm.Dockerfile -t ladder:rocm .
# The host lends its devices (--device /dev/kfd --device /dev/dri --group-add render); the runtime is the image's.
FROM debian:12.15-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171 AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN bash -c 'source deploy/lib.sh && ensure_packages "${BUILD_PACKAGES[@]}" "${BUNDLE_PACKAGES[@]}" \
      "${WHEEL_PACKAGES[@]}" \
      && configure release build/release -DLADDER_TESTS=OFF && build build/release' \
    && deploy/make-bundle --folder /opt/ladder

FROM rocm/dev-ubuntu-24.04:7.2@sha256:749f9ee120c739682cc2e1553e62632c2676f98bc49e4d8133f380e0af682bcc
RUN groupadd --gid 10001 ladder && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/ladder ladder \
    && install -d -o ladder -g ladder -m 0750 /run/ladder && install -d -o ladder -g ladder -m 0700 /var/lib/ladder
COPY --from=build /opt/ladder /opt/ladder
COPY deploy/container/ladderd.json /etc/ladder/ladderd.json
ENV PATH=/opt/ladder/bin:$PATH
USER 10001:10001
VOLUME ["/var/lib/ladder", "/run/ladder"]
ENTRYPOINT ["ladderd", "--config", "/etc/ladder/ladderd.json"]
