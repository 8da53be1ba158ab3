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
  output   = "./generated/prisma_mysql"
}

datasource db {
  provider = "mysql"
}

model Order {
  id       Int     @id @default(autoincrement())
  customer Int?
  server   String? @db.Text

  @@map("orders")
}
`;

const config = {
  previewFeatures: [],
  clientVersion: "7.10.0",
  engineVersion: "0edf323efd1d98336f3f0a68684b56f689b900d3",
  activeProvider: "mysql",
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
      "Order.updateOne",
      "Order.updateMany",
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
      "search",
      "not",
      "_relevance",
      "set",
      "increment",
      "decrement",
      "multiply",
      "divide",
    ],
    graph:
      "MQkOBhoAACQAMBsAAAQAEBwAACQAMB0CAAAAAR4CACYAIR8BACcAIQEAAAABACABAAAAAQAgBhoAACQAMBsAAAQAEBwAACQAMB0CACUAIR4CACYAIR8BACcAIQMeAAAoACAfAAAoACAsAAAxACADAAAABAAgAwAABQAwBAAAAQAgAwAAAAQAIAMAAAUAMAQAAAEAIAMAAAAEACADAAAFADAEAAABACADHQIAAAABHgIAAAABHwEAAAABAQgAAAkAIAMdAgAAAAEeAgAAAAEfAQAAAAEBCAAACwAwAx0CADAAIR4CAC4AIR8BAC8AIQIAAAABACAIAAANACADHQIAMAAhHgIALgAhHwEALwAhAgAAAAQAIAgAAA8AIAMAAAABACANAAAJACAOAAANACABAAAAAQAgAQAAAAQAIAcTAAApACAUAAAqACAVAAAtACAWAAAsACAXAAArACAeAAAoACAfAAAoACAGGgAAGAAwGwAAFQAQHAAAGAAwHQIAGQAhHgIAGgAhHwEAGwAhAwAAAAQAIAMAABQAMBIAABUAIAMAAAAEACADAAAFADAEAAABACAGGgAAGAAwGwAAFQAQHAAAGAAwHQIAGQAhHgIAGgAhHwEAGwAhDRMAACIAIBQAACMAIBUAACIAIBYAACIAIBcAACIAICACAAAAASECAAAABCICAAAABCMCAAAAASQCAAAAASUCAAAAASYCAAAAASsCACEAIQ0TAAAdACAUAAAgACAVAAAdACAWAAAdACAXAAAdACAgAgAAAAEhAgAAAAUiAgAAAAUjAgAAAAEkAgAAAAElAgAAAAEmAgAAAAErAgAfACEPEwAAHQAgFgAAHgAgFwAAHgAgIAEAAAABIQEAAAAFIgEAAAAFIwEAAAABJAEAAAABJQEAAAABJgEAAAABJwEAAAABKAEAAAABKQEAAAABKgEAAAABKwEAHAAhDxMAAB0AIBYAAB4AIBcAAB4AICABAAAAASEBAAAABSIBAAAABSMBAAAAASQBAAAAASUBAAAAASYBAAAAAScBAAAAASgBAAAAASkBAAAAASoBAAAAASsBABwAIQggAgAAAAEhAgAAAAUiAgAAAAUjAgAAAAEkAgAAAAElAgAAAAEmAgAAAAErAgAdACEMIAEAAAABIQEAAAAFIgEAAAAFIwEAAAABJAEAAAABJQEAAAABJgEAAAABJwEAAAABKAEAAAABKQEAAAABKgEAAAABKwEAHgAhDRMAAB0AIBQAACAAIBUAAB0AIBYAAB0AIBcAAB0AICACAAAAASECAAAABSICAAAABSMCAAAAASQCAAAAASUCAAAAASYCAAAAASsCAB8AIQggCAAAAAEhCAAAAAUiCAAAAAUjCAAAAAEkCAAAAAElCAAAAAEmCAAAAAErCAAgACENEwAAIgAgFAAAIwAgFQAAIgAgFgAAIgAgFwAAIgAgIAIAAAABIQIAAAAEIgIAAAAEIwIAAAABJAIAAAABJQIAAAABJgIAAAABKwIAIQAhCCACAAAAASECAAAABCICAAAABCMCAAAAASQCAAAAASUCAAAAASYCAAAAASsCACIAIQggCAAAAAEhCAAAAAQiCAAAAAQjCAAAAAEkCAAAAAElCAAAAAEmCAAAAAErCAAjACEGGgAAJAAwGwAABAAQHAAAJAAwHQIAJQAhHgIAJgAhHwEAJwAhCCACAAAAASECAAAABCICAAAABCMCAAAAASQCAAAAASUCAAAAASYCAAAAASsCACIAIQggAgAAAAEhAgAAAAUiAgAAAAUjAgAAAAEkAgAAAAElAgAAAAEmAgAAAAErAgAdACEMIAEAAAABIQEAAAAFIgEAAAAFIwEAAAABJAEAAAABJQEAAAABJgEAAAABJwEAAAABKAEAAAABKQEAAAABKgEAAAABKwEAHgAhAAAAAAAABS0CAAAAAS4CAAAAAS8CAAAAATACAAAAATECAAAAAQEtAQAAAAEFLQIAAAABLgIAAAABLwIAAAABMAIAAAABMQIAAAABASoBAAAAAQAABRMABBQABRUABhYABxcACAAAAAAABRMABBQABRUABhYABxcACAECAQIDAQUGAQYHAQcIAQkKAQoMAgsOAQwQAg8RARASARETAhgWAxkXCQ",
  },
  compilerWasm: {
    getRuntime: () => import("npm:@prisma/client@7.10.0/runtime/query_compiler_fast_bg.mysql.mjs"),
    async getQueryCompilerWasmModule() {
      const { wasm } = await import(
        "npm:@prisma/client@7.10.0/runtime/query_compiler_fast_bg.mysql.wasm-base64.mjs"
      );
      return new WebAssembly.Module(Uint8Array.from(atob(wasm), (c) => c.charCodeAt(0)));
    },
    importName: "./query_compiler_fast_bg.js",
  },
};

/** What stands in the table. */
export interface Order {
  id: number;
  customer: number | null;
  server: string | null;
}

/** What runs in a transaction. */
export interface TransactionClient {
  order: { create(args: { data: { customer: number; server: string } }): Promise<Order> };
  $queryRaw<T>(text: TemplateStringsArray, ...values: unknown[]): Promise<T>;
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
