# syntax=docker/dockerfile:1
# A small image: one static program, the authorities of Debian, nobody's shell. Build for others with --platform (buildx).
ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates cmake gcc g++ libc6-dev make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN mkdir -p /out/bin /out/data && program="$(scripts/build-static)" && cp "${program}" /out/bin/hotshard

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/bin/hotshard /bin/hotshard
COPY --from=build --chown=65532:65532 /out/data /data
# By number: there is no /etc/passwd in here.
USER 65532:65532
WORKDIR /data
# In a container loopback is nobody's; without a password only metrics and health answer to others.
ENV HOTSHARD_WEB__LISTEN_ADDRESS=:9468
EXPOSE 9468
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["/bin/hotshard", "healthcheck"]
ENTRYPOINT ["/bin/hotshard"]
CMD ["serve", "--config", "/etc/hotshard/hotshard.toml"]
