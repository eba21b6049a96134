// Buys by the types that openapi-typescript makes of the document: `node purchase.js URL PERSON`.
// Prints as JSON what came of it.
import createClient from "openapi-fetch";

import type { components, paths } from "./shop.js";

type Order = components["schemas"]["Order"];

const [baseUrl, person] = process.argv.slice(2);
const credentials: components["schemas"]["LoginRequest"] = JSON.parse(person!);
const shop = createClient<paths>({ baseUrl: baseUrl! });

/** Gives the answer of a call that must succeed. */
function must<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) {
    throw new Error(JSON.stringify(error));
  }
  return data;
}

must(await shop.POST("/v1/users", { body: { ...credentials, displayName: "TypeScript" } }));
const session = must(await shop.POST("/v1/sessions", { body: credentials }));
shop.use({
  onRequest: ({ request }) => {
    request.headers.set("authorization", `Bearer ${session.accessToken}`);
  },
});

const page = must(await shop.GET("/v1/products", { params: { query: { filter: "stock>5" } } }));
const productId = page.products[0]!.productId!;
const key = crypto.randomUUID();

async function buy(): Promise<Order> {
  return must(
    await shop.POST("/v1/orders", {
      params: { header: { "Idempotency-Key": key } },
      body: { items: [{ productId, quantity: 1 }], paymentToken: "tok_ok" },
    }),
  );
}

const [order, again] = [await buy(), await buy()];
const { orderId } = order;
const read = must(await shop.GET("/v1/orders/{orderId}", { params: { path: { orderId } } }));
const paid = must(
  await shop.GET("/v1/orders/{orderId}/payments", { params: { path: { orderId } } }),
);
const unknown = await shop.GET("/v1/products/{productId}", {
  params: { path: { productId: crypto.randomUUID() } },
});

console.log(
  JSON.stringify({
    state: read.state,
    isSameOrder: again.orderId === orderId,
    paymentStates: paid.payments.map((payment) => payment.state),
    failureCode: unknown.error?.code,
  }),
);
