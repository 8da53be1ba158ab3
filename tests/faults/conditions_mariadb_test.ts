import { mariadbTest } from "../support/servers.ts";
import { testConditions } from "./conditions.ts";

testConditions("MariaDB", mariadbTest);
