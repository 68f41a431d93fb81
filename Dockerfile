# One builder, two images:
#
#   docker build --target poller -t ghibli-poller .
#   docker build --target server -t ghibli-server .

# Only these two lines name foreign images. To pin one, add its digest:
# `rust:1-slim-bookworm@sha256:...`; see SECURITY.md.
FROM rust:1-slim-bookworm AS toolchain
FROM gcr.io/distroless/cc-debian12:nonroot AS runtime
# The allocator gives freed memory back soon: a reader takes 9.5 MiB instead of 13.
ENV MALLOC_MMAP_THRESHOLD_=65536
ENV MALLOC_TRIM_THRESHOLD_=65536

FROM toolchain AS build
WORKDIR /build
COPY . .
# The commit that `--version` shows; the build has no git history to read it from.
ARG GHIBLI_COMMIT=
# For Cargo: `thin` optimises less at the link, and makes larger programs.
ARG CARGO_PROFILE_RELEASE_LTO
# Crates and compiled dependencies stay in the builder's cache between builds. Cargo detects changed
# files by their time, and a checkout may have older times than the cache. So the build touches our
# own files, and always compiles them.
# Builds each program on its own. In one build, each would be compiled with the other's features
# too, and the server would get parts of an HTTP client.
RUN --mount=type=cache,id=ghibli-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=ghibli-target,target=/build/target,sharing=locked \
    find shared poller server -type f -exec touch {} + \
    && cargo build --release --locked --package poller --bins \
    && cargo build --release --locked --package server --bins \
    && install -D --target-directory /programs \
        target/release/ghibli-poller target/release/ghibli-server

# The programs alone, for `docker build --target programs --output DIRECTORY .`
FROM scratch AS programs
COPY --from=build /programs/ /

FROM runtime AS poller
LABEL org.opencontainers.image.title="ghibli-poller" \
      org.opencontainers.image.description="Syncs the Studio Ghibli API into the cache of a mirror" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /programs/ghibli-poller /usr/local/bin/
# Inside a container only a wildcard address can be reached from outside it, by Prometheus for
# example. Admin commands come only from inside.
ENV ADMIN_ADDR=0.0.0.0:9091
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/ghibli-poller", "health"]
ENTRYPOINT ["/usr/local/bin/ghibli-poller"]

FROM runtime AS server
LABEL org.opencontainers.image.title="ghibli-server" \
      org.opencontainers.image.description="Serves a mirror of the Studio Ghibli API from the cache" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /programs/ghibli-server /usr/local/bin/
# Inside a container only a wildcard address can be reached from outside it.
ENV LISTEN_ADDR=0.0.0.0:8080 \
    ADMIN_ADDR=0.0.0.0:9090
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/ghibli-server", "health"]
ENTRYPOINT ["/usr/local/bin/ghibli-server"]
