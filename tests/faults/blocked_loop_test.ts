import { mariadbTest } from "../support/servers.ts";
import { testBlocked } from "./conditions.ts";

testBlocked(mariadbTest);
