// The types of the ES module: those of the CommonJS one, which is also its default export.

import redlock = require("./index.js");

export * from "./index.js";
export default redlock;
