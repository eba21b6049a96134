// Calls the echo service through the gateway with Google's own client of gRPC-Web, in its text mode
// over XMLHttpRequest, and prints what came of it as JSON.
//
//     node grpc-web.mjs FOLDER_OF_PACKAGES URL FILE.binpb

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [packages, baseUrl, descriptors] = process.argv.slice(2);
const require = createRequire(path.join(packages, "any.cjs"));
globalThis.XMLHttpRequest = require("xhr2");
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");
const { create, createFileRegistry, fromBinary, toBinary } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");

const files = fromBinary(FileDescriptorSetSchema, readFileSync(descriptors));
const registry = createFileRegistry(files);
const client = new GrpcWebClientBase({ format: "text" });

function described(name, kind) {
  const service = registry.getService("test.v1.Echo");
  const method = service.methods.find((each) => each.name === name);
  const write = (message) => toBinary(method.input, create(method.input, message));
  const read = (bytes) => fromBinary(method.output, bytes);
  return new MethodDescriptor(`/test.v1.Echo/${name}`, kind, Object, Object, write, read);
}

function unary(name, request, metadata) {
  const method = described(name, MethodType.UNARY);
  return new Promise((resolve) => {
    const told = {};
    const call = client.rpcCall(baseUrl + method.name, request, metadata, method, (error, message) => {
      told.code = error?.code ?? 0;
      told.message = error?.message ?? message.name;
    });
    call.on("metadata", (headers) => (told.header = headers["x-header"]));
    call.on("status", (status) => (told.trailer = status.metadata["x-trailer"]));
    call.on("end", () => resolve(told));
    call.on("error", () => resolve(told));
  });
}

function stream(name, request) {
  const method = described(name, MethodType.SERVER_STREAMING);
  return new Promise((resolve) => {
    const names = [];
    const call = client.serverStreaming(baseUrl + method.name, request, {}, method);
    call.on("data", (message) => names.push(message.name));
    call.on("error", ({ code, message }) => resolve({ names, code, message }));
    call.on("end", () => resolve({ names, code: 0 }));
  });
}

console.log(
  JSON.stringify({
    unary: await unary("GetResource", { name: "a" }, { "x-custom": "b" }),
    failure: await unary("Fail", { code: 5, message: "no ü" }, {}),
    stream: await stream("Watch", { count: 3 }),
    late: await stream("Watch", { count: 9, failAfter: 2 }),
  }),
);
