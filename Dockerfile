# syntax=docker/dockerfile:1
# One image with all programs: worker, logistica, monitor and taskq. docs/guides/docker.md

# The C compiler that SQLite needs is in it.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Dependencies are built once: registry and target outlive the build. Which of them are old cargo tells by the times of files;
# those of a checkout may be older than the cache, so all that is ours is touched, and built anew.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked --bins -p worker -p logistica -p monitor -p taskq-cli \
    && install -D -t /programas \
       target/release/worker target/release/logistica target/release/monitor target/release/taskq

# The same Debian, so the same C library; the shell in it is what the worker's health check reads its own name with.
FROM debian:bookworm-slim
RUN groupadd --gid 10001 taskq \
    && useradd --uid 10001 --gid 10001 --home-dir /datos --no-create-home --shell /usr/sbin/nologin taskq \
    && install -d -o taskq -g taskq -m 0750 /datos
COPY --from=build /programas/ /usr/local/bin/
# A new volume takes over whose the folder is.
WORKDIR /datos
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["worker", "--help"]
