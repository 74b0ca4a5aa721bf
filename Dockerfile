# Loam's processes: api, relay and worker are one image; docker-compose.yml says which one runs. docs/deploying.md tells more.
ARG BASE=node:24-trixie-slim

FROM ${BASE} AS packages
WORKDIR /opt/loam
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM ${BASE}
# git and ssh fetch repositories; bubblewrap (0.11 in Debian 13) and slirp4netns make the sandboxes of jobs.
RUN apt-get update \
  && apt-get install -y --no-install-recommends bubblewrap ca-certificates git openssh-client slirp4netns \
  && rm -rf /var/lib/apt/lists/*
# Volumes that are mounted here take over owner and mode.
RUN install -d -m 0700 -o node -g node /var/lib/loam /var/lib/loam/relay /var/lib/loam-shared
WORKDIR /opt/loam
COPY --from=packages /opt/loam/node_modules node_modules
COPY package.json ./
COPY docs/errors.md docs/errors.md
COPY activities activities
COPY workflows workflows
COPY src src
ENV NODE_ENV=production \
  LOAM_DATA_DIR=/var/lib/loam \
  XDG_CACHE_HOME=/var/lib/loam/cache
USER node
EXPOSE 7700 7710
CMD ["node", "src/main/api.ts"]
