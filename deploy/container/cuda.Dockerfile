# ladderd for NVIDIA GPUs. Build from the repository's root:
#   docker build -f deploy/container/cuda.Dockerfile -t ladder:cuda .
# The driver comes from the host (nvidia-container-toolkit), NVRTC from the pinned wheels that the build fetches.
FROM debian:12.15-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171 AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN bash -c 'source deploy/lib.sh && ensure_packages "${BUILD_PACKAGES[@]}" "${BUNDLE_PACKAGES[@]}" \
      "${WHEEL_PACKAGES[@]}" \
      && configure release build/release -DLADDER_TESTS=OFF && build build/release' \
    && deploy/make-bundle --folder /opt/ladder \
    && cp -L build/release/lib/libnvrtc*.so.* /opt/ladder/lib/

FROM debian:12.15-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
RUN groupadd --gid 10001 ladder && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/ladder ladder \
    && install -d -o ladder -g ladder -m 0750 /run/ladder && install -d -o ladder -g ladder -m 0700 /var/lib/ladder
COPY --from=build /opt/ladder /opt/ladder
COPY deploy/container/ladderd.json /etc/ladder/ladderd.json
ENV PATH=/opt/ladder/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
VOLUME ["/var/lib/ladder", "/run/ladder"]
ENTRYPOINT ["ladderd", "--config", "/etc/ladder/ladderd.json"]
