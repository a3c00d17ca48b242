# One image, many commands: posthouse ingest | policy | dispatcher | bounces | tracking | ... | ...
# `--target demo` adds the demo with its sink.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1
# What builds stays in an environment of its own: the image has no pip.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/posthouse
COPY requirements.lock requirements-build.lock requirements-otel.lock /src/
RUN /opt/build/bin/pip install --require-hashes -r /src/requirements-build.lock
RUN /opt/build/bin/pip --python /opt/posthouse/bin/python install --require-hashes -r /src/requirements.lock -r /src/requirements-otel.lock
COPY deploy/crypto_mb.sh deploy/postgres_client.sh /src/
RUN PATH=/opt/build/bin:$PATH /src/crypto_mb.sh /opt/posthouse && /src/postgres_client.sh /opt/posthouse
COPY libs /src/libs
COPY services /src/services
COPY deploy/onebox /src/deploy/onebox
COPY command /src/command
ENV INSTALL="/opt/build/bin/pip --python /opt/posthouse/bin/python install"
RUN cd /src \
    && /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/wheels \
        ./libs/common ./services/ingest ./services/policy ./services/dispatcher \
        ./services/bounces ./services/tracking ./services/webhooks ./services/console \
        ./deploy/onebox ./command \
    && $INSTALL --no-deps /src/wheels/*.whl \
    && /opt/posthouse/bin/python -m compileall -q /opt/posthouse

FROM build AS build-demo
COPY demo /src/demo
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/demo-wheel /src/demo \
    && $INSTALL --no-deps /src/demo-wheel/*.whl

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Posthouse" \
      org.opencontainers.image.description="SMTP relay service: queue-backed, signed, in strict priority lanes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new named volume takes its owner from here.
RUN install -d -o 10001 -g 10001 -m 700 /var/lib/posthouse \
    && install -d -o 10001 -g 10001 /run/posthouse/database /run/posthouse/broker /run/posthouse/dashboard
COPY --chmod=755 deploy/compose/make_secrets.sh /usr/local/bin/
ENV PATH=/opt/posthouse/bin:$PATH PYTHONUNBUFFERED=1 POSTHOUSE_LOG_FORMAT=json
USER 10001:10001
STOPSIGNAL SIGTERM
EXPOSE 2525 2587 2465 2526 2581 2582 9180
HEALTHCHECK --start-period=30s CMD ["python3", "-m", "posthouse.running.probe"]
ENTRYPOINT ["posthouse"]
CMD ["--help"]

FROM runtime AS demo
COPY --from=build-demo /opt/posthouse /opt/posthouse

FROM runtime AS product
COPY --from=build /opt/posthouse /opt/posthouse
