import { MARIADB } from "./databases.ts";
import { testMatrix } from "./matrix.ts";

testMatrix(MARIADB);
