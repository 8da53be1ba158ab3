/**
 * Stands for the client that `prisma generate` (7.10.0) writes from this schema: what it hands to Prisma's runtime is
 * that, its types are cut down to what the example needs.
 *
 * @module
 */

import {
  getPrismaClient,
  type GetPrismaClientConfig,
  type SqlDriverAdapterFactory,
} from "npm:@prisma/client@7.10.0/runtime/client";

/** The schema. */
const SCHEMA = `generator client {
  provider = "prisma-client"
  output   = "./generated/prisma"
}

datasource db {
  provider = "postgresql"
}

model Order {
  id       Int     @id @default(autoincrement())
  customer Int
  server   String? @default(dbgenerated("host(inet_server_addr())"))

  @@map("orders")
}
`;

const config = {
  previewFeatures: [],
  clientVersion: "7.10.0",
  engineVersion: "0edf323efd1d98336f3f0a68684b56f689b900d3",
  activeProvider: "postgresql",
  inlineSchema: SCHEMA,
  runtimeDataModel: {
    models: {
      Order: {
        fields: [
          { name: "id", kind: "scalar", type: "Int" },
          { name: "customer", kind: "scalar", type: "Int" },
          { name: "server", kind: "scalar", type: "String" },
        ],
        dbName: "orders",
        schema: null,
      },
    },
    enums: {},
    types: {},
  },
  parameterizationSchema: {
    strings: [
      "where",
      "Order.findUnique",
      "Order.findUniqueOrThrow",
      "orderBy",
      "cursor",
      "Order.findFirst",
      "Order.findFirstOrThrow",
      "Order.findMany",
      "data",
      "Order.createOne",
      "Order.createMany",
      "Order.createManyAndReturn",
      "Order.updateOne",
      "Order.updateMany",
      "Order.updateManyAndReturn",
      "create",
      "update",
      "Order.upsertOne",
      "Order.deleteOne",
      "Order.deleteMany",
      "having",
      "_count",
      "_avg",
      "_sum",
      "_min",
      "_max",
      "Order.groupBy",
      "Order.aggregate",
      "AND",
      "OR",
      "NOT",
      "id",
      "customer",
      "server",
      "equals",
      "in",
      "notIn",
      "lt",
      "lte",
      "gt",
      "gte",
      "contains",
      "startsWith",
      "endsWith",
      "not",
      "set",
      "increment",
      "decrement",
      "multiply",
      "divide",
    ],
    graph:
      "LQsQBhwAACMAMB0AAAQAEB4AACMAMB8CAAAAASACACQAISEBACUAIQEAAAABACABAAAAAQAgBhwAACMAMB0AAAQAEB4AACMAMB8CACQAISACACQAISEBACUAIQEhAAAmACADAAAABAAgAwAABQAwBAAAAQAgAwAAAAQAIAMAAAUAMAQAAAEAIAMAAAAEACADAAAFADAEAAABACADHwIAAAABIAIAAAABIQEAAAABAQgAAAkAIAMfAgAAAAEgAgAAAAEhAQAAAAEBCAAACwAwAQgAAAsAMAMfAgAsACEgAgAsACEhAQAtACECAAAAAQAgCAAADgAgAx8CACwAISACACwAISEBAC0AIQIAAAAEACAIAAAQACACAAAABAAgCAAAEAAgAwAAAAEAIA8AAAkAIBAAAA4AIAEAAAABACABAAAABAAgBhUAACcAIBYAACgAIBcAACsAIBgAACoAIBkAACkAICEAACYAIAYcAAAaADAdAAAXABAeAAAaADAfAgAbACEgAgAbACEhAQAcACEDAAAABAAgAwAAFgAwFAAAFwAgAwAAAAQAIAMAAAUAMAQAAAEAIAYcAAAaADAdAAAXABAeAAAaADAfAgAbACEgAgAbACEhAQAcACENFQAAIQAgFgAAIgAgFwAAIQAgGAAAIQAgGQAAIQAgIgIAAAABIwIAAAAEJAIAAAAEJQIAAAABJgIAAAABJwIAAAABKAIAAAABLAIAIAAhDhUAAB4AIBgAAB8AIBkAAB8AICIBAAAAASMBAAAABSQBAAAABSUBAAAAASYBAAAAAScBAAAAASgBAAAAASkBAAAAASoBAAAAASsBAAAAASwBAB0AIQ4VAAAeACAYAAAfACAZAAAfACAiAQAAAAEjAQAAAAUkAQAAAAUlAQAAAAEmAQAAAAEnAQAAAAEoAQAAAAEpAQAAAAEqAQAAAAErAQAAAAEsAQAdACEIIgIAAAABIwIAAAAFJAIAAAAFJQIAAAABJgIAAAABJwIAAAABKAIAAAABLAIAHgAhCyIBAAAAASMBAAAABSQBAAAABSUBAAAAASYBAAAAAScBAAAAASgBAAAAASkBAAAAASoBAAAAASsBAAAAASwBAB8AIQ0VAAAhACAWAAAiACAXAAAhACAYAAAhACAZAAAhACAiAgAAAAEjAgAAAAQkAgAAAAQlAgAAAAEmAgAAAAEnAgAAAAEoAgAAAAEsAgAgACEIIgIAAAABIwIAAAAEJAIAAAAEJQIAAAABJgIAAAABJwIAAAABKAIAAAABLAIAIQAhCCIIAAAAASMIAAAABCQIAAAABCUIAAAAASYIAAAAAScIAAAAASgIAAAAASwIACIAIQYcAAAjADAdAAAEABAeAAAjADAfAgAkACEgAgAkACEhAQAlACEIIgIAAAABIwIAAAAEJAIAAAAEJQIAAAABJgIAAAABJwIAAAABKAIAAAABLAIAIQAhCyIBAAAAASMBAAAABSQBAAAABSUBAAAAASYBAAAAAScBAAAAASgBAAAAASkBAAAAASoBAAAAASsBAAAAASwBAB8AIQAAAAAAAAUtAgAAAAEuAgAAAAEvAgAAAAEwAgAAAAExAgAAAAEBLQEAAAABAAAAAAUVAAYWAAcXAAgYAAkZAAoAAAAAAAUVAAYWAAcXAAgYAAkZAAoBAgECAwEFBgEGBwEHCAEJCgEKDAILDQMMDwENEQIOEgQREwESFAETFQIaGAUbGQs",
  },
  compilerWasm: {
    getRuntime: () =>
      import("npm:@prisma/client@7.10.0/runtime/query_compiler_fast_bg.postgresql.mjs"),
    async getQueryCompilerWasmModule() {
      const { wasm } = await import(
        "npm:@prisma/client@7.10.0/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs"
      );
      return new WebAssembly.Module(Uint8Array.from(atob(wasm), (c) => c.charCodeAt(0)));
    },
    importName: "./query_compiler_fast_bg.js",
  },
};

/** What stands in the table. */
export interface Order {
  id: number;
  customer: number;
  server: string | null;
}

/** What runs in a transaction. */
export interface TransactionClient {
  order: { create(args: { data: { customer: number } }): Promise<Order> };
}

/** The client. */
export interface PrismaClient extends TransactionClient {
  $transaction<T>(fn: (tx: TransactionClient) => Promise<T>): Promise<T>;
  $disconnect(): Promise<void>;
}

/** The client's class. */
export const PrismaClient = getPrismaClient(
  config as unknown as GetPrismaClientConfig,
) as unknown as new (
  options: { adapter: SqlDriverAdapterFactory },
) => PrismaClient;
