// Calls the echo service through the gateway with Connect's own clients for browsers, on Node's
// fetch, and prints what came of it as JSON.
//
//     node rpc.mjs FOLDER_OF_PACKAGES URL FILE.binpb connect|grpc-web proto|json

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [packages, baseUrl, descriptors, protocol, format] = process.argv.slice(2);
const require = createRequire(path.join(packages, "any.cjs"));
const { createFileRegistry, fromBinary, toJson } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { ConnectError, createClient } = require("@connectrpc/connect");
const { createConnectTransport, createGrpcWebTransport } = require("@connectrpc/connect-web");

const files = fromBinary(FileDescriptorSetSchema, readFileSync(descriptors));
const registry = createFileRegistry(files);
const methods = [];
const watched = (url, request) => {
  methods.push(request.method);
  return fetch(url, request);
};
const make = protocol === "connect" ? createConnectTransport : createGrpcWebTransport;
const transport = make({
  baseUrl,
  useBinaryFormat: format === "proto",
  useHttpGet: true,
  jsonOptions: { registry },
  fetch: watched,
});
const client = createClient(registry.getService("test.v1.Echo"), transport);

async function failureOf(call) {
  try {
    await call();
  } catch (error) {
    const found = ConnectError.from(error);
    return {
      code: found.code,
      message: found.rawMessage,
      details: found.details.map((detail) => detail.type),
      trailer: found.metadata.get("x-trailer"),
    };
  }
  return null;
}

async function collect(messages) {
  const names = [];
  const failure = await failureOf(async () => {
    for await (const message of messages) names.push(message.name);
  });
  return { names, failure };
}

const metadata = {};
const resource = await client.getResource(
  { name: "a" },
  {
    headers: { "x-custom": "b" },
    onHeader: (headers) => (metadata.header = headers.get("x-header")),
    onTrailer: (trailers) => (metadata.trailer = trailers.get("x-trailer")),
  },
);
const child = { text: "ü", number: 7 };
const same = await client.get({ int64: 2n ** 60n, data: new Uint8Array([0, 255]), child });
const leaving = new AbortController();
const left = await failureOf(async () => {
  const messages = client.watch({ count: 1, endless: true }, { signal: leaving.signal });
  for await (const _ of messages) leaving.abort();
});

console.log(
  JSON.stringify({
    name: resource.name,
    metadata,
    same: [same.int64.toString(), [...same.data], same.child.text, same.child.number],
    methods,
    stream: await collect(client.watch({ count: 3 })),
    late: await collect(client.watch({ count: 9, failAfter: 1 })),
    failure: await failureOf(() => client.fail({ code: 9, message: "no ü" })),
    unimplemented: await failureOf(() => client.hidden({})),
    deadline: await failureOf(() => client.get({ text: "slow" }, { timeoutMs: 200 })),
    left,
  }),
);
