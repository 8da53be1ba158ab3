import { POSTGRES } from "./databases.ts";
import { testMatrix } from "./matrix.ts";

testMatrix(POSTGRES);
