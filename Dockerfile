# visaged for amd64 and arm64. docs/install.md says how to run it.
#   docker build -t visaged .
#   docker build -t visaged --build-arg EXTRAS=demo,openvino .
FROM debian:trixie-slim AS base
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
# The demo's broker is in `demo` for amd64 alone: pyproject.toml.
ARG EXTRAS=demo
COPY . /src
# Without pip in the end: what runs here installs nothing.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/visaged \
 && /opt/visaged/bin/pip install --only-binary=:all: "/src[${EXTRAS}]" \
 && /opt/visaged/bin/pip uninstall --yes pip

FROM base
LABEL org.opencontainers.image.title="visaged" \
      org.opencontainers.image.description="Self-hosted face and body analytics for camera streams and single images" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/visaged --shell /usr/sbin/nologin visaged \
 && install -d -o visaged -g visaged -m 0750 /var/lib/visaged /keys
COPY --from=build /opt/visaged /opt/visaged
ENV PATH=/opt/visaged/bin:$PATH VISAGED_STATE_DIR=/var/lib/visaged
USER visaged
WORKDIR /var/lib/visaged
EXPOSE 8080
# Whether the process answers; whether its models are loaded is /readyz.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('VISAGED_HTTP__PORT', 8080)}/healthz\", timeout=4)"]
ENTRYPOINT ["visaged"]
CMD ["run", "/etc/visaged/visaged.yaml"]
