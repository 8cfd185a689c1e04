# The command in a container: docker run --rm -v "$PWD:/work" matquant compile model.onnx -o out
# Pinned by version; add @sha256:… for a base that never changes.
FROM node:20.19.5-bookworm-slim AS build
WORKDIR /build
COPY . .
RUN npm ci --ignore-scripts && npm run build && npm pack --silent --pack-destination /tmp

FROM node:20.19.5-bookworm-slim
ARG TARGETARCH
COPY --from=build /tmp/onnx-matquant-*.tgz /tmp/
# The client of object stores is for plans on them. Binaries of other platforms are five sixths of onnxruntime-node.
RUN npm install --global --ignore-scripts /tmp/onnx-matquant-*.tgz @aws-sdk/client-s3@3.1175.0 \
 && cd "$(npm root --global)/onnx-matquant/node_modules/onnxruntime-node/bin/napi-v6" \
 && rm -rf darwin win32 \
 && case "$(uname -m)" in x86_64) rm -rf linux/arm64 ;; aarch64) rm -rf linux/x64 ;; esac \
 && rm -rf /tmp/*.tgz /root/.npm
USER node
WORKDIR /work
ENTRYPOINT ["matquant"]
CMD ["--help"]
